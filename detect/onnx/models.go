package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ModelFile is a model at hand.
type ModelFile struct {
	Name string // as it is named in a pipeline: the file's name without .onnx
	Path string
	Spec *Spec // nil when Err says why it cannot be used
	Err  error
}

// ModelDirs are the folders where models are looked for: dirs, those of
// SIGHTLINE_MODELS (a list like PATH), then .deps/models beside the executable
// and above the working directory.
func ModelDirs(dirs []string) []string {
	all := append([]string{}, dirs...)
	all = append(all, filepath.SplitList(os.Getenv("SIGHTLINE_MODELS"))...)
	return append(all, upward("models")...)
}

// Models lists the models in the folders of ModelDirs, reading each file. The
// first of a name hides later ones, as in Find.
func Models(dirs []string) ([]ModelFile, error) {
	var all []ModelFile
	for _, path := range modelFiles(dirs) {
		spec, err := ReadSpec(path)
		all = append(all, ModelFile{Name: modelName(path), Path: path, Spec: spec, Err: err})
	}
	if len(all) == 0 {
		return nil, errors.New("no models at hand: `make setup` fetches the default one")
	}
	return all, nil
}

// Find returns the path of a model: name itself when it is a path (it has a
// slash or ends in .onnx), else that of NAME.onnx in the folders of ModelDirs.
func Find(name string, dirs []string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) || strings.HasSuffix(name, ".onnx") {
		if _, err := os.Stat(name); err != nil {
			return "", fmt.Errorf("find model: %w", err)
		}
		return name, nil
	}
	var known []string
	for _, path := range modelFiles(dirs) {
		if modelName(path) == name {
			return path, nil
		}
		known = append(known, modelName(path))
	}
	if len(known) == 0 {
		return "", fmt.Errorf("find model %q: no models at hand (`make setup` fetches the default one)", name)
	}
	return "", fmt.Errorf("find model %q: nearest at hand are %s; a path ends in .onnx", name, strings.Join(nearest(name, known), ", "))
}

func modelName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".onnx") }

// modelFiles are the first files of each name, in the order of folders and names.
func modelFiles(dirs []string) []string {
	var paths, names []string
	for _, dir := range ModelDirs(dirs) {
		entries, _ := os.ReadDir(dir) // a folder that is not there, or not for us, has no models
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, ".onnx") && !slices.Contains(names, name) {
				names, paths = append(names, name), append(paths, filepath.Join(dir, name))
			}
		}
	}
	return paths
}
