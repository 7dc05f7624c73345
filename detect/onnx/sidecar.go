package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
)

// sidecar is NAME.yaml beside NAME.onnx: what the model file does not say of
// itself. It wins over the file's own metadata.
type sidecar struct {
	Family string `yaml:"family"`
	Labels any    `yaml:"labels"` // a list of names, or the word coco
	Input  struct {
		Size  string    `yaml:"size"`  // WIDTHxHEIGHT that the network was made for
		Order string    `yaml:"order"` // bgr or rgb
		Mean  []float64 `yaml:"mean"`  // three, or one for all, in input order: value = (sample − mean) / std
		Std   []float64 `yaml:"std"`
		Fit   string    `yaml:"fit"` // center or topleft, where a letterboxed picture lies, or stretch
		Pad   *int      `yaml:"pad"` // sample around it
	} `yaml:"input"`
}

// SidecarName is where a model's description is looked for.
func SidecarName(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) + ".yaml" }

// readSidecar returns the sidecar of the model at path, nil when there is none.
func readSidecar(path string) (*sidecar, error) {
	name := SidecarName(path)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the model's description: %w", err)
	}
	var s sidecar
	if err := yaml.UnmarshalWithOptions(text, &s, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("model description %s: %w", name, errors.New(yaml.FormatError(err, false, true)))
	}
	return &s, nil
}

func (s *sidecar) labels() ([]string, error) {
	switch labels := s.Labels.(type) {
	case nil:
		return nil, nil
	case string:
		if labels == "coco" {
			return cocoLabels(), nil
		}
	case []any:
		var names []string
		for _, label := range labels {
			names = append(names, fmt.Sprint(label))
		}
		return names, nil
	}
	return nil, errors.New("labels: neither a list of names nor the word coco")
}
