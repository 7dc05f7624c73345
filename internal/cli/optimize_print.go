package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/schollz/progressbar/v3"

	"sightline/detect/optimize"
)

// steps shows how far long work of several steps has come. Where nobody looks at a
// terminal each step is logged when it begins.
type steps struct {
	sh   *shell
	name string
	bar  *progressbar.ProgressBar
}

func (s *steps) step(name string, done, of int) {
	if s.bar == nil || name != s.name {
		s.finish()
		s.name, s.bar = name, s.sh.progress(of, name)
		s.sh.log.Debug("optimizing", "step", name)
	}
	if of > 0 {
		s.bar.ChangeMax(of)
	}
	s.bar.Set(done)
}

func (s *steps) finish() {
	if s.bar != nil {
		s.bar.Finish()
	}
}

func (o *optimizeFlags) tell(sh *shell, r *optimize.Report) error {
	if o.page != "" {
		f, err := os.Create(o.page)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := errors.Join(r.Page(f), f.Close()); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if o.asJSON {
		return json.NewEncoder(sh.out).Encode(r)
	}
	fmt.Fprintf(sh.out, "%s, %d pictures", filepath.Base(r.Source), r.Pictures)
	if r.Learned > 0 {
		fmt.Fprintf(sh.out, " to prove on, %d others to learn from and %d to choose by", r.Learned, r.Chosen)
	}
	if r.Proofs > 1 {
		fmt.Fprintf(sh.out, "; %d networks were judged by the same", r.Proofs)
	}
	fmt.Fprintln(sh.out)
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
		fmt.Fprintf(sh.out, "AP50 %.4f → %.4f on frames that nothing was learned from, %.4f → %.4f on all\n", r.AP50[0], r.AP50[1], r.AP50All[0], r.AP50All[1])
	}
	switch {
	case r.Out == "":
	case r.Engines[0].Values != nil: // which no pipeline could use
		fmt.Fprintf(sh.out, "%s written\n", r.Out)
	default:
		fmt.Fprintf(sh.out, "%s written: use it as `detect: { model: %s }`%s%s\n", r.Out, r.Out, classesHint(r.Classes), streamHint(r.Stream))
	}
	return nil
}

// likeness says how alike the two networks' boxes are.
func likeness(e optimize.EngineReport) string {
	a := e.Agreement
	if v := e.Values; v != nil {
		return fmt.Sprintf("all %d values equal (within %.0e of the largest)", v.Count, max(v.Off, 1e-7))
	}
	if a.Boxes == 0 {
		return "no boxes to compare"
	}
	if a.Exactly() {
		return fmt.Sprintf("all %d boxes equal (sides within %.0e of the picture, scores within %.0e)", a.Boxes, a.Shift, a.Score)
	}
	return fmt.Sprintf("recall %.4f, precision %.4f of %d boxes", a.Recall, a.Precision, a.Boxes)
}

// streamHint says which stream alone a network is for.
func streamHint(stream string) string {
	if stream == "" {
		return ""
	}
	return " for stream " + stream + " alone: elsewhere it is nearly blind, and refused"
}

func classesHint(classes []string) string {
	if len(classes) == 0 {
		return ""
	}
	return " with `classes: [" + strings.Join(classes, ", ") + "]`"
}
