package rules

import (
	"testing"
	"time"

	"sightline/detect"
)

func TestPresence(t *testing.T) {
	const in, out = "zone.entered e-1 door visit 1", "zone.exited e-1 door visit 1 "
	tests := []struct {
		name  string
		steps []step
	}{
		{"in and out", []step{{0, at(1, .05, .7), ""}, {1, at(1, .2, .7), in}, {2, at(1, .3, .7), ""}, {3, at(1, .5, .7), out + "2s"}}},
		{"visits are numbered", []step{{0, at(1, .2, .7), in}, {1, at(1, .5, .7), out + "1s"}, {2, at(1, .2, .7), "zone.entered e-1 door visit 2"}, {3, at(1, .5, .7), "zone.exited e-1 door visit 2 1s"}}},
		{"the border belongs to the zone", []step{{0, at(1, .4, .7), in}}},
		{"trembling on the border is one visit", []step{{0, at(1, .399, .7), in}, {1, at(1, .403, .7), ""}, {2, at(1, .398, .7), ""}, {3, at(1, .404, .7), ""}, {4, at(1, .41, .7), out + "4s"}}},
		{"but does not begin one", []step{{0, at(1, .403, .7), ""}}},
		{"who vanishes inside has left when last seen", []step{{0, at(1, .2, .7), in}, {1, at(1, .2, .7), ""}, {2, []who{{id: 1, unseen: true}}, ""}, {3, nil, out + "1s"}}},
		{"predicted boxes neither enter nor leave", []step{{0, []who{{id: 1, x: .2, y: .7, unseen: true}}, ""}, {1, at(1, .2, .7), in}, {2, []who{{id: 1, x: .9, y: .9, unseen: true}}, ""}, {3, at(1, .2, .7), ""}}},
		{"who becomes a person inside has entered", []step{{0, []who{{id: 1, x: .2, y: .7, class: "car"}}, ""}, {1, at(1, .2, .7), in}}},
		{"and stays when he becomes a car", []step{{0, at(1, .2, .7), in}, {1, []who{{id: 1, x: .2, y: .7, class: "car"}}, ""}, {2, nil, out + "1s"}}},
		{"unconfirmed tracks are nobody", []step{{0, at(0, .2, .7), ""}, {1, nil, ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStream(t, func(c *Config) {
				c.Rules = []RuleConfig{{Name: "r", Kind: Presence, Zone: "door", Classes: []string{"person"}}}
			})
			run(t, s, tt.steps, detect.ZoneEntered, detect.ZoneExited)
		})
	}
}

func TestDwell(t *testing.T) {
	tests := []struct {
		name  string
		steps []step
	}{
		{"once a visit", []step{{0, at(1, .2, .7), ""}, {1, at(1, .2, .7), ""}, {2, at(1, .2, .7), "zone.dwell e-1 door visit 1 2s"}, {3, at(1, .2, .7), ""},
			{4, at(1, .8, .7), ""}, {5, at(1, .2, .7), ""}, {8, at(1, .2, .7), "zone.dwell e-1 door visit 2 3s"}}},
		{"a pass is not dwelling", []step{{0, at(1, .2, .7), ""}, {1.9, at(1, .2, .7), ""}, {2, at(1, .8, .7), ""}, {9, at(1, .8, .7), ""}}},
		{"nor is not being seen", []step{{0, at(1, .2, .7), ""}, {5, []who{{id: 1, unseen: true}}, ""}, {6, nil, ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStream(t, func(c *Config) {
				c.Rules = []RuleConfig{{Name: "r", Kind: Dwell, Zone: "door", For: 2 * time.Second}}
			})
			run(t, s, tt.steps, detect.ZoneDwell)
		})
	}
}

func TestOccupancy(t *testing.T) {
	s := newStream(t, func(c *Config) { c.Rules = []RuleConfig{{Name: "r", Kind: Occupancy, Zone: "door"}} })
	run(t, s, []step{
		{0, nil, ""},
		{1, []who{{id: 1, x: .2, y: .7}, {id: 2, x: .3, y: .7}}, "zone.occupancy door 2"},
		{2, []who{{id: 1, x: .2, y: .7}, {id: 2, x: .3, y: .7}}, ""},
		{3, []who{{id: 1, x: .8, y: .7}, {id: 2, x: .3, y: .7}, {id: 3, x: .3, y: .7}}, ""},
		{4, []who{{id: 3, x: .3, y: .7}}, "zone.occupancy door 1"},
	}, detect.ZoneOccupancy)
	if got := brief(s.Offline(detect.ReasonInfo{Code: "ended"}, after(5)), detect.ZoneOccupancy); got != "zone.occupancy door 0" {
		t.Errorf("at the end: got %q", got)
	}
}

func TestContains(t *testing.T) {
	star := []detect.Point{{X: .5, Y: 0}, {X: .8, Y: 1}, {X: 0, Y: .4}, {X: 1, Y: .4}, {X: .2, Y: 1}}
	for _, tt := range []struct {
		name    string
		polygon []detect.Point
		p       detect.Point
		want    bool
	}{
		{"inside", door.Polygon, detect.Point{X: .2, Y: .6}, true},
		{"outside", door.Polygon, detect.Point{X: .2, Y: .4}, false},
		{"a corner", door.Polygon, detect.Point{X: .1, Y: .5}, true},
		{"an edge", door.Polygon, detect.Point{X: .1, Y: .7}, true},
		{"in line with an edge", door.Polygon, detect.Point{X: .5, Y: .5}, false},
		{"level with a corner", []detect.Point{{X: .5, Y: .1}, {X: .9, Y: .5}, {X: .5, Y: .9}, {X: .1, Y: .5}}, detect.Point{X: .05, Y: .5}, false},
		{"an arm of a star", star, detect.Point{X: .5, Y: .2}, true},
		{"its middle is out by the even-odd rule", star, detect.Point{X: .5, Y: .5}, false},
	} {
		if got := contains(tt.polygon, tt.p); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}
