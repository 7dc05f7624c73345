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

	"sightline/kernels/cuda"
)

// Config says which network to run and how.
type Config struct {
	Model     string   // path of the ONNX file: see Find
	Name      string   // what events call it; empty: the file's name without .onnx
	Engine    string   // auto, onnxruntime, openvino, tensorrt; the last one needs GPU
	Device    string   // auto, cpu; it says nothing where there is a GPU
	Precision string   // auto, f32, bf16, f16, int8
	Input     string   // aspect: as wide as the model's size, as high as the pictures need; model: the model's size; or WxH
	MaxBatch  int      // rows a Batch may have
	Workers   int      // Batches that run at a time, each on one thread; 0: one for each CPU. On a GPU it is one
	LibDirs   []string // where engine libraries are looked for first
	Reference bool     // fill inputs on the CPU with the GPU's own definition, to the bit, some thirty times slower

	GPU    cuda.Device // to compute on, with frames in its memory or the host's; nil: the CPU. It outlives the session
	Memory int64       // bytes of it that ONNX Runtime may take for itself, besides what is allocated through GPU; 0: any
	// Graphs records each batch size of each batch as a CUDA graph on engine cuda, which
	// saves launches; TensorRT's provider keeps one graph for all, so there are none. They
	// are recorded at Prepare, beside whatever goes on on the device through GPU and
	// cuda.Beside; who else allocates meanwhile, as TensorRT's own threads while another
	// session builds an engine, may spoil it and be refused: then that batch size has
	// none, and Fallbacks says so. The networks run on a thread of their own. No GPU has executed
	// this yet, and no emulation has the engine: TestGPUGraphs waits for one.
	Graphs bool
	// Cache is the folder where compiled networks are kept: CacheDir where it is empty,
	// of which OpenVINO then takes what is there and adds nothing.
	Cache string
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
	oneOf("engine", c.Engine, "auto", onnxRuntime, openVINO, tensorRT)
	switch {
	case c.GPU == nil && c.Engine == tensorRT:
		errs = append(errs, fmt.Errorf("engine: %s needs a GPU, and none is used: %w", tensorRT, cuda.ErrNoDevice))
	case c.GPU != nil && c.Engine == openVINO:
		errs = append(errs, fmt.Errorf("engine: %s computes on the CPU, and a GPU is asked for: want auto, %s or %s", openVINO, tensorRT, onnxRuntime))
	case c.GPU == nil:
		oneOf("device", c.Device, "auto", "cpu")
	}
	oneOf("precision", c.Precision, "auto", "f32", "bf16", "f16", "int8")
	if c.Input != "aspect" && c.Input != "model" {
		if _, err := ParseShape(c.Input); err != nil {
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
