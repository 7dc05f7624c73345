package cli

import (
	"fmt"
	"io"
	"path/filepath"

	"sightline/pipelines"
)

// printOptimized says how a stream's optimized network is doing; nil says nothing.
func printOptimized(w io.Writer, o *pipelines.OptimizeStatus) {
	if o == nil {
		return
	}
	if m := o.Making; m != nil {
		fmt.Fprintf(w, "  optimized network: %s\n", makingText(*m))
	}
	if m := o.Making; m != nil && m.Made == nil {
		return
	}
	fmt.Fprintf(w, "  the %s network works", o.Working)
	if o.Window > 0 {
		fmt.Fprintf(w, "; over %d looks the optimized one has recall %.3f and precision %.3f, at least %.3f is wanted", o.Window, o.Recall, o.Precision, o.Budget)
	}
	fmt.Fprintf(w, "; looks skipped %d, failed %d\n", o.Looks.Skipped, o.Looks.Failed)
	if o.Falls > 0 {
		fmt.Fprintf(w, "  the original had to take over %d times; last: %s\n", o.Falls, o.Reason)
	}
}

// makingText says how far a network is.
func makingText(m pipelines.MakeStatus) string {
	text := m.State
	switch {
	case m.Step != "" && m.State == "compiling" && m.Of > 0:
		text += fmt.Sprintf(": %s, %d of %d", m.Step, m.Done, m.Of)
	case m.State == "collecting":
		text += fmt.Sprintf(" pictures, %d of %d", m.Pictures, m.Wanted)
	case m.Reason != "":
		text += ": " + m.Reason
	case m.Made != nil:
		text += fmt.Sprintf(", recall %.3f and precision %.3f when it was made, %.1f times as fast", m.Made.Recall, m.Made.Precision, m.Made.Speedup)
	}
	return text
}

// examineOptimized says which networks were made for a pipeline's streams, as far as
// their folders tell.
func examineOptimized(found []pipelines.Cached) (out []finding) {
	for _, c := range found {
		f := finding{Part: "optimized " + c.Stream, OK: c.State == "ready", Found: makingText(c.MakeStatus)}
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
