package pipelines

// OptimizeStatus is how a stream's optimized network is doing.
type OptimizeStatus struct {
	Working   string     `json:"working"`   // optimized or original
	Budget    float64    `json:"budget"`    // least recall and precision
	Every     int        `json:"every"`     // one inference in so many is looked at by both, more often while in doubt; 0: none
	Recall    float64    `json:"recall"`    // of the original's boxes, those the optimized network found, over the last looks
	Precision float64    `json:"precision"` // of the optimized network's boxes, those the original has
	Boxes     int        `json:"boxes"`     // of the original, in those looks
	Window    int        `json:"window"`
	Looks     LookCounts `json:"looks"`
	Falls     int        `json:"falls"`            // times that the original had to take over
	Reason    string     `json:"reason,omitempty"` // of the last change

	Making *MakeStatus `json:"making,omitempty"` // where it is made in the background
}

// status is nil for a nil shadow.
func (w *shadow) status() *OptimizeStatus {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	v := &w.verdict
	out := &OptimizeStatus{
		Working: "original", Budget: v.budget, Every: v.every, Recall: v.long.recall(), Precision: v.long.precision(),
		Boxes: v.long.sum.Boxes, Window: len(v.long.looks), Looks: w.counts, Falls: v.falls, Reason: w.told.Message,
	}
	if w.inUse.Load() {
		out.Working = "optimized"
	}
	if w.member != nil {
		making := w.member.maker.snapshot()
		out.Making = &making
	}
	return out
}
