package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// Names within the folder of a recipe.
const (
	recipeFile   = "recipe.json"
	picturesFile = "pictures"
	jobFile      = "job.json"
	workFolder   = "work"
	resultFile   = "result.json"
	lockFile     = "lock"
)

// Made is what came of a network that was made in the background.
type Made struct {
	File      string  `json:"file,omitempty"`    // of the network, within its folder
	Digest    string  `json:"digest,omitempty"`  // SHA-256 of it
	Refused   string  `json:"refused,omitempty"` // why there is none: it did not keep its budget
	Few       bool    `json:"few,omitempty"`     // or too little was to be seen to prove anything: other pictures may do
	Recall    float64 `json:"recall,omitempty"`  // of the original's boxes on the pictures held back
	Precision float64 `json:"precision,omitempty"`
	Speedup   float64 `json:"speedup,omitempty"` // times as fast, when it was made
}

// kept reads what a folder has; the zero Made where nothing was made yet, or what was is
// damaged.
func kept(folder string) (m Made) {
	if text, err := os.ReadFile(filepath.Join(folder, resultFile)); err != nil || json.Unmarshal(text, &m) != nil {
		return Made{}
	}
	if m.Digest == "" {
		return Made{Refused: m.Refused}
	}
	m.File = filepath.Base(m.File)
	if sum, err := fileDigest(filepath.Join(folder, m.File)); err != nil || sum != m.Digest {
		return Made{}
	}
	return m
}

// keep writes a value as JSON, wholly or not at all.
func keep(folder, name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".saving-*")
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // gone already where it was renamed
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, name))
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// cacheFolder is where a stream's networks are kept.
func cacheFolder(o *spec.Optimize) (string, error) {
	if o.Cache != "" {
		return o.Cache, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder to keep optimized networks in: set detect.optimize.cache: %w", err)
	}
	return filepath.Join(dir, "sightline", "optimized"), nil
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
	all := peers(sp, st)
	r := recipe{
		Version: recipeVersion, Model: model.Digest, Meta: model.Metadata(), Mode: o.Mode, Budget: o.Agreement, Engine: engine, CPU: strings.Join(onnx.Processor(), " "),
		Least: st.Detect.Confidence, Fit: len(all) == 1 && inputText(sp.Detect.Input) == spec.InputAspect,
	}
	every := false
	for _, one := range all {
		r.Streams, r.Binds = append(r.Streams, one.Name), append(r.Binds, one.Bind())
		r.Least = min(r.Least, one.Detect.Confidence)
		classes := one.Detect.Classes
		if sp.Snapshots != nil {
			classes = withBlurred(classes, sp.Snapshots.Blur)
		}
		every = every || len(classes) == 0
		r.Classes = append(r.Classes, classes...)
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

// Cached is what a stream's folder of optimized networks has.
type Cached struct {
	Stream string `json:"stream"`
	MakeStatus
}

// CachedNetworks says what there is for the streams of a file that asks for smaller
// networks: the one that was used last for each. It opens no network, and may be asked
// while the pipeline runs.
func CachedNetworks(sp *spec.Pipeline) (out []Cached) {
	for i := range sp.Streams {
		st := &sp.Streams[i]
		if st.Detect.Optimize == nil || !st.Detect.Enabled {
			continue
		}
		c := Cached{Stream: st.Name, MakeStatus: MakeStatus{State: makeCollecting, Wanted: st.Detect.Optimize.Pictures}}
		root, err := cacheFolder(st.Detect.Optimize)
		if err != nil {
			c.State, c.Reason = makeFailed, err.Error()
			out = append(out, c)
			continue
		}
		if c.Folder = newest(root, st); c.Folder != "" {
			if have := kept(c.Folder); have.Digest != "" {
				c.State, c.Made = makeReady, &have
			} else if have.Refused != "" {
				c.State, c.Reason = makeRefused, have.Refused
			}
		}
		out = append(out, c)
	}
	return out
}

// newest is the folder of a network for a stream that was used last, "" where there is
// none.
func newest(root string, st *spec.Stream) string {
	for _, f := range cached(root) {
		var r recipe
		text, err := os.ReadFile(filepath.Join(f.path, recipeFile))
		if err == nil && json.Unmarshal(text, &r) == nil && r.Mode == st.Detect.Optimize.Mode && slices.Contains(r.Binds, st.Bind()) {
			return f.path
		}
	}
	return ""
}
