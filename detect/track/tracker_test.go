package track

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/detect"
)

func det(class string, score, x float64) detect.Detection {
	return detect.Detection{Class: class, Score: score, Box: detect.Rect{X: x, Y: 0.4, W: 0.05, H: 0.2}}
}

// TestTracker gives boxes frame by frame, 100 ms apart, and looks at the tracks
// of each frame: "1" has a box, "(1)" has none, "?" is unconfirmed.
func TestTracker(t *testing.T) {
	p := func(score, x float64) detect.Detection { return det("person", score, x) }
	none := []detect.Detection{}
	type step struct {
		dets []detect.Detection
		want string
	}
	long := func(n int, s step) []step { return slices.Repeat([]step{s}, n) }
	tests := []struct {
		name  string
		steps []step
	}{
		{"two boxes in a row make an object", []step{{[]detect.Detection{p(.9, .1)}, "?"}, {[]detect.Detection{p(.9, .1)}, "1"}}},
		{"a single box is nothing", []step{{[]detect.Detection{p(.9, .1)}, "?"}, {none, ""}, {[]detect.Detection{p(.9, .1)}, "?"}}},
		{"a box under new begins nothing", []step{{[]detect.Detection{p(.59, .1)}, ""}, {[]detect.Detection{p(.59, .1)}, ""}}},
		{"low boxes keep an object", []step{{[]detect.Detection{p(.9, .1)}, "?"}, {[]detect.Detection{p(.9, .1)}, "1"}, {[]detect.Detection{p(.1, .1)}, "1"}, {[]detect.Detection{p(.2, .1)}, "1"}}},
		{"boxes under low do not", []step{{[]detect.Detection{p(.9, .1)}, "?"}, {[]detect.Detection{p(.9, .1)}, "1"}, {[]detect.Detection{p(.09, .1)}, "(1)"}}},
		{"ids are given in order of confirmation", []step{
			{[]detect.Detection{p(.9, .1)}, "?"}, {[]detect.Detection{p(.9, .5)}, "?"}, {[]detect.Detection{p(.9, .1), p(.9, .5)}, "1 ?"},
			{[]detect.Detection{p(.9, .1), p(.9, .5)}, "1 2"}}},
		{"an object comes back within lost", slices.Concat(
			[]step{{[]detect.Detection{p(.9, .1)}, "?"}, {[]detect.Detection{p(.9, .1)}, "1"}}, long(29, step{none, "(1)"}), []step{{[]detect.Detection{p(.9, .1)}, "1"}})},
		{"and is another one later", slices.Concat(
			[]step{{[]detect.Detection{p(.9, .1)}, "?"}, {[]detect.Detection{p(.9, .1)}, "1"}}, long(30, step{none, "(1)"}),
			[]step{{none, ""}, {[]detect.Detection{p(.9, .1)}, "?"}, {[]detect.Detection{p(.9, .1)}, "2"}})},
		{"a car may be a truck, not a person", []step{
			{[]detect.Detection{det("car", .9, .1)}, "?"}, {[]detect.Detection{det("truck", .8, .1)}, "1"}, {[]detect.Detection{p(.9, .1)}, "(1) ?"}}},
		{"nobody can follow a box without an area", []step{
			{[]detect.Detection{{Class: "person", Score: 1}, {Class: "person", Score: 1, Box: detect.Rect{X: math.NaN(), W: 1, H: 1}},
				{Class: "person", Score: 1, Box: detect.Rect{W: math.Inf(1), H: 1}}}, ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr, err := New(Defaults())
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range tt.steps {
				at := start.Add(time.Duration(i) * 100 * time.Millisecond)
				if got := describe(tr.Update(at, detect.Rect{W: 1, H: 1}, s.dets)); got != s.want {
					t.Fatalf("step %d: got %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

func describe(tracks []detect.Track) string {
	var parts []string
	for _, o := range tracks {
		s := fmt.Sprint(o.ID)
		if !o.Confirmed {
			s = "?"
		}
		if o.Detection < 0 {
			s = "(" + s + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

func confirmed(t *testing.T, at time.Time) *Tracker {
	t.Helper()
	tr, err := New(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	tr.Update(at, detect.Rect{}, []detect.Detection{det("person", .9, .1)})
	tr.Update(at, detect.Rect{}, []detect.Detection{det("person", .9, .1)})
	return tr
}

func TestHoleEndsTracks(t *testing.T) {
	tr := confirmed(t, start)
	if got := describe(tr.Update(start.Add(3*time.Second+1), detect.Rect{}, []detect.Detection{det("person", .9, .1)})); got != "?" {
		t.Errorf("after a hole: got %q, want a new track", got)
	}
}

func TestTimeNeverRunsBackward(t *testing.T) {
	tr := confirmed(t, start)
	got := tr.Update(start.Add(-time.Hour), detect.Rect{}, []detect.Detection{det("person", .9, .1)})
	if describe(got) != "1" || !got[0].LastSeen.Equal(start) {
		t.Errorf("got %q, last seen %v", describe(got), got[0].LastSeen)
	}
}

func TestRegionNotLookedAt(t *testing.T) {
	tr := confirmed(t, start)
	elsewhere := detect.Rect{X: .5, Y: 0, W: .5, H: 1}
	for i := range 100 {
		if got := describe(tr.Update(start.Add(time.Duration(i)*100*time.Millisecond), elsewhere, nil)); got != "(1)" {
			t.Fatalf("step %d: got %q", i, got)
		}
	}
	at := start.Add(10 * time.Second)
	if got := describe(tr.Update(at, detect.Rect{W: 1, H: 1}, []detect.Detection{det("person", .9, .1)})); got != "1" {
		t.Errorf("looked at again: got %q", got)
	}
}

// TestPace follows one walker through streams of different pace: time, not
// frames, decides.
func TestPace(t *testing.T) {
	for _, fps := range []int{3, 5, 10, 30, 60} {
		tr, err := New(Defaults())
		if err != nil {
			t.Fatal(err)
		}
		var last []detect.Track
		for i := range 4 * fps {
			seconds := float64(i) / float64(fps)
			last = tr.Update(start.Add(time.Duration(seconds*1e9)), detect.Rect{}, []detect.Detection{det("person", .9, .05+.1*seconds)})
		}
		if describe(last) != "1" {
			t.Errorf("%d frames a second: got %q, want one track", fps, describe(last))
		}
	}
}

func TestDuplicateEnds(t *testing.T) {
	tr := confirmed(t, start)
	lost := *tr.live[0]
	lost.id, lost.born, lost.first = 2, 2, start.Add(-time.Minute)
	tr.lost = append(tr.lost, &lost)
	tr.dropDuplicates()
	if len(tr.live) != 0 || len(tr.lost) != 1 || tr.lost[0].id != 2 {
		t.Errorf("got %d live and %d lost, want the older one alone", len(tr.live), len(tr.lost))
	}
}

// TestInvariants follows noise: whatever comes, ids are unique and never come
// back, a box is taken once, tracks are in order, and the same boxes give the
// same tracks.
func TestInvariants(t *testing.T) {
	for seed := range uint64(20) {
		if a, b := follow(t, seed), follow(t, seed); a != b {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}

func follow(t *testing.T, seed uint64) string {
	rng := rand.New(rand.NewPCG(seed, 7))
	tr, err := New(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	classes := []string{"person", "car", "truck"}
	var log strings.Builder
	alive, dead := map[uint64]bool{}, map[uint64]bool{}
	at := start
	for range 300 {
		at = at.Add(time.Duration(rng.IntN(400)) * time.Millisecond)
		dets := make([]detect.Detection, rng.IntN(8))
		for i := range dets {
			dets[i] = det(classes[rng.IntN(3)], rng.Float64(), float64(rng.IntN(20))/20)
		}
		tracks := tr.Update(at, detect.Rect{}, dets)
		taken, now := map[int]bool{}, map[uint64]bool{}
		for _, o := range tracks {
			if o.Detection >= 0 && (taken[o.Detection] || dets[o.Detection].Box != o.Box) {
				t.Fatalf("seed %d: box %d of track %d", seed, o.Detection, o.ID)
			}
			taken[o.Detection] = true
			if o.Confirmed != (o.ID != 0) || o.Confirmed && (dead[o.ID] || now[o.ID]) {
				t.Fatalf("seed %d: track %d again", seed, o.ID)
			}
			now[o.ID] = true
		}
		for id := range alive {
			if !now[id] {
				dead[id] = true
			}
		}
		delete(now, 0)
		alive = now
		if !slices.IsSortedFunc(tracks, func(a, b detect.Track) int { return cmp.Compare(a.ID-1, b.ID-1) }) {
			t.Fatalf("seed %d: tracks out of order: %s", seed, describe(tracks))
		}
		fmt.Fprintf(&log, "%+v\n", tracks)
	}
	return log.String()
}

func TestValidate(t *testing.T) {
	tests := map[string]func(*Config){
		"low 0.6, high 0.5": func(c *Config) { c.Low = .6 },
		"new 0.4":           func(c *Config) { c.New = .4 },
		"overlap 0":         func(c *Config) { c.Overlap = 0 },
		"confirm 0":         func(c *Config) { c.Confirm = 0 },
		"lost 0s":           func(c *Config) { c.Lost = 0 },
		"motion":            func(c *Config) { c.Motion.Step = 0 },
		"car is in two":     func(c *Config) { c.Groups = append(c.Groups, []string{"car"}) },
	}
	for want, change := range tests {
		cfg := Defaults()
		change(&cfg)
		if _, err := NewFactory(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f, err := NewFactory(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := f(), f(); a == b {
		t.Error("the factory gave one tracker twice")
	}
}
