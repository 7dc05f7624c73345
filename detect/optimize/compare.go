package optimize

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"

	"sightline/decode"
	"sightline/detect"
)

// trial is a way to run both networks; an empty precision is the engine's own choice.
type trial struct{ engine, precision string }

// compare looks at the pictures with both networks at the size that the optimized
// one sees them at, and times it against the original at its own.
func compare(ctx context.Context, c Config, way trial, candidate string, frames []*decode.Frame, looked func(int), log *slog.Logger) (EngineReport, error) {
	cfg := LookerConfig{Model: c.Model, Engine: way.engine, Precision: way.precision, Input: "model", Classes: c.Classes, LibDirs: c.LibDirs, Least: c.Least - Tolerance}
	own, err := NewLooker(cfg, frames[0], log) // first, as what it cannot run is the original's
	if err != nil {
		return EngineReport{}, err
	}
	defer own.Close()
	cfg.Model = candidate
	is, err := NewLooker(cfg, frames[0], log)
	if err != nil {
		return EngineReport{}, err
	}
	defer is.Close()
	cfg.Model = c.Model
	was := own
	if own.Shape() != is.Shape() {
		if cfg.Input = is.Shape().String(); c.Smaller {
			cfg.Input = "aspect" // what is lost by a smaller input counts too
		}
		if was, err = NewLooker(cfg, frames[0], log); err != nil {
			return EngineReport{}, err
		}
		defer was.Close()
	}
	info := is.Info()
	r := EngineReport{Engine: info.Engine, Precision: info.Precision, Input: [2]string{own.Shape().String(), is.Shape().String()}}
	before, after := make([][]detect.Detection, len(frames)), make([][]detect.Detection, len(frames))
	for i, f := range frames {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if before[i], _, err = was.Look(f); err == nil {
			after[i], _, err = is.Look(f)
		}
		if err != nil {
			return r, err
		}
		looked(i + 1)
	}
	r.Agreement = agreement(before, after, c.Least)
	if r.examples, err = examples(frames, before, after, c.Least); err != nil {
		return r, err
	}
	if r.Race, err = NewRace(own, is, frames, rounds); err != nil || way.engine == plainEngine {
		r.OverPlain = r.Race.Speedup
		return r, err
	}
	cfg.Engine, cfg.Precision, cfg.Input = plainEngine, "", "model"
	if plain, err := NewLooker(cfg, frames[0], log); err == nil { // a machine without it has no such figure
		defer plain.Close()
		race, err := NewRace(plain, is, frames, 1)
		r.OverPlain = race.Speedup
		return r, err
	}
	return r, nil
}

// plainEngine computes in 32-bit floats what it is given, and is what others are
// measured against.
const plainEngine = "onnxruntime"

// digest is the SHA-256 of the pictures' samples.
func digest(frames []*decode.Frame) string {
	h := sha256.New()
	for _, f := range frames {
		fmt.Fprintln(h, f.Width, f.Height, f.Format, f.Color)
		for i := range f.Planes {
			planeRows(f, i, func(row []byte) { h.Write(row) })
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
