package track

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"sightline/detect"
)

// Overlaps as in the authors' code.
const (
	lowOverlap     = 0.5  // the least of a track and a low box
	publishedAgain = 0.3  // the least of a tentative track and its second box; this package uses Config.Overlap
	sameOverlap    = 0.85 // two tracks that overlap more are one
)

// Tracker is ByteTrack (Zhang et al., ECCV 2022): boxes of high score are
// associated first, then those of low score keep the tracks that are left over
// alive, so that somebody half hidden is not lost. Differences from the paper
// are Config's; time is the data's, so frames may come at any pace. It is a
// detect.Tracker.
type Tracker struct {
	cfg    Config
	groups map[string]string // class to the first class of its group

	at     time.Time
	ids    uint64
	births uint64
	live   []*target // took a box in the last update, tentative ones included; by birth
	lost   []*target // confirmed, without a box; by when they were lost
	out    []detect.Track
}

// New makes a tracker for one epoch.
func New(cfg Config) (*Tracker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("tracker: %w", err)
	}
	return newTracker(cfg), nil
}

func newTracker(cfg Config) *Tracker {
	t := &Tracker{cfg: cfg, groups: map[string]string{}}
	for _, g := range cfg.Groups {
		for _, class := range g {
			t.groups[class] = g[0]
		}
	}
	return t
}

// Update implements detect.Tracker. A track whose place lies outside region was
// not looked for and does not age. Boxes without an area are ignored.
func (t *Tracker) Update(at time.Time, region detect.Rect, dets []detect.Detection) []detect.Track {
	t.predict(at, region)
	u := update{at: t.at, dets: dets}
	for i, d := range dets {
		switch {
		case !usable(d.Box):
		case d.Score >= t.cfg.High:
			u.high = append(u.high, i)
		case d.Score >= t.cfg.Low:
			u.low = append(u.low, i)
		}
	}
	var confirmed, tentative []*target
	for _, o := range t.live {
		if o.id != 0 {
			confirmed = append(confirmed, o)
		} else {
			tentative = append(tentative, o)
		}
	}
	u.high = t.associate(u, slices.Concat(confirmed, t.lost), u.high, t.cfg.Overlap, t.cfg.Published)
	u.low = t.associate(u, confirmed, u.low, lowOverlap, false)
	again := t.cfg.Overlap
	if t.cfg.Published {
		again = publishedAgain
	}
	u.high = t.associate(u, tentative, u.high, again, t.cfg.Published)
	t.sort()
	for _, i := range u.high {
		if dets[i].Score >= t.cfg.New {
			t.begin(u, i)
		}
	}
	t.dropDuplicates()
	return t.tracks()
}

// update is what one call is about: the detections and the indices of those
// nobody took yet.
type update struct {
	at        time.Time
	dets      []detect.Detection
	high, low []int
}

// predict moves all tracks to a time, never backward.
func (t *Tracker) predict(at time.Time, region detect.Rect) {
	if t.at.IsZero() {
		t.at = at
	}
	passed := max(at.Sub(t.at), 0)
	t.at = t.at.Add(passed)
	if passed > t.cfg.Lost {
		t.live, t.lost = nil, nil
	}
	steps := float64(passed) / float64(t.cfg.Motion.Step)
	for _, o := range t.live {
		if o.id != 0 || !t.cfg.Published {
			o.filter.predict(steps, t.cfg.Motion)
		}
	}
	for _, o := range t.lost {
		o.filter.h.v = 0 // or it would shrink or grow away
		o.filter.predict(steps, t.cfg.Motion)
	}
	for _, o := range slices.Concat(t.live, t.lost) {
		o.detection = -1
		if o.looked = covers(region, o.filter.box()); o.looked {
			o.missing += passed
		}
	}
}

// associate pairs the targets that have no box yet with the boxes of the given
// indices, so that the sum of overlaps is the largest, and returns the indices
// nobody took. weighted multiplies each overlap with its box's score.
func (t *Tracker) associate(u update, all []*target, boxes []int, least float64, weighted bool) []int {
	targets := slices.DeleteFunc(slices.Clone(all), func(o *target) bool { return o.detection >= 0 })
	if len(targets) == 0 || len(boxes) == 0 {
		return boxes
	}
	gain := make([][]float64, len(targets))
	for i, o := range targets {
		gain[i] = make([]float64, len(boxes))
		where := o.filter.box()
		for j, k := range boxes {
			d := u.dets[k]
			if o.group != t.group(d.Class) {
				continue
			}
			overlap := where.IoU(d.Box)
			if weighted {
				overlap *= d.Score
			}
			if overlap >= least {
				gain[i][j] = overlap - least + 1e-4 // one just good enough is better than none
			}
		}
	}
	taken := make([]bool, len(boxes))
	for i, j := range detect.Assign(gain) {
		if j < 0 {
			continue
		}
		taken[j] = true
		o, d := targets[i], u.dets[boxes[j]]
		o.filter.update(d.Box)
		o.take(u.at, boxes[j], d)
		t.confirm(o)
	}
	var rest []int
	for j, k := range boxes {
		if !taken[j] {
			rest = append(rest, k)
		}
	}
	return rest
}

func (t *Tracker) group(class string) string {
	if g, ok := t.groups[class]; ok {
		return g
	}
	return class
}

func (t *Tracker) begin(u update, index int) {
	d := u.dets[index]
	t.births++
	o := &target{born: t.births, group: t.group(d.Class), votes: map[string]float64{}, filter: newFilter(d.Box), first: u.at}
	o.take(u.at, index, d)
	t.confirm(o)
	t.live = append(t.live, o)
}

func (t *Tracker) confirm(o *target) {
	if o.id == 0 && o.boxes >= t.cfg.Confirm {
		t.ids++
		o.id = t.ids
	}
}

// sort puts the tracks where they belong after an association: those without a
// box are lost, tentative ones and those lost for too long are gone.
func (t *Tracker) sort() {
	var live, lost []*target
	for _, o := range t.lost {
		switch {
		case o.detection >= 0:
			live = append(live, o)
		case o.missing <= t.cfg.Lost:
			lost = append(lost, o)
		}
	}
	for _, o := range t.live {
		switch {
		case o.detection >= 0 || !o.looked:
			live = append(live, o)
		case o.id != 0:
			lost = append(lost, o)
		}
	}
	slices.SortFunc(live, func(a, b *target) int { return cmp.Compare(a.born, b.born) })
	t.live, t.lost = live, lost
}

// dropDuplicates ends the younger of a live and a lost track at one place.
func (t *Tracker) dropDuplicates() {
	gone := map[*target]bool{}
	for _, a := range t.live {
		for _, b := range t.lost {
			if a.group != b.group || a.filter.box().IoU(b.filter.box()) <= sameOverlap {
				continue
			}
			if a.last.Sub(a.first) > b.last.Sub(b.first) {
				gone[b] = true
			} else {
				gone[a] = true
			}
		}
	}
	if len(gone) > 0 {
		dead := func(o *target) bool { return gone[o] }
		t.live, t.lost = slices.DeleteFunc(t.live, dead), slices.DeleteFunc(t.lost, dead)
	}
}

func (t *Tracker) tracks() []detect.Track {
	t.out = t.out[:0]
	for _, o := range slices.Concat(t.live, t.lost) {
		t.out = append(t.out, o.track())
	}
	slices.SortStableFunc(t.out, func(a, b detect.Track) int {
		return cmp.Compare(a.ID-1, b.ID-1) // 0, unconfirmed, becomes the largest
	})
	return t.out
}
