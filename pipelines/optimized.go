package pipelines

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"sightline/detect/onnx"
	"sightline/detect/optimize"
	"sightline/pipelines/optimization"
	"sightline/pipelines/spec"
)

// shadowEvery is how often the original looks where no file says it.
const shadowEvery = 50

// networks returns the network that a stream begins with, and what watches it; nil
// where nothing does. A model that says of itself that it was made for one scene works
// for the stream that it was made for alone, and its original is needed too; so is
// that of one made for any scene where the file asks for it to be watched. Where a
// smaller network is to be made in the background, the original works meanwhile.
func (p *Pipeline) networks(st *spec.Stream, g *gpu, o Options, log *slog.Logger) (net network, w *shadow, err error) {
	plain := func() (network, *shadow, error) {
		net, err := p.network(st, g, o, log)
		return net, nil, err
	}
	if !st.Detect.Enabled {
		return plain()
	}
	path, err := onnx.Find(st.Detect.Model, o.ModelDirs)
	if err != nil {
		return network{}, nil, err
	}
	made, err := optimize.ReadProvenance(path)
	if err != nil || made == nil { // what is wrong with the file shows when it is loaded
		if st.Detect.Optimize == nil || o.Unbound {
			return plain()
		}
		return p.making(st, path, g, o, log)
	}
	switch err := bound(path, made, st); {
	case err != nil && !o.Unbound:
		return network{}, nil, err
	case err != nil:
		log.Warn("the network is not made for this scene", slog.Any("error", err))
		return plain()
	case o.Unbound || !watched(made, st):
		return plain()
	}
	original, err := findOriginal(path, made, o.ModelDirs)
	if err != nil {
		return network{}, nil, err
	}
	every := shadowEvery
	if st.Detect.Optimize != nil {
		every = st.Detect.Optimize.Shadow
	}
	if net, err = p.network(st, g, o, log); err != nil {
		return network{}, nil, err
	}
	other, err := p.sibling(st, original, net.detector.spec.Labels, g, o, log)
	if err != nil {
		return network{}, nil, fmt.Errorf("the original of %s: %w", path, err)
	}
	w = newShadow(made.Mode, every, made.Agreement, st.Detect.Confidence)
	w.begin(&other)
	return net, w, nil
}

// sibling is another network for a stream, which is asked for the same classes as the
// first: all that it knows, where the stream names none.
func (p *Pipeline) sibling(st *spec.Stream, model string, labels []string, g *gpu, o Options, log *slog.Logger) (network, error) {
	one := *st
	one.Detect.Model = model
	if len(one.Detect.Classes) == 0 {
		one.Detect.Classes = labels
	}
	return p.network(&one, g, o, log)
}

// watched tells whether an optimized network needs its original.
func watched(made *optimize.Provenance, st *spec.Stream) bool {
	switch made.Mode {
	case optimize.SceneMode:
		return true
	case optimize.GeneralMode:
		return st.Detect.Optimize != nil && st.Detect.Optimize.Shadow > 0
	}
	return false // nothing but rounding
}

// bound refuses a network that was made for another stream.
func bound(path string, made *optimize.Provenance, st *spec.Stream) error {
	if made.Mode != optimize.SceneMode || made.Bind == st.Bind() {
		return nil
	}
	return fmt.Errorf("model %s was made for the scene of stream %s alone (configuration %s, not %s) and is nearly blind elsewhere: "+
		"use its original here, or make one for this stream: sightline optimize MODEL -o OUT.onnx --mode scene --config FILE.yaml --stream %s",
		path, made.Stream, short(made.Bind), short(st.Bind()), st.Name)
}

func short(digest string) string { return digest[:min(len(digest), 12)] }

// findOriginal finds the file that a network was made of, by its digest: beside it, or
// among the models at hand.
func findOriginal(path string, made *optimize.Provenance, dirs []string) (string, error) {
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
			if sum, err := optimization.Digest(file); err == nil && sum == made.Source {
				return file, nil
			}
		}
	}
	return "", fmt.Errorf("model %s is watched by the network that it was made of (SHA-256 %s…), which is neither beside it nor among the models at hand: put it there",
		path, short(made.Source))
}
