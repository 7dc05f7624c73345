package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sightline/detect/eval"
	"sightline/detect/onnx"
	"sightline/detect/optimize"
	"sightline/pipelines/spec"
)

// optimizeFlags is the command line of optimize.
type optimizeFlags struct {
	videos          []string
	every, pictures int
	configs, sets   []string
	stream          string
	length          time.Duration
	target, truth   string
	page            string
	asJSON          bool
	optimize.Config

	bound *spec.Stream // the stream that it is for, nil for any
}

const optimizeLong = `Optimize makes a smaller network out of one, and proves on pictures that it sees the same: both look at them,
and nothing is written that does not keep its budget (exit code 3 says so). The pictures come from videos, or from
a stream of a pipeline as it is now; nobody has to label them. Where something is to be learned, half of them are kept
back for that comparison alone; a third is learned from, and a sixth decides what is taken.

  exact    changes nothing but rounding: offsets, scales and paddings go into the convolutions beside them, what only
           rearranges the outputs is left to this program's own code, and of the classes only those asked for stay.
  general  computes in 8-bit integers besides, in the form that the engine likes best.
  scene    takes away what one camera's view does not need. What is left is a specialist, nearly blind elsewhere: it is
           bound to its stream (--config and --stream), is refused for any other, and while it works the original looks
           at some of the pictures too and takes over when they do not agree anymore.

What was collected and measured is kept in --work: a run that was stopped goes on from there. Ctrl-C while pictures
are collected goes on with those that are there; a second one ends the program.`

const optimizeExamples = `  # exact: nothing changes but rounding; two of 80 classes stay, the input is as the pictures are
  sightline optimize coco-nano -o gate.onnx --video gate.mp4 --classes person,car --fit
  # general: in 8-bit integers, for any scene like these
  sightline optimize coco-nano -o small.onnx --video a.mp4 --video b.mp4 --mode general --agreement 0.98
  # scene: for one camera alone, from half an hour of it now, or from a recording
  sightline optimize coco-nano -o gate.onnx --config site.yaml --stream gate --mode scene --for 30m
  sightline optimize coco-nano -o gate.onnx --config site.yaml --stream gate --mode scene --int8 --video yesterday.mp4
  # what it would come to, with ground truth and a page to look at
  sightline optimize coco-nano --dry-run --video gate.mp4 --gt gate.txt --ap50 0.5 --report gate.html`

func newOptimize(sh *shell) *cobra.Command {
	var o optimizeFlags
	c := &cobra.Command{
		Use:     "optimize MODEL -o OUT.onnx (--video FILE | --config FILE.yaml --stream NAME)",
		Short:   "Make a network smaller and faster, and prove on video that it sees the same",
		Long:    optimizeLong,
		Example: optimizeExamples,
		Args:    oneModel,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Model = args[0]
			return o.run(cmd.Context(), sh)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.Out, "out", "o", "", "the `FILE` to write")
	f.StringArrayVar(&o.videos, "video", nil, "`FILE` to take pictures from, as the cameras see them; may be repeated")
	f.IntVar(&o.every, "every", 5, "of a video take every n-th picture")
	f.IntVar(&o.pictures, "pictures", 160, "take at most this many of each video, or of the stream")
	f.StringArrayVar(&o.configs, "config", nil, "pipeline `FILE` that has the stream; may be repeated for layers")
	f.StringVar(&o.stream, "stream", "", "`NAME` of the stream that it is for: without --video pictures are taken from it now")
	f.DurationVar(&o.length, "for", 10*time.Minute, "spread the pictures of a live stream over this time")
	f.StringVar(&o.Work, "work", defaultWork(), "`FOLDER` of what is kept for a run that goes on later; empty keeps nothing")
	f.StringSliceVar(&o.Classes, "classes", nil, "classes that stay; all when absent")
	f.StringVar(&o.target, "target", "auto", "engine to make it for and prove it on: onnxruntime, openvino, or auto for all that are here")
	f.StringVar(&o.Mode, "mode", optimize.ExactMode, "what may change: exact, general or scene, see above")
	f.Float64Var(&o.Least, "score", 0, "compare boxes from this score on; 0 is 0.05 for exact and 0.4 for the others")
	f.Float64Var(&o.Agreement, "agreement", 0.97, "least recall and precision against the original, where boxes need not be equal")
	f.StringVar(&o.truth, "gt", "", "ground truth `FILE` of the first video, MOTChallenge text, of its class person")
	f.Float64Var(&o.AP50, "ap50", 1, "with --gt: most points of AP50 that may be lost")
	f.BoolVar(&o.Integers, "int8", false, "with --mode scene: compute in 8-bit integers besides")
	f.BoolVar(&o.Smaller, "smaller", false, "with --mode scene: the input may be made smaller")
	f.BoolVar(&o.Fit, "fit", false, "let the input have the pictures' aspect")
	f.BoolVar(&o.DryRun, "dry-run", false, "write nothing, only say what would be")
	f.StringVar(&o.page, "report", "", "write a report to look at to this HTML `FILE`")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	overrideFlag(c, &o.sets)
	return c
}

// defaultWork is where interrupted work is kept.
func defaultWork() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "" // nowhere: then nothing is kept
	}
	return filepath.Join(dir, "sightline", "optimize")
}

func (o *optimizeFlags) run(ctx context.Context, sh *shell) error {
	if err := o.check(); err != nil {
		return &ExitError{exitUsage, err}
	}
	if o.Least == 0 {
		o.Least = 0.4
		if o.Mode == optimize.ExactMode {
			o.Least = 0.05
		}
	}
	if err := o.places(); err != nil { // found out now, not after minutes
		return err
	}
	path, err := onnx.Find(o.Model, nil)
	if err != nil {
		return err
	}
	o.Model = path
	if err := cmp.Or(o.known(), o.engines(sh), o.bind(sh)); err != nil {
		return err
	}
	if err := o.spares(); err != nil {
		return err
	}
	frames, ctx, err := o.frames(ctx, sh)
	if err != nil {
		return err
	}
	defer optimize.Release(frames)
	bar := steps{sh: sh}
	o.Progress, o.Stages = bar.step, true
	if o.truth != "" {
		o.Check = func(ctx context.Context, candidate string, r *optimize.Report) error {
			return o.accuracy(ctx, sh, candidate, r)
		}
	}
	r, err := optimize.Run(ctx, o.Config, frames, sh.log)
	bar.finish()
	if r == nil || err != nil && !errors.Is(err, optimize.ErrBudget) {
		return err
	}
	if told := o.tell(sh, r); told != nil {
		return told
	}
	if err != nil {
		return &ExitError{exitPartial, err}
	}
	return nil
}

// bind finds the stream that the network is for.
func (o *optimizeFlags) bind(sh *shell) error {
	if o.stream == "" {
		return nil
	}
	p, err := loadFiles(sh, o.configs, o.sets)
	if err != nil {
		return err
	}
	var names []string
	for i := range p.Streams {
		if names = append(names, p.Streams[i].Name); p.Streams[i].Name == o.stream {
			o.bound = &p.Streams[i]
		}
	}
	if o.bound == nil {
		return fmt.Errorf("no stream %q in %v: there are %v", o.stream, o.configs, names)
	}
	if o.bound.Kind == spec.WHIP && len(o.videos) == 0 {
		return fmt.Errorf("stream %s is published to, and only a running pipeline is there to be published to: give its stream "+
			"detect: { optimize: { mode: %s } }, which takes the pictures there, or a recording with --video", o.stream, o.Mode)
	}
	if o.bound.Kind == spec.Images && len(o.videos) == 0 {
		return fmt.Errorf("stream %s is a folder of images, of which no pictures are taken: give a video of the same camera with --video", o.stream)
	}
	o.Stream, o.Bind = o.bound.Name, o.bound.Bind()
	return nil
}

// engines are those that the network is proved on.
func (o *optimizeFlags) engines(sh *shell) error {
	o.LibDirs = sh.options().LibDirs
	for _, e := range onnx.Engines(o.LibDirs) {
		switch {
		case o.target != "auto" && o.target != e.Name:
		case e.Err == nil:
			o.Engines = append(o.Engines, e.Name)
		case o.target == e.Name:
			return e.Err
		}
	}
	if len(o.Engines) == 0 {
		return errors.New("there is no engine to prove it on: `sightline doctor` says where onnxruntime and openvino were looked for")
	}
	if o.Mode != optimize.ExactMode { // each engine wants integers in another form
		o.Engines = o.Engines[:1]
	}
	return nil
}

// truthClass is what ground truth is of.
const truthClass = "person"

// accuracy holds both networks against ground truth, over the whole first video and
// without the frames, of any video, that something was learned from.
func (o *optimizeFlags) accuracy(ctx context.Context, sh *shell, candidate string, r *optimize.Report) error {
	calm := *sh // of what a pipeline tells of itself, and of other scenes' networks: both were looked with before
	if !sh.log.Enabled(ctx, slog.LevelDebug) {
		calm.log = slog.New(slog.DiscardHandler)
	}
	for i, model := range []string{o.Model, candidate} {
		sets := []string{"detect.model=" + model, "detect.engine=" + o.Engines[0]}
		s, err := see(ctx, &calm, o.videos[0], o.truth, sets, eval.Options{Confidence: 0.4, Classes: []string{truthClass}, First: 1})
		if err != nil {
			return err
		}
		all, err := eval.Evaluate(s.truth, s.frames, s.options)
		if err != nil {
			return err
		}
		s.options.Without = r.Known // what was learned by heart is no accuracy
		unseen, err := eval.Evaluate(s.truth, s.frames, s.options)
		if err != nil {
			return err
		}
		r.AP50[i], r.AP50All[i] = unseen.AP50, all.AP50
	}
	if r.AP50[0] == 0 {
		return fmt.Errorf("%w: the original finds nothing of what is in %s, so that nothing is proved", optimize.ErrBudget, o.truth)
	}
	if lost := 100 * (r.AP50[0] - r.AP50[1]); lost > o.AP50 {
		return fmt.Errorf("%w: AP50 falls by %.2f points, more than %.2f", optimize.ErrBudget, lost, o.AP50)
	}
	return nil
}
