package pipelines

import (
	"time"

	"sightline/pipelines/optimization"
)

// OptimizeStatus is how a stream's optimized network is doing.
type OptimizeStatus struct {
	Working   string     `json:"working"`           // optimized or original
	Mode      string     `json:"mode"`              // exact, general or scene
	Since     *time.Time `json:"since,omitempty"`   // it works; absent: since the start
	Speedup   float64    `json:"speedup,omitempty"` // times as fast as the original, when it was made; absent: unknown
	Waits     string     `json:"waits,omitempty"`   // for what, where there is an optimized network that is not used: next_start
	Budget    float64    `json:"budget"`            // least recall and precision
	Every     int        `json:"every"`             // one inference in so many is looked at by both, more often while in doubt; 0: none
	Recall    float64    `json:"recall"`            // of the original's boxes, those the optimized network found, over the last looks
	Precision float64    `json:"precision"`         // of the optimized network's boxes, those the original has
	Boxes     int        `json:"boxes"`             // of the original, in those looks
	Window    int        `json:"window"`
	Looks     LookCounts `json:"looks"`
	Falls     int        `json:"falls"`            // times that the original had to take over
	Reason    string     `json:"reason,omitempty"` // of the last change

	Making *optimization.Status `json:"making,omitempty"` // where it is made in the background
}

// nextStart is what a network waits for that no running stream can take.
const nextStart = "next_start"

// status is nil for a nil shadow.
func (w *shadow) status() *OptimizeStatus {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	v, last := &w.verdict, w.verdict.Window()
	out := &OptimizeStatus{
		Working: "original", Budget: v.Budget, Every: v.Every, Recall: last.Recall, Precision: last.Precision,
		Mode: w.mode, Boxes: last.Boxes, Window: last.Looks, Looks: w.counts, Falls: v.Falls(), Reason: w.told.Message,
	}
	if w.inUse.Load() {
		out.Working = "optimized"
	}
	if w.member != nil {
		making := w.member.maker.Status()
		out.Making = &making
		if making.Made != nil {
			out.Speedup = making.Made.Speedup
		}
		if w.member.waits.Load() {
			out.Waits = nextStart
		}
	}
	if !w.since.IsZero() {
		since := w.since
		out.Since = &since
	}
	return out
}
