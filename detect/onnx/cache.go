package onnx

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sightline/internal/ort"
)

// CacheDir is the folder of compiled networks where nothing else is configured:
// SIGHTLINE_CACHE, else sightline in the user's cache folder, else in the temporary one.
func CacheDir() string {
	if dir := os.Getenv("SIGHTLINE_CACHE"); dir != "" {
		return dir
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "sightline")
}

// cache is the folder in force. TensorRT always keeps its engines there, which take
// minutes; OpenVINO where c names it, and takes what is there in any case.
func (c Config) cache() string {
	if c.Cache != "" {
		return c.Cache
	}
	return CacheDir()
}

// CachedEngine is a compiled network in the cache. What it was compiled for is its
// key: an engine serves no other GPU, library or setting.
type CachedEngine struct {
	Folder    string    `json:"-"`
	Bytes     int64     `json:"-"` // on disk
	Model     string    `json:"model"`
	Digest    string    `json:"digest"` // of the model's file
	Engine    string    `json:"engine"`
	Library   string    `json:"library"`           // version of OpenVINO, or of ONNX Runtime and TensorRT
	GPU       string    `json:"gpu,omitempty"`     // its name
	Compute   string    `json:"compute,omitempty"` // compute capability
	Driver    string    `json:"driver,omitempty"`
	Precision string    `json:"precision"`
	Size      string    `json:"size"`
	Rows      int       `json:"rows"` // the most pictures at a time
	Built     time.Time `json:"built"`
}

// label is what the file in each folder is called.
const label = "engine.json"

// folder is where the engine lies below dir: the digest of its key, behind a name
// for people. The model's name, the driver, to which engines are the same, and the time
// are no part of the key.
func (e CachedEngine) folder(dir string) string {
	name := strings.Join([]string{e.Engine, e.Digest[:12], e.Size}, "-")
	e.Model, e.Driver, e.Built = "", "", time.Time{}
	key, err := json.Marshal(e)
	if err != nil {
		panic(err) // of strings and numbers
	}
	sum := sha256.Sum256(key)
	return filepath.Join(dir, name+"-"+hex.EncodeToString(sum[:6]))
}

// begin makes the folder of an engine, and empties it of one that somebody began and
// did not complete: ONNX Runtime fails over half a file instead of building it anew.
func (e CachedEngine) begin() error {
	if !e.kept() {
		if err := os.RemoveAll(e.Folder); err != nil {
			return fmt.Errorf("remove half an engine: %w", err)
		}
	}
	if err := os.MkdirAll(e.Folder, 0o755); err != nil {
		return fmt.Errorf("make a folder for an engine: %w", err)
	}
	return nil
}

// write labels the folder of an engine that is complete.
func (e CachedEngine) write() error {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		panic(err)
	}
	if err := os.MkdirAll(e.Folder, 0o755); err != nil {
		return fmt.Errorf("keep an engine: %w", err)
	}
	whole := filepath.Join(e.Folder, label)
	if err := os.WriteFile(whole+".part", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep an engine: %w", err)
	}
	if err := os.Rename(whole+".part", whole); err != nil {
		return fmt.Errorf("keep an engine: %w", err)
	}
	return nil
}

// CachedEngines lists the compiled networks below dir, CacheDir being the one of
// configurations that name none, the youngest first. A folder that is not there
// holds none; one that was begun but not completed is not listed.
func CachedEngines(dir string) ([]CachedEngine, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list compiled networks: %w", err)
	}
	var all []CachedEngine
	for _, entry := range entries {
		e := CachedEngine{Folder: filepath.Join(dir, entry.Name())}
		text, err := os.ReadFile(filepath.Join(e.Folder, label))
		if err != nil || json.Unmarshal(text, &e) != nil {
			continue // not ours, or not complete
		}
		files, err := os.ReadDir(e.Folder)
		if err != nil {
			return nil, fmt.Errorf("list compiled networks: %w", err)
		}
		for _, f := range files {
			if info, err := f.Info(); err == nil {
				e.Bytes += info.Size()
			}
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b CachedEngine) int { return b.Built.Compare(a.Built) })
	return all, nil
}

// kept tells whether the engine is in the cache, complete.
func (e CachedEngine) kept() bool {
	_, err := os.Stat(filepath.Join(e.Folder, label))
	return err == nil
}

// engineFor describes an engine of TensorRT for one input size.
func (g *gpu) engineFor(c candidate, shape Shape) CachedEngine {
	device := g.device.Info()
	e := CachedEngine{
		Model: g.cfg.Name, Digest: g.spec.Digest, Engine: c.name, GPU: device.Name,
		Library: fmt.Sprintf("%s with TensorRT %d", g.lib.Version(), ort.TensorRT()),
		Compute: fmt.Sprintf("%d.%d", device.Compute[0], device.Compute[1]), Driver: device.Driver,
		Precision: c.precision(g.cfg, g.spec, device.Compute), Size: shape.String(), Rows: g.cfg.MaxBatch, Built: time.Now().UTC(),
	}
	e.Folder = e.folder(g.cfg.cache())
	return e
}

func (g *gpu) engineDir(c candidate, shape Shape) string { return g.engineFor(c, shape).Folder }

// keep labels what TensorRT has built, unless it was there.
func (g *gpu) keep(c candidate, shape Shape) error {
	e := g.engineFor(c, shape)
	if e.kept() {
		return nil
	}
	return e.write()
}

// cached describes what OpenVINO compiles for one input size.
func (e *openvinoEngine) cached(spec *Spec, shape Shape) CachedEngine {
	k := CachedEngine{
		Model: e.cfg.Name, Digest: spec.Digest, Engine: openVINO, Library: e.release, Precision: e.cfg.Precision,
		Size: shape.String(), Rows: min(spec.Input.Chunk, e.cfg.MaxBatch), Built: time.Now().UTC(),
	}
	k.Folder = k.folder(e.cfg.cache())
	return k
}
