package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/detect"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time { return noon.Add(time.Duration(seconds * 1e9)) }

// who is one track of a scene; its box stands with the middle of its lower edge
// at x, y.
type who struct {
	id     uint64 // 0 is unconfirmed
	x, y   float64
	class  string // person unless set
	unseen bool
}

func (w who) box() detect.Rect { return detect.Rect{X: w.x - .02, Y: w.y - .1, W: .04, H: .1} }

// scenes makes scenes of what the same tracker would say: who was seen when.
type scenes struct{ first, last map[uint64]time.Time }

func (s *scenes) at(seconds float64, people ...who) detect.Scene {
	if s.first == nil {
		s.first, s.last = map[uint64]time.Time{}, map[uint64]time.Time{}
	}
	sc := detect.Scene{At: after(seconds), Frame: detect.FrameInfo{Index: uint64(seconds*10) + 1, PTSMs: seconds * 1000, Width: 1000, Height: 1000},
		Clock: detect.ClockInfo{Source: "file"}}
	for _, w := range people {
		if w.class == "" {
			w.class = "person"
		}
		t := detect.Track{ID: w.id, Class: w.class, Score: .9, Box: w.box(), Confirmed: w.id != 0, Detection: -1}
		if !w.unseen {
			t.Detection = len(sc.Detections)
			s.last[w.id] = sc.At
			sc.Detections = append(sc.Detections, detect.Detection{Class: w.class, Score: .9, Box: w.box()})
		}
		if _, known := s.first[w.id]; !known {
			s.first[w.id] = sc.At
		}
		t.FirstSeen, t.LastSeen = s.first[w.id], s.last[w.id]
		sc.Tracks = append(sc.Tracks, t)
	}
	return sc
}

var (
	kerb = Line{Name: "kerb", Points: [2]detect.Point{{X: 0, Y: .6}, {X: 1, Y: .6}}, Hysteresis: .01}
	door = Zone{Name: "door", Polygon: []detect.Point{{X: .1, Y: .5}, {X: .4, Y: .5}, {X: .4, Y: .9}, {X: .1, Y: .9}}}
)

func newStream(t testing.TB, change func(*Config)) *Stream {
	t.Helper()
	cfg := Config{Info: detect.StreamInfo{Site: "hq", Name: "gate"}, Lines: []Line{kerb}, Zones: []Zone{door}, Confidence: .4}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// brief writes events of the given types, or of all but detections, one a line.
func brief(events []detect.Event, types ...detect.Type) string {
	var lines []string
	for _, e := range events {
		if len(types) == 0 && e.Type == detect.Detections || len(types) > 0 && !slices.Contains(types, e.Type) {
			continue
		}
		lines = append(lines, line(e))
	}
	return strings.Join(lines, "\n")
}

func line(e detect.Event) string {
	parts := []string{string(e.Type), e.Subject[strings.Index(e.Subject, "/")+1:]}
	d := e.Data
	if d.Line != nil && d.Line.Direction != "" {
		parts = append(parts, d.Line.Name, d.Line.Direction)
	}
	if z := d.Zone; z != nil {
		switch {
		case z.Occupancy != nil:
			parts = append(parts, fmt.Sprint(*z.Occupancy))
		case z.DwellS != nil:
			parts = append(parts, z.Name, fmt.Sprint("visit ", z.Visit, " ", *z.DwellS, "s"))
		default:
			parts = append(parts, z.Name, fmt.Sprint("visit ", z.Visit))
		}
	}
	if w := d.Window; w != nil {
		parts = append(parts, w.Start.Format("15:04:05")+"-"+w.End.Format("15:04:05"), fmt.Sprint(w.CoveredS, "s"))
		for _, c := range *d.Counts {
			parts = append(parts, fmt.Sprint(c.Class, " ", c.Direction, " ", c.Count))
		}
	}
	if d.Object != nil && strings.HasPrefix(string(e.Type), "object.") {
		parts = append(parts, d.Object.State)
		if len(d.Object.Zones) > 0 {
			parts = append(parts, fmt.Sprint(d.Object.Zones))
		}
	}
	if len(d.Changed) > 0 {
		parts = append(parts, "changed "+strings.Join(d.Changed, ","))
	}
	if d.EndReason != "" {
		parts = append(parts, d.EndReason)
	}
	if d.Reason != nil {
		parts = append(parts, d.Reason.Code)
	}
	return strings.Join(parts, " ")
}

// step is one scene of a table and what it must give.
type step struct {
	at     float64
	people []who
	want   string
}

func run(t *testing.T, s *Stream, steps []step, types ...detect.Type) {
	t.Helper()
	s.Online("e", noon)
	var sc scenes
	for i, st := range steps {
		if got := brief(s.Apply(sc.at(st.at, st.people...)), types...); got != st.want {
			t.Fatalf("step %d, second %v:\ngot  %q\nwant %q", i, st.at, got, st.want)
		}
	}
}
