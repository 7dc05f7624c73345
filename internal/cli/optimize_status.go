package cli

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"sightline/pipelines"
	"sightline/pipelines/optimization"
)

// printOptimized says how a stream's optimized network is doing; nil says nothing.
func printOptimized(w io.Writer, o *pipelines.OptimizeStatus) {
	if o == nil {
		return
	}
	if m := o.Making; m != nil {
		fmt.Fprintf(w, "  optimized network (%s): %s\n", o.Mode, makingText(*m))
		if m.Made == nil {
			return
		}
	}
	fmt.Fprintf(w, "  the %s network works", o.Working)
	if o.Waits != "" {
		fmt.Fprint(w, ", the other is taken at the next start")
	}
	if o.Window > 0 {
		fmt.Fprintf(w, "; over %s the optimized one has recall %.3f and precision %.3f, at least %.3f is wanted", count(o.Window, "look"), o.Recall, o.Precision, o.Budget)
	}
	fmt.Fprintf(w, "; looks skipped %d, failed %d\n", o.Looks.Skipped, o.Looks.Failed)
	if o.Falls > 0 && o.Since != nil { // without: it is about to
		fmt.Fprintf(w, "  the original had to take over %s; since %s the %s works: %s\n", count(o.Falls, "time"), o.Since.Format(time.RFC3339), o.Working, o.Reason)
	}
}

// makingText says how far a network is.
func makingText(m optimization.Status) string {
	text := m.State
	left := func(of string) {
		if m.Left > 0 {
			text += fmt.Sprintf(", about %v left%s", time.Duration(math.Ceil(m.Left))*time.Second, of)
		}
	}
	switch m.State {
	case "collecting":
		text += fmt.Sprintf(" pictures, %d of %d", m.Pictures, m.Wanted)
		left("")
	case "compiling":
		if m.Step != "" {
			text += ": " + m.Step
		}
		if m.Of > 0 {
			text += fmt.Sprintf(", %d of %d", m.Done, m.Of)
		}
		left(" in this step")
	case "ready":
		if m.Made != nil {
			text += fmt.Sprintf(", recall %.3f and precision %.3f when it was made, %.1f times as fast", m.Made.Recall, m.Made.Precision, m.Made.Speedup)
		}
	}
	if m.Failures > 0 {
		text += fmt.Sprintf(", could not be made %s", count(m.Failures, "time"))
	}
	if m.Retry != nil {
		text += ", again at " + m.Retry.Format(time.RFC3339)
	}
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return text
}

// examineOptimized says which networks were made for a pipeline's streams, as far as
// their folders tell.
func examineOptimized(found []optimization.Cached) (out []finding) {
	for _, c := range found {
		f := finding{Part: "optimized " + c.Stream, OK: c.State == "ready", Found: makingText(c.Status)}
		switch c.State {
		case "refused":
			f.Todo = "to try again, delete " + c.Folder
		case "collecting":
			f.Todo = "it is made while the pipeline runs, which uses the original meanwhile"
		case "ready":
			f.Found += ", " + filepath.Join(c.Folder, c.Made.File)
		}
		out = append(out, f)
	}
	return out
}
