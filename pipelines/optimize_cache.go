package pipelines

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/cpu"

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
	if sum, err := fileDigest(filepath.Join(folder, filepath.Base(m.File))); err != nil || sum != m.Digest {
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
		Version: recipeVersion, Model: model.Digest, Meta: model.Metadata(), Mode: o.Mode, Budget: o.Agreement, Engine: engine, CPU: processor(),
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

// processor names the kind of processor by what engines compute small numbers with. What
// was proved on one may differ on another: without instructions for it, products of
// 8-bit integers are added up in 16 bits, and cut off there.
func processor() string {
	x, a := cpu.X86, cpu.ARM64
	words := []string{runtime.GOARCH}
	for _, f := range []struct {
		has  bool
		name string
	}{
		{x.HasAVX2, "avx2"}, {x.HasAVX512BW, "avx512bw"}, {x.HasAVX512VNNI, "avx512_vnni"}, {x.HasAVXVNNI, "avx_vnni"}, {x.HasAVXVNNIInt8, "avx_vnni_int8"},
		{x.HasAMXInt8, "amx_int8"}, {x.HasAVX512BF16, "avx512_bf16"}, {x.HasAMXBF16, "amx_bf16"}, {a.HasASIMDDP, "asimddp"}, {a.HasI8MM, "i8mm"}, {a.HasSVE, "sve"},
	} {
		if f.has {
			words = append(words, f.name)
		}
	}
	return strings.Join(words, " ")
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
// networks: the newest that was begun for each. It opens no network, and may be asked
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
		for _, folder := range begun(root, st) {
			c.Folder = folder
			if have := kept(folder); have.Digest != "" {
				c.State, c.Made = makeReady, &have
			} else if have.Refused != "" {
				c.State, c.Reason = makeRefused, have.Refused
			}
		}
		out = append(out, c)
	}
	return out
}

// begun are the folders of networks for a stream, oldest first.
func begun(root string, st *spec.Stream) []string {
	type folder struct {
		path string
		at   int64
	}
	var found []folder
	entries, _ := os.ReadDir(root) // none yet: nothing was begun
	for _, e := range entries {
		path := filepath.Join(root, e.Name())
		var r recipe
		text, err := os.ReadFile(filepath.Join(path, recipeFile))
		if err != nil || json.Unmarshal(text, &r) != nil || r.Mode != st.Detect.Optimize.Mode || !slices.Contains(r.Binds, st.Bind()) {
			continue
		}
		if info, err := e.Info(); err == nil {
			found = append(found, folder{path, info.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(found, func(a, b folder) int { return cmp.Compare(a.at, b.at) })
	out := make([]string, len(found))
	for i, f := range found {
		out[i] = f.path
	}
	return out
}
