package rules

import (
	"testing"
	"time"

	"sightline/detect"
)

func at(id uint64, x, y float64) []who { return []who{{id: id, x: x, y: y}} }

func TestCrossing(t *testing.T) {
	const down, up = "line.crossed e-1 kerb forward", "line.crossed e-1 kerb backward"
	short := Line{Name: "kerb", Points: [2]detect.Point{{X: .4, Y: .6}, {X: .6, Y: .6}}, Hysteresis: .01}
	upward := Line{Name: "kerb", Points: [2]detect.Point{{X: .5, Y: .9}, {X: .5, Y: .1}}, Hysteresis: .01}
	center := kerb
	center.Anchor = AnchorCenter
	tests := []struct {
		name  string
		line  Line
		steps []step
	}{
		{"down is forward, up is backward", kerb, []step{{0, at(1, .5, .5), ""}, {1, at(1, .5, .7), down}, {2, at(1, .5, .5), up}}},
		{"left to right of an arrow pointing up is forward", upward, []step{{0, at(1, .4, .5), ""}, {1, at(1, .6, .5), down}, {2, at(1, .4, .5), up}}},
		{"dithering counts once", kerb, []step{
			{0, at(1, .5, .58), ""}, {1, at(1, .5, .602), down}, {2, at(1, .5, .598), ""}, {3, at(1, .5, .605), ""}, {4, at(1, .5, .597), ""}, {5, at(1, .5, .603), ""}}},
		{"and again after having been away", kerb, []step{
			{0, at(1, .5, .58), ""}, {1, at(1, .5, .602), down}, {2, at(1, .5, .62), ""}, {3, at(1, .5, .598), up}}},
		{"a path beside the segment does not meet it", short, []step{{0, at(1, .3, .5), ""}, {1, at(1, .3, .7), ""}, {2, at(1, .5, .7), ""}, {3, at(1, .5, .5), up}}},
		{"a slanting path that meets it does", short, []step{{0, at(1, .3, .5), ""}, {1, at(1, .7, .7), down}}},
		{"a slanting path that misses it does not", short, []step{{0, at(1, .2, .5), ""}, {1, at(1, .5, .9), ""}}},
		{"touching the line and turning back is nothing", kerb, []step{{0, at(1, .5, .5), ""}, {1, at(1, .5, .6), ""}, {2, at(1, .5, .5), ""}}},
		{"standing on the line and going on is one", kerb, []step{{0, at(1, .5, .5), ""}, {1, at(1, .5, .6), ""}, {2, at(1, .5, .6), ""}, {3, at(1, .5, .7), down}}},
		{"starting on the line is not crossing it", kerb, []step{{0, at(1, .5, .6), ""}, {1, at(1, .5, .7), ""}}},
		{"unconfirmed tracks do not count", kerb, []step{{0, at(0, .5, .5), ""}, {1, at(0, .5, .7), ""}}},
		{"nor does what was before confirmation", kerb, []step{{0, at(0, .5, .5), ""}, {1, at(1, .5, .7), ""}}},
		{"predicted boxes do not count, coming back does", kerb, []step{
			{0, at(1, .5, .5), ""}, {1, []who{{id: 1, x: .5, y: .7, unseen: true}}, ""}, {2, at(1, .5, .55), ""},
			{3, []who{{id: 1, x: .5, y: .5, unseen: true}}, ""}, {4, at(1, .5, .7), down}}},
		{"other classes do not count", kerb, []step{{0, []who{{id: 1, x: .5, y: .5, class: "car"}}, ""}, {1, []who{{id: 1, x: .5, y: .7, class: "car"}}, ""}}},
		{"the anchor decides", center, []step{{0, at(1, .5, .5), ""}, {1, at(1, .5, .64), ""}, {2, at(1, .5, .66), down}}},
		{"everybody counts for himself", kerb, []step{
			{0, []who{{id: 1, x: .5, y: .5}, {id: 2, x: .2, y: .7}}, ""}, {1, []who{{id: 1, x: .5, y: .7}, {id: 2, x: .2, y: .5}}, down + "\nline.crossed e-2 kerb backward"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStream(t, func(c *Config) {
				c.Lines = []Line{tt.line}
				c.Rules = []RuleConfig{{Name: "in-out", Kind: Crossing, Line: "kerb", Classes: []string{"person"}}}
			})
			run(t, s, tt.steps, detect.LineCrossed)
		})
	}
}

// TestCrossingDetails looks at all that a crossing tells.
func TestCrossingDetails(t *testing.T) {
	s := newStream(t, func(c *Config) {
		c.Rules = []RuleConfig{{Name: "in-out", Kind: Crossing, Line: "kerb", Severity: detect.Warning}}
		c.Model = detect.Model{Name: "m"}
		c.Live = true
	})
	s.Online("e", noon)
	var sc scenes
	s.Apply(sc.at(1, at(1, .4, .5)...))
	scene := sc.at(2, at(1, .6, .9)...)
	scene.Timing = &detect.Timing{InferredMs: 7}
	var e detect.Event
	for _, x := range s.Apply(scene) {
		if x.Type == detect.LineCrossed {
			e = x
		}
	}
	l := e.Data.Line
	if l == nil || !l.CrossedAt.Round(time.Microsecond).Equal(after(1.25)) || distance(*l.Point, *l.Point, detect.Point{X: .45, Y: .6}) > 1e-9 {
		t.Fatalf("line: got %+v", l)
	}
	o := e.Data.Object
	if o == nil || o.TrackID != "e-1" || o.Class != "person" || o.Path != nil || !o.FirstSeen.Equal(after(1)) {
		t.Errorf("object: got %+v", o)
	}
	if e.Site != "hq" || e.Stream != "gate" || e.Severity != detect.Warning || !e.Time.Equal(after(2)) || e.Subject != "track/e-1" ||
		e.ID != detect.EventID("/sightline/hq/gate", "e", detect.LineCrossed, "in-out", "e-1", 1) {
		t.Errorf("event: got %+v", e)
	}
	d := e.Data
	if d.Stream.Epoch != "e" || d.Frame.Index != 21 || d.Clock.Source != "file" || d.Timing.InferredMs != 7 || d.Model.Name != "m" || d.Rule.Kind != "crossing" {
		t.Errorf("data: got %+v", d)
	}
}
