package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sightline/pipelines/spec"
)

func newBench(sh *shell) *cobra.Command {
	l := load{}
	var only, device, asJSON = "", "", false
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how many streams fit on this machine and what the bottleneck is",
		Long: "Bench plays a clip as many streams through the whole pipeline: first as fast as it goes, then as cameras\n" +
			"in real time, fewer each time until every one keeps its detect.fps with a p95 event latency under a second.\n" +
			"Time spent is measured inside the program, by stage; compare runs on a quiet machine only.",
		Example: "  sightline bench\n  sightline bench --clip c1080p25.mp4 --streams 8 --json\n  sightline bench --streams 4 --only cameras --brokers localhost:9092\n  sightline bench --device cuda:0 --clip c1080p25.mp4",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if l.clip == "" {
				l.clip = filepath.Join(findDeps(), "media", "vtest.mp4")
			}
			if _, err := os.Stat(l.clip); err != nil {
				return fmt.Errorf("the clip is not there (`make setup` makes the default one): %w", err)
			}
			if only != "" && only != "saturated" && only != "cameras" {
				return &ExitError{exitUsage, errors.New("--only is saturated or cameras")}
			}
			if device != "" {
				l.sets = append(l.sets, "detect.device="+device)
			}
			if strings.HasPrefix(device, "cuda:") {
				l.sets = append(l.sets, "decode.hwaccel=cuda")
			}
			if err := l.place(sh); err != nil {
				return err
			}
			r, err := bench(cmd.Context(), sh, l, only)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(sh.out).Encode(r)
			}
			printBench(sh.out, l, r)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&l.clip, "clip", "", "video `FILE` to play")
	f.IntVar(&l.streams, "streams", 0, "`N` streams; 0 is 8 when saturated, and as many cameras as fit")
	f.StringVar(&only, "only", "", "measure only `saturated` or `cameras`")
	f.DurationVar(&l.warm, "warm", time.Second, "run this long before measuring")
	f.DurationVar(&l.length, "for", 8*time.Second, "length of each measurement")
	f.Float64Var(&l.fps, "fps", 5, "inferences a second and stream")
	f.StringVar(&device, "device", "", "infer and decode on `DEVICE`: auto, cpu or cuda:N; a pipeline's detect.device where it is left out")
	f.StringVar(&l.brokers, "brokers", "", "Kafka `HOST:PORT` that events go to; none only makes them")
	f.StringVar(&l.topic, "topic", "sightline.bench", "`TOPIC` there")
	f.BoolVar(&asJSON, "json", false, "print the measurements as JSON")
	overrideFlag(c, &l.sets)
	return c
}

// place goes on in the binary that can use a GPU, where one is to be used.
func (l load) place(sh *shell) error {
	l.streams = max(1, l.streams)
	sp, err := spec.Parse("bench.yaml", l.pipeline(), l.sets, sh.env)
	if err != nil {
		return err
	}
	return sh.useGPU(sp.Detect)
}

// benchResult is what bench found out.
type benchResult struct {
	Saturated  *loadResult `json:"saturated,omitempty"`
	Cameras    *loadResult `json:"cameras,omitempty"` // the most that kept up, or as many as were asked for
	Kept       bool        `json:"kept"`              // every camera kept its rate within the latency
	Bottleneck string      `json:"bottleneck,omitempty"`
}

// What cameras must keep to count as served.
const (
	keptFPS    = 0.98
	keptP95    = 1000 // ms
	mostTrials = 6
)

func bench(ctx context.Context, sh *shell, l load, only string) (r benchResult, err error) {
	if only != "cameras" {
		run := l
		if run.streams == 0 {
			run.streams = 8
		}
		sh.log.Info("measuring as fast as it goes", "streams", run.streams, "for", run.length)
		s, err := run.run(ctx, sh)
		if err != nil {
			return r, err
		}
		r.Saturated, r.Bottleneck = &s, bottleneck(s.StageMs)
	}
	if only == "saturated" {
		return r, nil
	}
	run := l
	run.cameras = true
	if run.streams == 0 {
		run.streams = 1
		if r.Saturated != nil {
			run.streams = max(1, int(r.Saturated.Inferences/l.fps))
		}
	}
	for range mostTrials {
		sh.log.Info("measuring cameras", "streams", run.streams, "for", run.length)
		c, err := run.run(ctx, sh)
		if err != nil {
			return r, err
		}
		r.Cameras, r.Kept = &c, c.LeastFPS >= keptFPS*l.fps && c.P95Ms < keptP95
		if r.Kept || l.streams > 0 || run.streams == 1 {
			break
		}
		run.streams = max(1, run.streams-max(1, run.streams/10))
	}
	return r, nil
}

// bottleneck is the stage that takes most.
func bottleneck(stages map[string]float64) (name string) {
	for _, s := range []string{"decode", "preprocess", "infer", "rest"} {
		if name == "" || stages[s] > stages[name] {
			name = s
		}
	}
	return name
}

func printBench(w io.Writer, l load, r benchResult) {
	if s := r.Saturated; s != nil {
		fmt.Fprintf(w, "%s, %s on %s %s\n", filepath.Base(l.clip), s.Model.Name, s.Model.Engine, s.Model.Precision)
		fmt.Fprintf(w, "saturated  %d streams: %.1f inferences a second (%.2f to %.2f a stream), %.2f cores\n", s.Streams, s.Inferences, s.LeastFPS, s.MostFPS, s.Cores)
		form := "           CPU an inference: %.1f ms = decode %.1f + preprocess %.2f + infer %.1f + rest %.2f; bottleneck: %s\n"
		if s.Device != "" {
			form = "           CPU an inference: %.1f ms, of it decode %.1f, preprocess %.2f; on " + s.Device + " %.1f ms, shared by its batch; rest of CPU %.2f; bottleneck: %s\n"
		}
		fmt.Fprintf(w, form, s.CPUMs, s.StageMs["decode"], s.StageMs["preprocess"], s.StageMs["infer"], s.StageMs["rest"], r.Bottleneck)
	}
	if c := r.Cameras; c != nil {
		verdict := "keep"
		if !r.Kept {
			verdict = "do not keep"
		}
		fmt.Fprintf(w, "cameras    %d %s %g inferences a second (least %.2f), event latency p50 %.0f ms, p95 %.0f ms; %.2f cores, %.0f MiB; dropped: %s\n",
			c.Streams, verdict, l.fps, c.LeastFPS, c.P50Ms, c.P95Ms, c.Cores, c.PSSMiB, counts(c.Dropped))
	}
}
