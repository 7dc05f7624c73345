package optimize

import (
	"fmt"
	"slices"
)

// Step is what one transformation did.
type Step struct {
	Name   string `json:"name"`
	Detail string `json:"detail"` // in words, for people
	Count  int    `json:"count"`  // how many places it changed
	After  *Stage `json:"after,omitempty"`
}

// Report is what was done to a network and what came of it.
type Report struct {
	Source       string         `json:"source"`
	SourceDigest string         `json:"source_digest"` // SHA-256
	Out          string         `json:"out,omitempty"`
	Digest       string         `json:"digest"` // of the file that was written, or would be
	Mode         string         `json:"mode"`
	Stream       string         `json:"stream,omitempty"` // that it is for; "": any
	Classes      []string       `json:"classes"`
	Calibration  string         `json:"calibration_digest"` // of the pictures' samples
	Pictures     int            `json:"pictures"`           // that both networks looked at, and which served for nothing else
	Proofs       int            `json:"proofs,omitempty"`   // networks that they judged, one after the other until one passed: more than one choose a little
	Learned      int            `json:"learned_pictures"`   // that ranges and weights were fitted to
	Chosen       int            `json:"choice_pictures"`    // that candidates were chosen by
	Least        float64        `json:"least_score"`        // boxes are compared from it on
	Steps        []Step         `json:"steps"`
	Before       Size           `json:"before"`
	After        Size           `json:"after"`
	Layers       []LayerChange  `json:"layers"`
	Engines      []EngineReport `json:"engines"`
	AP50         [2]float64     `json:"ap50,omitzero"`     // before and after, where there was ground truth, on frames that nothing was learned from or chosen by
	AP50All      [2]float64     `json:"ap50_all,omitzero"` // the same on all frames
	Tried        []string       `json:"tried,omitempty"`   // what did not keep the budget before
	Points       []Point        `json:"points,omitempty"`  // all that were tried, the one that passed last
	Agreement    float64        `json:"agreement"`         // that was asked for
	Examples     []Example      `json:"examples,omitempty"`
	Passed       bool           `json:"passed"`
	Reason       string         `json:"reason,omitempty"` // why it did not

	known []uint64
}

// Known tells whether something was learned from a frame, counted from 1, of a video,
// or chosen by it: a network proves nothing there.
func (r *Report) Known(frame int) bool { return slices.Contains(r.known, uint64(frame)) }

// Point is one network that was tried.
type Point struct {
	Name      string  `json:"name"`
	Recall    float64 `json:"recall"`
	Precision float64 `json:"precision"`
	Speedup   float64 `json:"speedup,omitempty"` // over the original on the same engine; 0: not timed
	Reason    string  `json:"reason,omitempty"`  // why it was refused; "": it was not
}

// EngineReport is how the two networks compare on one engine.
type EngineReport struct {
	Engine    string    `json:"engine"`
	Precision string    `json:"precision"`
	Input     [2]string `json:"input"`     // size before and after
	Agreement Agreement `json:"agreement"` // at the size after
	Race      Race      `json:"race"`
	Values    *Values   `json:"values,omitempty"` // where the outputs are of no family, and no boxes are compared
	// OverPlain is how many times as fast it is as the original on ONNX Runtime in
	// 32-bit floats; 0 where that is not here.
	OverPlain float64 `json:"over_onnxruntime_f32,omitempty"`

	examples []Example
}

// fault says why the engine's boxes are not as they should be: the same but for
// rounding in 32-bit floats where nothing else was to change; at least alike where
// it was, and in fewer bits, which round otherwise when the arithmetic is arranged
// otherwise; and boxes enough to tell. "" is no fault.
func (e EngineReport) fault(mode string, agreement float64) string {
	a := e.Agreement
	if few := tooFew(e.Engine, a.Boxes); few != "" {
		return few
	}
	if mode == ExactMode && e.Precision == "f32" && !a.Exactly() {
		return fmt.Sprintf("on %s boxes differ by more than rounding: recall %.4f, precision %.4f, sides by %.2g of the picture, scores by %.2g",
			e.Engine, a.Recall, a.Precision, a.Shift, a.Score)
	}
	if min(a.Recall, a.Precision) < agreement {
		return fmt.Sprintf("on %s in %s recall is %.4f and precision %.4f, less than %.4f", e.Engine, e.Precision, a.Recall, a.Precision, agreement)
	}
	return ""
}

// rounded tells whether an engine looked in numbers fine enough for an exact
// comparison, or none can: integers step otherwise where sums are rounded otherwise.
func (r *Report) rounded() bool {
	return slices.ContainsFunc(r.Engines, func(e EngineReport) bool { return e.Precision == "f32" || e.Precision == "int8" })
}
