package optimization

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sightline/detect/onnx"
	"sightline/detect/optimize"
	"sightline/pipelines/spec"
)

// CheckBound refuses a network that was made for another stream.
func CheckBound(path string, made *optimize.Provenance, st *spec.Stream) error {
	if made.Mode != optimize.SceneMode || made.Bind == st.Bind() {
		return nil
	}
	return fmt.Errorf("model %s was made for the scene of stream %s alone (configuration %s, not %s) and is nearly blind elsewhere: "+
		"use its original here, or make one for this stream: sightline optimize MODEL -o OUT.onnx --mode scene --config FILE.yaml --stream %s",
		path, made.Stream, short(made.Bind), short(st.Bind()), st.Name)
}

func short(digest string) string { return digest[:min(len(digest), 12)] }

// FindOriginal finds the file that a network was made of, by its digest: beside it, or
// among the models at hand.
func FindOriginal(path string, made *optimize.Provenance, dirs []string) (string, error) {
	folders := append([]string{filepath.Dir(path)}, onnx.ModelDirs(dirs)...)
	for i, dir := range folders {
		if slices.Contains(folders[:i], dir) {
			continue
		}
		entries, _ := os.ReadDir(dir) // a folder that is not there, or not for us, has no models
		for _, e := range entries {
			file := filepath.Join(dir, e.Name())
			if filepath.Ext(file) != ".onnx" {
				continue
			}
			if sum, err := digest(file); err == nil && sum == made.Source {
				return file, nil
			}
		}
	}
	return "", fmt.Errorf("model %s is watched by the network that it was made of (SHA-256 %s…), which is neither beside it nor among the models at hand: put it there",
		path, short(made.Source))
}
