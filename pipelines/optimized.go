package pipelines

import (
	"fmt"
	"log/slog"

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
	switch err := optimization.CheckBound(path, made, st); {
	case err != nil && !o.Unbound:
		return network{}, nil, err
	case err != nil:
		log.Warn("the network is not made for this scene", slog.Any("error", err))
		return plain()
	case o.Unbound || !watched(made, st):
		return plain()
	}
	original, err := optimization.FindOriginal(path, made, o.ModelDirs)
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
