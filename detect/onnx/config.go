// Package onnx finds objects in pictures with networks from ONNX files. A Spec
// is what a file says of itself; a Session runs it on ONNX Runtime or OpenVINO; a
// Batch is one run of a Session over several pictures, which streams fill row by
// row through their Writers.
package onnx

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Config says which network to run and how.
type Config struct {
	Model     string   // path of the ONNX file: see Find
	Name      string   // what events call it; empty: the file's name without .onnx
	Engine    string   // auto, onnxruntime, openvino
	Device    string   // auto, cpu
	Precision string   // auto, f32, bf16, f16, int8
	Input     string   // aspect: as wide as the model's size, as high as the pictures need; model: the model's size; or WxH
	MaxBatch  int      // rows a Batch may have
	Workers   int      // Batches that run at a time, each on one thread; 0: one for each CPU
	LibDirs   []string // where engine libraries are looked for first
}

// Defaults are all settings but the model's.
func Defaults() Config {
	return Config{Engine: "auto", Device: "auto", Precision: "auto", Input: "aspect", MaxBatch: 4}
}

// Validate reports every mistake that shows without opening anything.
func (c Config) Validate() error {
	var errs []error
	if c.Model == "" {
		errs = append(errs, errors.New("model: missing"))
	}
	oneOf := func(key, value string, known ...string) {
		if !slices.Contains(known, value) {
			errs = append(errs, fmt.Errorf("%s: %q is none of %s", key, value, strings.Join(known, ", ")))
		}
	}
	oneOf("engine", c.Engine, "auto", onnxRuntime, openVINO)
	oneOf("device", c.Device, "auto", "cpu")
	oneOf("precision", c.Precision, "auto", "f32", "bf16", "f16", "int8")
	if c.Input != "aspect" && c.Input != "model" {
		if _, err := parseShape(c.Input); err != nil {
			errs = append(errs, fmt.Errorf("input: %w, nor aspect, nor model", err))
		}
	}
	if c.MaxBatch < 1 || c.MaxBatch > 64 {
		errs = append(errs, fmt.Errorf("batch.max: %d is not within 1 and 64", c.MaxBatch))
	}
	if c.Workers < 0 || c.Workers > 256 {
		errs = append(errs, fmt.Errorf("workers: %d is not within 0 and 256", c.Workers))
	}
	return errors.Join(errs...)
}

func (c Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return runtime.NumCPU()
}
