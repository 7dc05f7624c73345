package optimization

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"sightline/pipelines/spec"
)

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
	if sum, err := digest(filepath.Join(folder, m.File)); err != nil || sum != m.Digest {
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

// Cached is what a stream's folder of optimized networks has.
type Cached struct {
	Stream string `json:"stream"`
	Status
}

// CachedFor says what there is for the streams of a file that asks for smaller
// networks: the one that was used last for each. It opens no network, and may be asked
// while the pipeline runs.
func CachedFor(sp *spec.Pipeline) (out []Cached) {
	for i := range sp.Streams {
		st := &sp.Streams[i]
		if st.Detect.Optimize == nil || !st.Detect.Enabled {
			continue
		}
		c := Cached{Stream: st.Name, Status: Status{State: Collecting, Wanted: st.Detect.Optimize.Pictures}}
		root, err := cacheFolder(st.Detect.Optimize)
		if err != nil {
			c.State, c.Reason = Failed, err.Error()
			out = append(out, c)
			continue
		}
		if c.Folder = newest(root, st); c.Folder != "" {
			if have := kept(c.Folder); have.Digest != "" {
				c.State, c.Made = Ready, &have
			} else if have.Refused != "" {
				c.State, c.Reason = Refused, have.Refused
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

// digest is the SHA-256 of a file, in hex.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
