package quality

import (
	"fmt"
	"slices"
	"time"

	"gocv.io/x/gocv"

	"sightline/decode"
)

// every is the least time between two looks.
const every = time.Second

// Change is a condition that has begun or is over.
type Change struct {
	Condition Condition
	Active    bool
	Message   string // what was seen, of one that has begun
}

// Watch looks at one stream's pictures. Time is that of the pictures. One
// goroutine at a time; Close gives its native memory back.
type Watch struct {
	config Config
	eye    *eye // nil before the first look
	usual  reference
	states map[Condition]*state

	looked   bool // since the epoch began
	last     time.Duration
	keyframe bool   // one was seen since the last look
	previous []byte // samples of the last look
}

// state is what is known of one condition.
type state struct {
	active  bool
	counted bool          // evidence against how things stand is being counted
	since   time.Duration // began
	looks   int           // of such evidence
	missed  int           // looks in a row that did not bear it out
	keys    int           // keyframes among the evidence, of frozen
}

// New returns a Watch; Close must follow.
func New(c Config) (*Watch, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("quality: %w", err)
	}
	w := &Watch{config: c, states: map[Condition]*state{}}
	for _, condition := range All() {
		w.states[condition] = &state{}
	}
	return w, nil
}

// Close frees what the looks need.
func (w *Watch) Close() {
	if w.eye != nil {
		w.eye.close()
	}
}

// Due is told of every decoded frame and says whether to look at it.
func (w *Watch) Due(f *decode.Frame) bool {
	w.keyframe = w.keyframe || f.Keyframe
	return !w.looked || f.PTS-w.last >= every || f.PTS < w.last
}

// Reset begins a new epoch, whose time has nothing to do with the last one's. What
// the camera usually shows and what is wrong with it now stay known: it may have
// been turned while it was away.
func (w *Watch) Reset() {
	w.looked, w.previous = false, w.previous[:0]
	for _, s := range w.states {
		s.counted = false
	}
}

// Look looks at f, which the caller keeps, and returns the conditions watched for
// that have begun or ended. It takes less than a millisecond. f is whole: damage
// is no matter of quality here.
func (w *Watch) Look(f *decode.Frame) ([]Change, error) {
	luma, err := brightness(f)
	if err != nil {
		return nil, fmt.Errorf("look at a picture's quality: %w", err)
	}
	defer luma.Close()
	return w.look(f, luma)
}

// LookAtRows is Look at a frame that is elsewhere, of whose luma the rows 0, Step, twice
// Step … are here, as many as there are whole steps, without gaps.
func (w *Watch) LookAtRows(f *decode.Frame, rows []byte) ([]Change, error) {
	luma, err := of(f, rows)
	if err != nil {
		return nil, fmt.Errorf("look at a picture's quality: %w", err)
	}
	defer luma.Close()
	return w.look(f, luma)
}

func (w *Watch) look(f *decode.Frame, luma gocv.Mat) ([]Change, error) {
	if w.eye == nil {
		w.eye = newEye()
	}
	m, err := w.eye.look(f, luma)
	if err != nil {
		return nil, fmt.Errorf("look at a picture's quality: %w", err)
	}
	after := every
	if w.looked && f.PTS > w.last {
		after = f.PTS - w.last
	}
	wrong := w.judge(m)
	w.freeze(wrong, f.PTS)
	w.looked, w.last, w.keyframe, w.previous = true, f.PTS, false, append(w.previous[:0], m.samples...)
	if len(wrong) == 0 {
		w.usual.learn(m, after)
	}
	var changes []Change
	for _, c := range All() {
		message, seen := wrong[c]
		if !w.states[c].weigh(seen, f.PTS, w.config.For) {
			continue
		}
		active := w.states[c].active
		if c == Moved && active {
			w.usual = reference{} // this is how things are from now on
		}
		if slices.Contains(w.config.Watch, c) {
			changes = append(changes, Change{c, active, message})
		}
	}
	return changes, nil
}

// freeze holds evidence of frozen to more than the others': between keyframes a
// coder passes over the noise of a scene in which nothing happens, but each
// keyframe shows it anew. So one look that differs takes all of it back, and a
// keyframe must be among it, or six times as much.
func (w *Watch) freeze(wrong map[Condition]string, at time.Duration) {
	s := w.states[Frozen]
	if _, seen := wrong[Frozen]; !seen || s.active {
		s.counted, s.keys = s.counted && s.active, 0
		return
	}
	if !s.counted {
		s.keys = 0
	} else if w.keyframe {
		s.keys++
	}
	if s.counted && s.keys == 0 && at-s.since < 6*w.config.For {
		s.looks = 0 // not enough yet, however long it takes
	}
}

// weigh takes one look's word and tells whether that changed the state: when all
// looks but single ones have said so for long enough.
func (s *state) weigh(seen bool, at, enough time.Duration) (changed bool) {
	if seen == s.active {
		if s.missed++; s.missed > 1 {
			s.counted = false
		}
		return false
	}
	if !s.counted {
		s.counted, s.since, s.looks = true, at, 0
	}
	s.missed = 0
	s.looks++
	if at-s.since < enough || s.looks < 3 {
		return false
	}
	s.active, s.counted = seen, false
	return true
}

// Limits of the conditions. An active one is over at the second value.
var (
	blackBelow  = limit{0.06, 0.10}  // of the brightest samples
	lostAbove   = limit{0.65, 0.50}  // share of cells without their detail
	alikeAbove  = limit{0.60, 0.50}  // of the layout, for blurred; covered is below
	matchBelow  = limit{0.30, 0.45}  // of the edges
	frozenBelow = limit{0.002, 0.01} // of the samples, that differ
)

// limit is passed at begin by a condition that is not active, and has to come back
// over end by one that is.
type limit struct{ begin, end float64 }

func (l limit) of(active bool) float64 {
	if active {
		return l.end
	}
	return l.begin
}

// frozenStep is by how many levels a sample that changes must differ: what
// repeating a still picture's coding changes stays below.
const frozenStep = 2

// judge tells what is wrong with a look, with a message each.
func (w *Watch) judge(m *measures) map[Condition]string {
	wrong := map[Condition]string{}
	active := func(c Condition) bool { return w.states[c].active }
	if m.top < blackBelow.of(active(Black)) {
		wrong[Black] = "the picture is black"
		return wrong
	}
	if len(w.previous) == len(m.samples) {
		if changed := changedShare(w.previous, m.samples); changed <= frozenBelow.of(active(Frozen)) {
			wrong[Frozen] = "the picture does not change at all"
		}
	}
	if !w.usual.ready() || !w.usual.fits(m) {
		return wrong
	}
	lost, known := w.usual.lost(m)
	if !known {
		return wrong
	}
	alike, brightness := w.usual.layout(m), m.bright/max(0.01, w.usual.bright)
	gone := lost >= lostAbove.of(active(Covered) || active(Blurred))
	switch {
	case gone && (alike < alikeAbove.of(active(Blurred)) || brightness > 1.6):
		wrong[Covered] = fmt.Sprintf("%.0f %% of the picture has lost its detail, and what is there looks different", 100*lost)
	case gone && brightness > 0.6:
		wrong[Blurred] = fmt.Sprintf("%.0f %% of the picture has lost its detail", 100*lost)
	case !gone:
		if match := w.usual.match(m); match < matchBelow.of(active(Moved)) {
			wrong[Moved] = fmt.Sprintf("the picture's edges agree by %.0f %% with where they were", 100*max(0, match))
		}
	}
	return wrong
}

// changedShare is the share of samples that differ.
func changedShare(a, b []byte) float64 {
	changed := 0
	for i := range a {
		if d := int(a[i]) - int(b[i]); d > frozenStep || d < -frozenStep {
			changed++
		}
	}
	return float64(changed) / float64(max(1, len(a)))
}
