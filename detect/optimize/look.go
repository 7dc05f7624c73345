package optimize

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/onnx"
)

// Looker runs one network on one engine, one picture at a time, at one input size.
// It is used by one goroutine.
type Looker struct {
	session *onnx.Session
	writer  *onnx.Writer
	batch   *onnx.Batch
}

// LookerConfig says which network looks, how, and what for.
type LookerConfig struct {
	Model, Engine string
	Precision     string   // auto when empty
	Input         string   // aspect, model, or WIDTHxHEIGHT
	Classes       []string // nil: all
	LibDirs       []string
	Least         float64 // score from which a box counts
}

// NewLooker opens the network for pictures of the size of f. Close frees it.
func NewLooker(c LookerConfig, f *decode.Frame, log *slog.Logger) (_ *Looker, err error) {
	cfg := onnx.Defaults()
	cfg.Model, cfg.Engine, cfg.Input, cfg.LibDirs, cfg.MaxBatch = c.Model, c.Engine, c.Input, c.LibDirs, 1
	if c.Precision != "" {
		cfg.Precision = c.Precision
	}
	l := &Looker{}
	if l.session, err = onnx.New(cfg, slog.New(quiet{log.Handler()})); err != nil {
		return nil, err
	}
	shape := l.session.Ideal(f.Width, f.Height)
	if err = l.session.Prepare(shape); err == nil {
		if l.writer, err = l.session.NewWriter(onnx.WriterConfig{Threshold: c.Least, Classes: c.Classes}); err == nil {
			l.batch, err = l.session.Open(shape, 1)
		}
	}
	if err != nil {
		l.Close()
		return nil, blame(err, c.Model)
	}
	return l, nil
}

// quiet tells of engines opened only to compare when debugging is asked for.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	if l == slog.LevelInfo {
		l = slog.LevelDebug
	}
	return q.Handler.Enabled(ctx, l)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }

// Info names the engine and precision that really run.
func (l *Looker) Info() detect.Model { return l.session.Info() }

// Shape is the input size.
func (l *Looker) Shape() onnx.Shape { return l.batch.Shape() }

// Look returns what the network finds in a picture and how long the engine took.
func (l *Looker) Look(f *decode.Frame) ([]detect.Detection, time.Duration, error) {
	if err := l.batch.Write(0, l.writer, f); err != nil {
		return nil, 0, err
	}
	start := time.Now()
	if err := l.batch.Run(1); err != nil {
		return nil, 0, err
	}
	found, err := l.batch.Detections(0)
	return found, time.Since(start), err
}

// Close frees the network.
func (l *Looker) Close() {
	if l.batch != nil {
		l.batch.Close()
	}
	if l.writer != nil {
		l.writer.Close()
	}
	l.session.Close()
}

// A Race is two networks timed against each other.
type Race struct {
	Original  time.Duration `json:"original_ns"` // the median of its runs, decoding of boxes included
	Optimized time.Duration `json:"optimized_ns"`
	Speedup   float64       `json:"speedup"` // the median of the pairs' ratios
}

// NewRace times the two in turn, rounds times each picture, so that whatever else
// the machine does meets both.
func NewRace(original, optimized *Looker, frames []*decode.Frame, rounds int) (Race, error) {
	var a, b, ratios []float64
	for i := range rounds * len(frames) {
		f := frames[i%len(frames)]
		_, was, err := original.Look(f)
		if err != nil {
			return Race{}, fmt.Errorf("time the original: %w", err)
		}
		_, is, err := optimized.Look(f)
		if err != nil {
			return Race{}, fmt.Errorf("time what was made of it: %w", err)
		}
		a, b, ratios = append(a, float64(was)), append(b, float64(is)), append(ratios, float64(was)/float64(is))
	}
	return Race{Original: time.Duration(median(a)), Optimized: time.Duration(median(b)), Speedup: median(ratios)}, nil
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[len(v)/2]
}
