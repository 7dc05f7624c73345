package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sightline/detect"
	"sightline/detect/eval"
	"sightline/ingest/file"
	"sightline/pipelines"
	"sightline/pipelines/spec"
)

// leastScore is where the curve behind AP50 ends: boxes below it are not made.
const leastScore = 0.05

func newEval(sh *shell) *cobra.Command {
	var video, truth string
	var sets []string
	var asJSON bool
	o := eval.Options{}
	c := &cobra.Command{
		Use:   "eval --video FILE --gt GT.txt",
		Short: "Measure accuracy on a video with ground truth",
		Long: "Eval runs the whole pipeline over a video, every frame of it, and measures what it found against ground\n" +
			"truth in MOTChallenge text form: AP50 over all boxes from a score of 0.05 on; precision, recall, MOTA, IDF1\n" +
			"and HOTA at the working confidence. The measures are those of COCO, py-motmetrics and TrackEval.",
		Example: "  sightline eval --video vtest.avi --gt pets09.txt\n  sightline eval --video vtest.avi --gt pets09.txt --last 400 -s detect.engine=onnxruntime --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := evaluate(cmd.Context(), sh, video, truth, sets, o)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(sh.out).Encode(r)
			}
			printEval(sh, r)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&video, "video", "", "the `FILE` to look at")
	f.StringVar(&truth, "gt", "", "ground truth `FILE`, MOTChallenge text; SIGHTLINE_GT when absent")
	f.Float64Var(&o.Confidence, "confidence", 0.4, "the working confidence")
	f.StringSliceVar(&o.Classes, "classes", []string{"person"}, "classes that count as the annotated one")
	f.IntVar(&o.First, "first", 1, "first frame measured, from 1")
	f.IntVar(&o.Last, "last", 0, "last frame measured; 0 is the last annotated one")
	f.BoolVar(&asJSON, "json", false, "print the measures as JSON")
	overrideFlag(c, &sets)
	return c
}

func evaluate(ctx context.Context, sh *shell, video, truth string, sets []string, o eval.Options) (eval.Result, error) {
	s, err := see(ctx, sh, video, truth, sets, o)
	if err != nil {
		return eval.Result{}, err
	}
	return eval.Evaluate(s.truth, s.frames, s.options)
}

// sight is what is in a video, and what was found in it.
type sight struct {
	truth   eval.GroundTruth
	frames  []eval.Frame
	options eval.Options // with the size of the pictures
}

// see runs the pipeline over every frame of a video that has ground truth.
func see(ctx context.Context, sh *shell, video, truth string, sets []string, o eval.Options) (sight, error) {
	if path, ok := sh.env("SIGHTLINE_GT"); ok && truth == "" {
		truth = path
	}
	if video == "" || truth == "" {
		return sight{}, &ExitError{exitUsage, errors.New("eval needs --video and --gt (or SIGHTLINE_GT)")}
	}
	f, err := os.Open(truth)
	if err != nil {
		return sight{}, fmt.Errorf("read ground truth: %w", err)
	}
	defer f.Close()
	gt, err := eval.ReadMOT(f)
	if err != nil {
		return sight{}, fmt.Errorf("read ground truth %s: %w", truth, err)
	}
	frames, err := detectAll(ctx, sh, video, sets, &o)
	return sight{gt, frames, o}, err
}

// detectAll runs the pipeline over every frame of the video.
func detectAll(ctx context.Context, sh *shell, video string, sets []string, o *eval.Options) ([]eval.Frame, error) {
	text := fmt.Sprintf("version: 1\nname: eval\ndetect: { fps: all, confidence: %v, classes: [%s] }\nstreams: { video: { url: '%s', pace: fastest } }\n",
		leastScore, strings.Join(o.Classes, ", "), yamlQuoted(video))
	sp, err := spec.Parse("eval.yaml", []byte(text), sets, sh.env)
	if err != nil {
		return nil, err
	}
	total := 0 // not known
	if info, err := file.Probe(ctx, video); err == nil {
		total = int(info.Duration.Seconds() * info.FPS)
	}
	bar := sh.progress(total, "looking at frames")
	defer bar.Finish()
	var frames []eval.Frame
	options := sh.options()
	options.Unbound = true
	options.OnEvent = func(ev *detect.Event) {
		if ev.Type == detect.Detections {
			o.Width, o.Height = ev.Data.Frame.Width, ev.Data.Frame.Height
			bar.Add(1)
			frames = append(frames, eval.Frame{Index: int(ev.Data.Frame.Index), Boxes: *ev.Data.Objects})
		}
	}
	p, err := pipelines.New(sp, options)
	if err != nil {
		return nil, err
	}
	if err := p.Run(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(frames, func(a, b eval.Frame) int { return cmp.Compare(a.Index, b.Index) })
	return frames, ctx.Err()
}

// yamlQuoted is s for use between single quotes, variables switched off.
func yamlQuoted(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "'", "''"), "${", "$${")
}

func printEval(sh *shell, r eval.Result) {
	fmt.Fprintf(sh.out, "%d frames, %d annotated boxes of %d objects; %d boxes of %d tracks found\n",
		r.Frames, r.TruthBoxes, r.TruthTracks, r.Boxes, r.Tracks)
	fmt.Fprintf(sh.out, "  AP50 %.4f, precision %.4f, recall %.4f\n", r.AP50, r.Precision, r.Recall)
	fmt.Fprintf(sh.out, "  tracked boxes: MOTA %.4f, IDF1 %.4f, HOTA %.4f, %d switches\n", r.Tracked.MOTA, r.Tracked.IDF1, r.Tracked.HOTA, r.Tracked.Switches)
	fmt.Fprintf(sh.out, "  all boxes:     MOTA %.4f, IDF1 %.4f, HOTA %.4f, %d switches\n", r.MOTA, r.IDF1, r.HOTA, r.Switches)
}
