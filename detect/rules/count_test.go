package rules

import (
	"strings"
	"testing"
	"time"

	"sightline/detect"
)

func countStream(t *testing.T, every time.Duration, zone string) *Stream {
	return newStream(t, func(c *Config) {
		c.Rules = []RuleConfig{{Name: "q", Kind: Count, Line: "kerb", Every: every, Timezone: zone}}
	})
}

func TestCount(t *testing.T) {
	s := countStream(t, 10*time.Second, "")
	car := func(y float64) who { return who{id: 2, x: .3, y: y, class: "car"} }
	run(t, s, []step{
		{4, []who{{id: 1, x: .5, y: .5}, car(.5)}, ""},
		{6, []who{{id: 1, x: .5, y: .7}, car(.7)}, ""},
		{8, []who{{id: 1, x: .5, y: .5}, car(.5)}, ""},
		{9, []who{{id: 1, x: .5, y: .7}, car(.5)}, ""},
		{10, []who{{id: 1, x: .5, y: .5}, car(.5)}, "count.reported kerb 12:00:00-12:00:10 6s car forward 1 car backward 1 person forward 2 person backward 1"},
		{25, []who{{id: 1, x: .5, y: .5}}, "count.reported kerb 12:00:10-12:00:20 0s person backward 1"}, // 15 s without a look
		{27, nil, ""},
		{31, nil, "count.reported kerb 12:00:20-12:00:30 5s"},
	}, detect.CountReported)
}

// TestCountParts cuts windows by reconnects: the parts add up, and ids differ.
func TestCountParts(t *testing.T) {
	s := countStream(t, 10*time.Second, "")
	var sc scenes
	var events []detect.Event
	add := func(e []detect.Event) { events = append(events, e...) }
	s.Online("a", noon)
	add(s.Apply(sc.at(0, at(1, .5, .5)...)))
	add(s.Apply(sc.at(2, at(1, .5, .7)...)))
	add(s.Offline(detect.ReasonInfo{Code: "timeout"}, after(3)))
	add(s.Offline(detect.ReasonInfo{Code: "refused", Attempt: 1}, after(4)))
	add(s.Online("b", after(5)))
	sc = scenes{}
	add(s.Apply(sc.at(5, at(1, .5, .5)...)))
	add(s.Apply(sc.at(8, at(1, .5, .7)...)))
	add(s.Offline(detect.ReasonInfo{Code: "timeout"}, after(9)))
	add(s.Advance(after(32))) // still away: the windows that nobody watched
	add(s.Online("c", after(35)))
	add(s.Online("d", after(41))) // without a scene, and never told to be offline
	want := strings.Join([]string{
		"count.reported kerb 12:00:00-12:00:10 2s person forward 1", // a
		"count.reported kerb 12:00:00-12:00:10 3s person forward 1", // b
		"count.reported kerb 12:00:10-12:00:20 0s",
		"count.reported kerb 12:00:20-12:00:30 0s",
		"count.reported kerb 12:00:30-12:00:40 0s", // c
	}, "\n")
	if got := brief(events, detect.CountReported); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	unique(t, events)
}

func TestCountJump(t *testing.T) {
	s := countStream(t, time.Second, "")
	var sc scenes
	s.Online("a", noon)
	s.Apply(sc.at(0))
	if n := len(s.Advance(noon.Add(1000 * time.Hour))); n != maxWindows {
		t.Errorf("a jump of 1000 hours gave %d windows, want %d", n, maxWindows)
	}
	if got := brief(s.Advance(noon.Add(1000*time.Hour + time.Second))); got != "count.reported kerb 04:00:00-04:00:01 0s" {
		t.Errorf("after it: got %q", got)
	}
}

func TestWindow(t *testing.T) {
	tests := []struct {
		name, zone, at string
		every          time.Duration
		start, end     string
	}{
		{"utc", "UTC", "2026-05-04T12:34:56Z", 15 * time.Minute, "2026-05-04T12:30:00Z", "2026-05-04T12:45:00Z"},
		{"its start belongs to it", "UTC", "2026-05-04T12:30:00Z", 15 * time.Minute, "2026-05-04T12:30:00Z", "2026-05-04T12:45:00Z"},
		{"half an hour off", "Asia/Kolkata", "2026-05-04T12:34:56Z", time.Hour, "2026-05-04T12:30:00Z", "2026-05-04T13:30:00Z"},
		{"a day", "Europe/Berlin", "2026-05-04T12:00:00Z", 24 * time.Hour, "2026-05-03T22:00:00Z", "2026-05-04T22:00:00Z"},
		{"the day summer time begins", "Europe/Berlin", "2026-03-29T12:00:00Z", 24 * time.Hour, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"seen from its first hour", "Europe/Berlin", "2026-03-28T23:10:00Z", 24 * time.Hour, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"the day it ends", "Europe/Berlin", "2026-10-25T12:00:00Z", 24 * time.Hour, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"the first two o'clock", "Europe/Berlin", "2026-10-25T00:30:00Z", time.Hour, "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"},
		{"the second two o'clock", "Europe/Berlin", "2026-10-25T01:30:00Z", time.Hour, "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"},
		{"six hours with one more", "Europe/Berlin", "2026-10-25T02:00:00Z", 6 * time.Hour, "2026-10-24T22:00:00Z", "2026-10-25T05:00:00Z"},
		{"six hours after it", "Europe/Berlin", "2026-10-25T05:00:00Z", 6 * time.Hour, "2026-10-25T05:00:00Z", "2026-10-25T11:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			place, err := time.LoadLocation(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			when, err := time.Parse(time.RFC3339, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			start, end := window(when, tt.every, place)
			if a, b := start.Format(time.RFC3339), end.Format(time.RFC3339); a != tt.start || b != tt.end {
				t.Errorf("got %s to %s, want %s to %s", a, b, tt.start, tt.end)
			}
		})
	}
}

// TestWindowsFollowEachOther walks through two years of a place with summer
// time: every window begins where the one before ended and holds what is in it.
func TestWindowsFollowEachOther(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"} {
		place, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, every := range []time.Duration{15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour} {
			start, end := window(noon, every, place)
			for end.Before(noon.AddDate(2, 0, 0)) {
				a, b := window(end, every, place)
				if c, d := window(b.Add(-1), every, place); !a.Equal(end) || !b.After(a) || !c.Equal(a) || !d.Equal(b) {
					t.Fatalf("%s %v: %v to %v, then %v to %v, seen from its end %v to %v", zone, every, start, end, a, b, c, d)
				}
				start, end = a, b
			}
		}
	}
}
