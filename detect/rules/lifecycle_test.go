package rules

import (
	"testing"
	"time"

	"sightline/detect"
)

func TestLifecycle(t *testing.T) {
	still := func(unseen bool) []who { return []who{{id: 1, x: .7, y: .5, unseen: unseen}} }
	tests := []struct {
		name  string
		steps []step
	}{
		{"unconfirmed tracks are nothing", []step{{0, at(0, .5, .5), ""}, {1, nil, ""}}},
		{"left at the border, lost elsewhere", []step{
			{0, []who{{id: 1, x: .5, y: .5}, {id: 2, x: .03, y: .5}}, "object.started e-1 active\nobject.started e-2 active"},
			{1, nil, "object.ended e-1 lost lost\nobject.ended e-2 lost left"}}},
		{"zones and class", []step{
			{0, at(1, .5, .7), "object.started e-1 active"},
			{1, at(1, .2, .7), "object.updated e-1 active [door] changed zones,bbox"},
			{2, []who{{id: 1, x: .2, y: .7, class: "car"}}, "object.updated e-1 active [door] changed class"}}},
		{"standing still, then not seen, then gone", []step{
			{0, still(false), "object.started e-1 active"}, {3, still(false), ""},
			{5, still(false), "object.updated e-1 stationary changed state"},
			{5.9, still(true), ""}, {6, still(true), "object.updated e-1 lost changed state"},
			{7, still(false), "object.updated e-1 stationary changed state"}, {8, nil, "object.ended e-1 lost lost"}}},
		{"trembling is standing still, walking is not", []step{
			{0, at(1, .7, .5), "object.started e-1 active"}, {3, at(1, .71, .5), ""}, {5, at(1, .69, .5), "object.updated e-1 stationary changed state,bbox"},
			{6, at(1, .75, .5), "object.updated e-1 active changed state,bbox"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, newStream(t, nil), tt.steps)
		})
	}
}

func TestUpdateEvery(t *testing.T) {
	s := newStream(t, func(c *Config) { c.UpdateEvery = 2 * time.Second })
	run(t, s, []step{
		{0, at(1, .5, .5), "object.started e-1 active"},
		{1, at(1, .6, .5), ""},
		{2, at(1, .7, .5), "object.updated e-1 active changed bbox"},
		{3.5, at(1, .8, .5), ""},
		{4, at(1, .7, .5), "object.updated e-1 active"},
	})
}

func TestDetections(t *testing.T) {
	s := newStream(t, nil)
	s.Online("e", noon)
	var sc scenes
	scene := sc.at(0, who{id: 1, x: .5, y: .5}, who{id: 0, x: .2, y: .5}, who{id: 2, x: .8, y: .5, unseen: true})
	weak := detect.Detection{Class: "dog", Score: .39}
	scene.Detections = append(scene.Detections, weak)
	got := *s.Apply(scene)[0].Data.Objects
	if len(got) != 2 || got[0].TrackID != "e-1" || got[0].State != "active" || got[1].TrackID != "" || got[1].State != "" {
		t.Errorf("got %+v, want two boxes, the first with its track", got)
	}
	scene = sc.at(1)
	scene.Detections, scene.Confidence = []detect.Detection{weak}, .05
	if got := *s.Apply(scene)[0].Data.Objects; len(got) != 1 {
		t.Errorf("with the scene's own confidence: got %+v", got)
	}
	if e := s.Apply(sc.at(2)); e[0].Data.Objects == nil || e[0].Subject != "stream/gate" {
		t.Errorf("nothing seen: got %+v, want an empty list", e[0].Data)
	}
}

// TestPath drops the points that tell least and keeps corners, both ends and
// the stream's time.
func TestPath(t *testing.T) {
	var p path
	for i := range 1000 {
		x, y := float64(i)/500, 0.0
		if i > 500 {
			x, y = 1, float64(i-500)/500
		}
		p.add(time.Duration(i)*100*time.Millisecond, detect.Point{X: x, Y: y})
	}
	if len(p.points) != maxPath || p.points[0] != [3]float64{0, 0, 0} || p.points[maxPath-1] != [3]float64{99900, 1, .998} {
		t.Fatalf("got %d points from %v to %v", len(p.points), p.points[0], p.points[len(p.points)-1])
	}
	corner := false
	for _, q := range p.points {
		corner = corner || q == [3]float64{50000, 1, 0}
	}
	if !corner {
		t.Errorf("the corner is gone: %v", p.points)
	}
}
