package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sightline/detect/onnx"
	"sightline/kernels/cuda"
	"sightline/pipelines"
	"sightline/pipelines/spec"
)

// warmed is one network that warmup compiled for one input size on one device.
type warmed struct {
	Model     string   `json:"model"`
	Device    string   `json:"device"`
	Engine    string   `json:"engine"`
	Precision string   `json:"precision"`
	Size      string   `json:"size"`
	Rows      int      `json:"rows"`   // the most pictures at a time
	Cached    string   `json:"cached"` // before: it was there; now: it is kept; never: this engine keeps nothing
	Seconds   float64  `json:"seconds"`
	Graphs    int      `json:"cuda_graphs,omitempty"` // of the network so far, recorded anew at each start
	Fallbacks []string `json:"fallbacks,omitempty"`   // why no faster engine runs
}

func newWarmup(sh *shell) *cobra.Command {
	var sets, pictures []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "warmup FILE.yaml [LAYER.yaml …]",
		Short: "Compile a pipeline's networks ahead of time, into the cache",
		Long: "Warmup compiles the networks of a pipeline for the sizes that its streams will ask for, on the devices that it\n" +
			"would use, and keeps what the engine can keep: TensorRT's engines, which take minutes, and OpenVINO's. What is\n" +
			"in the cache already is only loaded. It opens no stream, so tell it the sizes of pictures beyond 16:9 and 4:3.",
		Example: "  sightline warmup pipeline.yaml\n  sightline warmup pipeline.yaml -s detect.engine=tensorrt --picture 1920x1080 --picture 1080x1920",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			p, err := loadFiles(sh, files, sets)
			if err == nil {
				err = sh.useGPU(p.Detect)
			}
			if err != nil {
				return err
			}
			sizes, err := pictureSizes(pictures)
			if err != nil {
				return &ExitError{exitUsage, err}
			}
			all, err := sh.warmup(c.Context(), p, sizes, asJSON)
			if asJSON {
				err = errors.Join(err, json.NewEncoder(sh.out).Encode(all))
			}
			return err
		},
	}
	overrideFlag(c, &sets)
	c.Flags().StringArrayVar(&pictures, "picture", []string{"1920x1080", "640x480"}, "size of a stream's pictures: `WIDTHxHEIGHT` (repeatable)")
	c.Flags().BoolVar(&asJSON, "json", false, "print [{model, device, engine, precision, size, rows, cached, seconds, cuda_graphs, fallbacks}]")
	return c
}

func pictureSizes(texts []string) (all []onnx.Shape, err error) {
	for _, text := range texts {
		s, err := onnx.ParseShape(text)
		if err != nil {
			return nil, fmt.Errorf("--picture: %w", err)
		}
		all = append(all, s)
	}
	return all, nil
}

// warmup compiles every network on every device, and tells of each as it is ready.
func (sh *shell) warmup(ctx context.Context, p *spec.Pipeline, pictures []onnx.Shape, quiet bool) (all []warmed, err error) {
	devices, err := pipelines.GPUs(p.Detect, cuda.Devices)
	if err != nil {
		return nil, err
	}
	if len(devices) == 0 {
		devices = []cuda.Info{{Index: -1}} // the CPU
	}
	var models []string
	for _, st := range p.Streams {
		if st.Detect.Enabled && !slices.Contains(models, st.Detect.Model) {
			models = append(models, st.Detect.Model)
		}
	}
	for _, device := range devices {
		for _, model := range models {
			done, err := sh.warmOn(ctx, device.Index, model, p, pictures, quiet)
			if err != nil && device.Index >= 0 && unasked(p.Detect) && ctx.Err() == nil {
				sh.log.Warn("compiling for the CPU, which a run would take then", "model", model, "error", err)
				done, err = sh.warmOn(ctx, -1, model, p, pictures, quiet)
			}
			all = append(all, done...)
			if err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// unasked tells whether nobody demands a GPU: where it would not compute the network,
// the CPU does.
func unasked(d spec.Detect) bool { return d.Engine == "auto" && d.Device == "auto" }

// warmOn compiles one network on one device, -1 being the CPU.
func (sh *shell) warmOn(ctx context.Context, device int, model string, p *spec.Pipeline, pictures []onnx.Shape, quiet bool) (_ []warmed, err error) {
	path, err := onnx.Find(model, nil)
	if err != nil {
		return nil, err
	}
	o := sh.options()
	o.Cores = runtime.GOMAXPROCS(0)
	c := pipelines.Network(p, path, o)
	c.Cache = onnx.CacheDir() // named, it is written to by every engine that can
	where := "cpu"
	if device >= 0 {
		where = fmt.Sprintf("cuda:%d", device)
		if c.GPU, err = cuda.Open(cuda.Config{Index: device, Logger: sh.log}); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.GPU.Close()) }()
	}
	s, err := onnx.New(c, sh.log)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if device >= 0 && unasked(p.Detect) && s.Info().Engine == "onnxruntime" {
		return nil, fmt.Errorf("no engine computes on %s", where)
	}
	var all []warmed
	for _, picture := range pictures {
		size := s.Ideal(picture.Width, picture.Height)
		if s.Ready(size) {
			continue
		}
		if ctx.Err() != nil {
			return all, errors.New("interrupted: the next run goes on with what is in the cache")
		}
		w, err := sh.warmSize(ctx, s, size, fmt.Sprintf("%s %s on %s", model, size, where))
		if err != nil {
			return all, err
		}
		w.Model, w.Device, w.Rows = model, where, c.MaxBatch
		all = append(all, w)
		if !quiet {
			printWarmed(sh, w)
		}
	}
	return all, nil
}

// warmSize compiles one size, and shows on a terminal how long it takes. It cannot be
// interrupted, and says so.
func (sh *shell) warmSize(ctx context.Context, s *onnx.Session, size onnx.Shape, what string) (warmed, error) {
	before, _ := s.Cached(size)
	bar := sh.progress(0, "compiling "+what)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		interrupted := ctx.Done()
		for {
			select {
			case <-tick.C:
				_ = bar.Add(1) // it turns; a terminal that is gone is no reason to stop
			case <-interrupted:
				fmt.Fprintln(sh.err, "interrupted: stopping once this is compiled; interrupt again to stop at once")
				interrupted = nil
			case <-stop:
				return
			}
		}
	}()
	start := time.Now()
	err := s.Prepare(size)
	close(stop)
	<-stopped
	_ = bar.Finish()
	if err != nil {
		return warmed{}, err
	}
	info := s.Info()
	w := warmed{Engine: info.Engine, Precision: info.Precision, Size: size.String(), Seconds: time.Since(start).Seconds(), Cached: "never", Graphs: s.Graphs()}
	if after, ok := s.Cached(size); ok && before {
		w.Cached = "before"
	} else if after {
		w.Cached = "now"
	}
	for _, why := range s.Fallbacks() {
		w.Fallbacks = append(w.Fallbacks, why.Error())
	}
	return w, nil
}

func printWarmed(sh *shell, w warmed) {
	kept := map[string]string{
		"before": "was in the cache", "now": "is in the cache now", "never": "this engine keeps nothing: it is compiled at each start",
	}[w.Cached]
	fmt.Fprintf(sh.out, "%s %s on %s: %s %s, batches up to %d, %.1f s, %s\n", w.Model, w.Size, w.Device, w.Engine, w.Precision, w.Rows, w.Seconds, kept)
	if w.Graphs > 0 {
		fmt.Fprintf(sh.out, "  %s, which each start records anew\n", count(w.Graphs, "CUDA graph"))
	}
	for _, why := range w.Fallbacks {
		fmt.Fprintf(sh.out, "  no faster engine: %s\n", why)
	}
}
