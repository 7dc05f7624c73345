package optimization

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"sightline/detect/onnx"
	"sightline/pipelines/spec"
)

// recipe is everything that a network made in the background depends on; its digest is
// the name of the folder that it is kept in.
type recipe struct {
	Version int               `json:"version"` // of what this program makes of the rest
	Model   string            `json:"model"`   // digest
	Meta    map[string]string `json:"meta"`    // how the model's input and classes are read
	Mode    string            `json:"mode"`
	Budget  float64           `json:"agreement"`
	Classes []string          `json:"classes"` // none: all
	Least   float64           `json:"least_score"`
	Engine  string            `json:"engine"` // with its version
	CPU     string            `json:"cpu"`    // what integers are computed with: the same network differs
	Fit     bool              `json:"fit"`
	Streams []string          `json:"streams"` // whose pictures it is learned from
	Binds   []string          `json:"binds"`   // digests of their configuration
}

const recipeVersion = 2

// key leaves the streams' names out: they may change.
func (r recipe) key() string {
	r.Streams = nil
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // of strings and finite numbers
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// peers are the streams that a network is made for together with st: those of the same
// model and settings, or st alone where it is made for one scene.
func peers(sp *spec.Pipeline, st *spec.Stream) (out []*spec.Stream) {
	for i := range sp.Streams {
		other := &sp.Streams[i]
		o := other.Detect.Optimize
		same := other.Name == st.Name || o != nil && *o == *st.Detect.Optimize && o.Mode != "scene" &&
			other.Detect.Enabled && other.Detect.Model == st.Detect.Model
		if same {
			out = append(out, other)
		}
	}
	return out
}

// recipeFor is what is to be made for a stream of a model that runs on an engine.
func recipeFor(sp *spec.Pipeline, st *spec.Stream, model *onnx.Spec, engine string) recipe {
	o := st.Detect.Optimize
	all, in := peers(sp, st), sp.Detect.Input
	r := recipe{
		Version: recipeVersion, Model: model.Digest, Meta: model.Metadata(), Mode: o.Mode, Budget: o.Agreement, Engine: engine, CPU: strings.Join(onnx.Processor(), " "),
		Least: st.Detect.Confidence, Fit: len(all) == 1 && (in.Policy == "" || in.Policy == spec.InputAspect),
	}
	every := false
	for _, one := range all {
		r.Streams, r.Binds = append(r.Streams, one.Name), append(r.Binds, one.Bind())
		r.Least = min(r.Least, one.Detect.Confidence)
		every = every || len(one.Detect.Classes) == 0
		r.Classes = append(r.Classes, one.Detect.Classes...)
	}
	if sp.Snapshots != nil {
		r.Classes = append(r.Classes, sp.Snapshots.Blur...)
	}
	slices.Sort(r.Binds)
	slices.Sort(r.Classes)
	if r.Classes = slices.Compact(r.Classes); every {
		r.Classes = nil
	}
	return r
}

// engineVersion names the engine that runs a model with its version.
func engineVersion(name string, libDirs []string) string {
	for _, e := range onnx.Engines(libDirs) {
		if e.Name == name {
			return name + " " + e.Version
		}
	}
	return name
}
