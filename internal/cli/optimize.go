package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sightline/decode"
	"sightline/detect/eval"
	"sightline/detect/onnx"
	"sightline/detect/optimize"
)

// optimizeFlags is the command line of optimize.
type optimizeFlags struct {
	videos          []string
	every, pictures int
	target, truth   string
	ap50            float64
	page            string
	asJSON          bool
	optimize.Config
}

func newOptimize(sh *shell) *cobra.Command {
	var o optimizeFlags
	c := &cobra.Command{
		Use:   "optimize MODEL -o OUT.onnx --video FILE",
		Short: "Make a network smaller and faster, and prove on video that it sees the same",
		Long: "Optimize simplifies a network without changing what it finds: offsets, scales and paddings go into the\n" +
			"convolutions beside them, what only rearranges the outputs is left to this program's own code, and of the\n" +
			"classes only those asked for stay. Both networks then look at the same pictures, and nothing is written\n" +
			"unless their boxes are equal but for rounding; exit code 3 says that they were not.\n\n" +
			"With --mode general it computes in 8-bit integers besides, in the form that the engine likes best, with ranges\n" +
			"learned from half of the pictures; the other half must agree as far as --agreement asks, or more of the network\n" +
			"stays in floats, or nothing is written.",
		Example: "  sightline optimize coco-nano -o gate.onnx --video gate.mp4 --classes person,car\n" +
			"  sightline optimize yolov8n.onnx -o fast.onnx --video a.mp4 --video b.mp4 --fit --report fast.html\n" +
			"  sightline optimize coco-nano -o small.onnx --video gate.mp4 --mode general --agreement 0.98",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Model = args[0]
			return o.run(cmd.Context(), sh)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.Out, "out", "o", "", "the `FILE` to write")
	f.StringArrayVar(&o.videos, "video", nil, "`FILE` to take pictures from, as the cameras see them; may be repeated")
	f.IntVar(&o.every, "every", 5, "take every n-th picture")
	f.IntVar(&o.pictures, "pictures", 160, "take at most this many of each video")
	f.StringSliceVar(&o.Classes, "classes", nil, "classes that stay; all when absent")
	f.StringVar(&o.target, "target", "auto", "engine to prove it on: onnxruntime, openvino, or auto for all that are here")
	f.StringVar(&o.Mode, "mode", optimize.ExactMode, "what may change: exact is nothing but rounding, general computes in 8-bit integers")
	f.Float64Var(&o.Least, "score", 0, "compare boxes from this score on; 0 is 0.05 for exact and 0.4 for general")
	f.Float64Var(&o.Agreement, "agreement", 0.97, "least recall and precision against the original, where boxes need not be equal")
	f.StringVar(&o.truth, "gt", "", "ground truth `FILE` of the first video, MOTChallenge text, of its class person")
	f.Float64Var(&o.ap50, "ap50", 1, "with --gt: most points of AP50 that may be lost")
	f.BoolVar(&o.Fit, "fit", false, "let the input have the pictures' aspect")
	f.BoolVar(&o.DryRun, "dry-run", false, "write nothing, only say what would be")
	f.StringVar(&o.page, "report", "", "write a report to look at to this HTML `FILE`")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	return c
}

func (o *optimizeFlags) run(ctx context.Context, sh *shell) error {
	if err := o.check(); err != nil {
		return &ExitError{exitUsage, err}
	}
	if o.Least == 0 {
		o.Least = map[string]float64{optimize.ExactMode: 0.05, optimize.GeneralMode: 0.4}[o.Mode]
	}
	path, err := onnx.Find(o.Model, nil)
	if err != nil {
		return err
	}
	o.Model = path
	if err := o.engines(sh); err != nil {
		return err
	}
	frames, err := o.frames(ctx, sh)
	if err != nil {
		return err
	}
	defer optimize.Release(frames)
	bar := sh.progress(0, "looking at pictures with both networks")
	o.Progress = func(step string, done, of int) {
		bar.Describe(step)
		bar.ChangeMax(of)
		bar.Set(done)
	}
	if o.truth != "" {
		o.Check = func(ctx context.Context, candidate string, r *optimize.Report) error {
			return o.accuracy(ctx, sh, candidate, r)
		}
	}
	r, err := optimize.Run(ctx, o.Config, frames, sh.log)
	bar.Finish()
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

func (o *optimizeFlags) check() error {
	switch {
	case o.Out == "" && !o.DryRun:
		return errors.New("optimize needs -o FILE, or --dry-run")
	case len(o.videos) == 0:
		return errors.New("optimize needs --video FILE: pictures to prove on that nothing changed")
	case o.Mode != optimize.ExactMode && o.Mode != optimize.GeneralMode:
		return fmt.Errorf("--mode %q is not available in this version: exact and general are", o.Mode)
	case o.Mode == optimize.GeneralMode && o.pictures < 2:
		return errors.New("--mode general wants 2 pictures or more: half of them are kept back for the comparison")
	case o.every < 1 || o.pictures < 1:
		return errors.New("--every and --pictures want 1 or more")
	case o.Classes != nil && len(o.Classes) == 0:
		return errors.New("--classes wants a name, or is left out for all classes")
	case o.truth != "" && o.Classes != nil && !slices.Contains(o.Classes, truthClass):
		return fmt.Errorf("--gt is of the class %s, which is not among --classes", truthClass)
	case !(o.ap50 >= 0 && o.ap50 <= 100):
		return errors.New("--ap50 wants points within 0 and 100")
	case !(o.Least >= 0 && o.Least < 1) || !(o.Agreement >= 0 && o.Agreement <= 1):
		return errors.New("--score and --agreement want a number within 0 and 1")
	}
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
		return fmt.Errorf("no engine %s to prove it on: see `sightline doctor`", o.target)
	}
	if o.Mode == optimize.GeneralMode { // each engine wants integers in another form
		o.Engines = o.Engines[:1]
	}
	return nil
}

// truthClass is what ground truth is of.
const truthClass = "person"

// accuracy holds both networks against ground truth, over the whole first video.
func (o *optimizeFlags) accuracy(ctx context.Context, sh *shell, candidate string, r *optimize.Report) error {
	for i, model := range []string{o.Model, candidate} {
		sets := []string{"detect.model=" + model, "detect.engine=" + o.Engines[0]}
		found, err := evaluate(ctx, sh, o.videos[0], o.truth, sets, eval.Options{Confidence: 0.4, Classes: []string{truthClass}, First: 1})
		if err != nil {
			return err
		}
		r.AP50[i] = found.AP50
	}
	if r.AP50[0] == 0 {
		return fmt.Errorf("%w: the original finds nothing of what is in %s, so that nothing is proved", optimize.ErrBudget, o.truth)
	}
	if lost := 100 * (r.AP50[0] - r.AP50[1]); lost > o.ap50 {
		return fmt.Errorf("%w: AP50 falls by %.2f points, more than %.2f", optimize.ErrBudget, lost, o.ap50)
	}
	return nil
}

// frames are pictures of all videos, which must be of one size.
func (o *optimizeFlags) frames(ctx context.Context, sh *shell) (all []*decode.Frame, err error) {
	for _, video := range o.videos {
		some, err := optimize.Frames(ctx, video, o.every, o.pictures, sh.log)
		all = append(all, some...)
		if err == nil && (some[0].Width != all[0].Width || some[0].Height != all[0].Height) {
			err = fmt.Errorf("%s has pictures of %d×%d, %s of %d×%d: give videos of one camera size at a time",
				video, some[0].Width, some[0].Height, o.videos[0], all[0].Width, all[0].Height)
		}
		if err != nil {
			optimize.Release(all)
			return nil, err
		}
	}
	return all, nil
}

func (o *optimizeFlags) tell(sh *shell, r *optimize.Report) error {
	if o.page != "" {
		f, err := os.Create(o.page)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		defer f.Close()
		if err := r.Page(f); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if o.asJSON {
		return json.NewEncoder(sh.out).Encode(r)
	}
	fmt.Fprintf(sh.out, "%s, %d pictures\n", filepath.Base(r.Source), r.Pictures)
	for _, s := range r.Steps {
		fmt.Fprintf(sh.out, "  %-11s %4d  %s\n", s.Name, s.Count, s.Detail)
	}
	w := tabwriter.NewWriter(sh.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "nodes\t%d\t→ %d\nparameters\t%d\t→ %d\nfile\t%d kB\t→ %d kB\n", r.Before.Nodes, r.After.Nodes,
		r.Before.Parameters, r.After.Parameters, r.Before.Bytes/1000, r.After.Bytes/1000)
	if r.Before.MACs > 0 && r.After.MACs > 0 {
		fmt.Fprintf(w, "multiply-adds\t%d M\t→ %d M\n", r.Before.MACs/1e6, r.After.MACs/1e6)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, e := range r.Engines {
		fmt.Fprintf(sh.out, "%s %s, %s → %s: %.1f → %.1f ms, %.2f times as fast", e.Engine, e.Precision, e.Input[0], e.Input[1],
			float64(e.Race.Original)/1e6, float64(e.Race.Optimized)/1e6, e.Race.Speedup)
		if e.OverPlain > 0 && e.OverPlain != e.Race.Speedup {
			fmt.Fprintf(sh.out, " (%.2f times ONNX Runtime in f32)", e.OverPlain)
		}
		fmt.Fprintf(sh.out, "; %s\n", likeness(e))
	}
	if r.AP50[0] > 0 {
		fmt.Fprintf(sh.out, "AP50 %.4f → %.4f\n", r.AP50[0], r.AP50[1])
	}
	if r.Out != "" {
		fmt.Fprintf(sh.out, "%s written: use it as `detect: { model: %s }`%s\n", r.Out, r.Out, classesHint(r.Classes))
	}
	return nil
}

// likeness says how alike the two networks' boxes are.
func likeness(e optimize.EngineReport) string {
	a := e.Agreement
	if a.Boxes == 0 {
		return "no boxes to compare"
	}
	if a.Exactly() {
		return fmt.Sprintf("all %d boxes equal (sides within %.0e of the picture, scores within %.0e)", a.Boxes, a.Shift, a.Score)
	}
	return fmt.Sprintf("recall %.4f, precision %.4f of %d boxes", a.Recall, a.Precision, a.Boxes)
}

func classesHint(classes []string) string {
	if len(classes) == 0 {
		return ""
	}
	return " with `classes: [" + strings.Join(classes, ", ") + "]`"
}
