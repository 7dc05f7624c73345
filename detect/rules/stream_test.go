package rules

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sightline/detect"
)

func TestEpochs(t *testing.T) {
	s := newStream(t, func(c *Config) {
		c.Rules = []RuleConfig{{Name: "p", Kind: Presence, Zone: "door"}, {Name: "o", Kind: Occupancy, Zone: "door"}}
	})
	var sc scenes
	check := func(what string, events []detect.Event, want string) {
		t.Helper()
		if got := brief(events); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
		}
	}
	check("before anything", s.Apply(sc.at(0)), "")
	check("never came up", s.Offline(detect.ReasonInfo{Code: "refused"}, noon), "stream.offline gate refused")
	check("online", s.Online("e", noon), "stream.online gate")
	s.Apply(sc.at(1, at(1, .2, .7)...))
	check("degraded", s.Degraded(detect.ReasonInfo{Code: "frozen"}, after(2)), "stream.degraded gate frozen")
	if e := s.Degraded(detect.ReasonInfo{Code: detect.ReasonRecovered, Message: "frozen"}, after(2))[0]; e.Severity != detect.Info {
		t.Errorf("being well again is told as %v", e.Severity)
	}
	check("offline", s.Offline(detect.ReasonInfo{Code: "timeout"}, after(3)),
		"zone.exited e-1 door visit 1 0s\nzone.occupancy door 0\nobject.ended e-1 active [door] stream_ended\nstream.offline gate timeout")
	check("a late scene", s.Apply(sc.at(4, at(1, .2, .7)...)), "")
	check("still away", s.Offline(detect.ReasonInfo{Code: "refused"}, after(5)), "stream.offline gate refused")
	sc = scenes{}
	s.Online("f", after(6))
	s.Apply(sc.at(7, at(1, .7, .7)...))
	check("the next epoch without an end of the last", s.Online("g", after(8)), "object.ended f-1 active stream_ended\nstream.online gate")
	sc = scenes{}
	s.Apply(sc.at(9, at(1, .7, .7)...))
	check("shutdown", s.Offline(detect.ReasonInfo{Code: "shutdown"}, time.Time{}), "object.ended g-1 active shutdown\nstream.offline gate shutdown")
}

func TestSeverity(t *testing.T) {
	s := newStream(t, nil)
	for code, want := range map[string]detect.Severity{"ended": detect.Info, "shutdown": detect.Info, "restart": detect.Info, "timeout": detect.Warning} {
		if e := s.Offline(detect.ReasonInfo{Code: code}, noon); e[len(e)-1].Severity != want {
			t.Errorf("offline for %s: severity %d, want %d", code, e[len(e)-1].Severity, want)
		}
	}
}

// TestTimeNeverDecreases gives scenes that run backward.
func TestTimeNeverDecreases(t *testing.T) {
	s := newStream(t, nil)
	var sc scenes
	s.Online("e", after(5))
	for _, e := range s.Apply(sc.at(3, at(1, .5, .5)...)) {
		if !e.Time.Equal(after(5)) {
			t.Errorf("%s at %v", e.Type, e.Time)
		}
	}
	if e := s.Online("f", noon); !e[len(e)-1].Time.Equal(noon) {
		t.Errorf("a new epoch begins at %v, want its own time", e[len(e)-1].Time)
	}
}

// TestCameraClockBehind lets things happen by this machine's clock, which is ten
// minutes ahead of the camera's: the stream's time stays the camera's.
func TestCameraClockBehind(t *testing.T) {
	s := newStream(t, nil)
	var sc scenes
	s.Online("e", noon)
	scene := sc.at(1, at(1, .5, .5)...)
	scene.Timing = &detect.Timing{InferredMs: 600_000}
	s.Apply(scene)
	for what, e := range map[string][]detect.Event{
		"accounting": s.Account(detect.Ledger{Received: 1}, after(602)),
		"degraded":   s.Degraded(detect.ReasonInfo{Code: "frozen"}, after(602)),
		"a scene":    s.Apply(sc.at(2)),
		"offline":    s.Offline(detect.ReasonInfo{Code: "timeout"}, after(602)),
	} {
		if got := e[len(e)-1].Time; !got.Equal(after(2)) {
			t.Errorf("%s: at %v, want %v", what, got, after(2))
		}
	}
}

// TestAccount looks at the sums and the time before which nothing more comes.
func TestAccount(t *testing.T) {
	s := newStream(t, nil)
	s.Online("e", after(3))
	e := s.Account(detect.Ledger{Received: 7}, time.Time{})[0]
	if e.Data.Accounting.Received != 7 || !e.Data.Watermark.Equal(after(3)) || !e.Time.Equal(after(3)) || e.Subject != "stream/gate" || e.Severity != detect.Info {
		t.Errorf("got %+v", e)
	}
}

func everything(c *Config) {
	c.Rules = []RuleConfig{
		{Name: "x", Kind: Crossing, Line: "kerb"}, {Name: "p", Kind: Presence, Zone: "door", Classes: []string{"person"}}, {Name: "d", Kind: Dwell, Zone: "door", For: time.Second},
		{Name: "o", Kind: Occupancy, Zone: "door"}, {Name: "c", Kind: Count, Line: "kerb", Every: 5 * time.Second, Timezone: "Europe/Berlin"}}
	c.UpdateEvery = 2 * time.Second
}

// FuzzStream lets tracks run about at random, through epochs with and without
// an end, and holds the events to what they promise.
func FuzzStream(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(seed, uint16(200))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) {
		a := wander(t, seed, int(steps%400))
		promises(t, a)
		one, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		two, err := json.Marshal(wander(t, seed, int(steps%400)))
		if err != nil {
			t.Fatal(err)
		}
		if string(one) != string(two) {
			t.Error("two runs give different events")
		}
	})
}

func wander(t *testing.T, seed uint64, steps int) []detect.Event {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := newStream(t, everything)
	events := s.Online("e0", noon)
	var sc scenes
	var people []who
	now, next, epoch := 0.0, uint64(1), 0
	for range steps {
		now += rng.Float64() - .05 // sometimes backward
		switch r := rng.IntN(100); {
		case r < 30 && len(people) < 6:
			people = append(people, who{id: next, x: rng.Float64(), y: rng.Float64()})
			next++
		case r < 35 && len(people) > 0:
			i := rng.IntN(len(people))
			people = append(people[:i], people[i+1:]...)
		case r == 35:
			events = append(events, s.Offline(detect.ReasonInfo{Code: []string{"timeout", "restart", "shutdown"}[rng.IntN(3)]}, after(now))...)
		case r == 36:
			epoch++
			people, next, sc = nil, 1, scenes{}
			events = append(events, s.Online("e"+string(rune('0'+epoch)), after(now))...)
		case r == 37:
			now += 20
			events = append(events, s.Advance(after(now))...)
		}
		for i := range people {
			people[i].x += .3 * (rng.Float64() - .5)
			people[i].y += .3 * (rng.Float64() - .5)
			people[i].unseen = rng.IntN(5) == 0 && !sc.first[people[i].id].IsZero()
			people[i].class = []string{"person", "person", "person", "car"}[rng.IntN(4)]
		}
		events = append(events, s.Apply(sc.at(now, people...))...)
	}
	return append(events, s.Offline(detect.ReasonInfo{Code: "ended"}, after(now))...)
}

// promises checks what holds for all events of one stream.
func promises(t *testing.T, events []detect.Event) {
	t.Helper()
	unique(t, events)
	last := map[string]time.Time{}
	objects, visits := map[string]string{}, map[string]string{}
	for _, e := range events {
		epoch := e.Data.Stream.Epoch
		if e.Time.Before(last[epoch]) {
			t.Fatalf("%s at %v after %v", e.Type, e.Time, last[epoch])
		}
		last[epoch] = e.Time
		switch e.Type {
		case detect.ObjectStarted:
			once(t, objects, e.Subject, "", "alive")
		case detect.ObjectUpdated:
			once(t, objects, e.Subject, "alive", "alive")
		case detect.ObjectEnded:
			once(t, objects, e.Subject, "alive", "ended")
			if len(e.Data.Object.Path) > maxPath || e.Data.EndReason == "" {
				t.Fatalf("ended: %+v", e.Data)
			}
		case detect.ZoneEntered:
			if objects[e.Subject] != "alive" {
				t.Fatalf("%s entered while %q", e.Subject, objects[e.Subject])
			}
			once(t, visits, e.Subject, "", "in")
		case detect.ZoneExited:
			if objects[e.Subject] != "alive" {
				t.Fatalf("%s exited while %q", e.Subject, objects[e.Subject])
			}
			once(t, visits, e.Subject, "in", "")
		}
	}
	for id, state := range objects {
		if state != "ended" || visits[id] != "" {
			t.Fatalf("%s is still %s, in a visit: %q", id, state, visits[id])
		}
	}
}

func once(t *testing.T, states map[string]string, key, from, to string) {
	t.Helper()
	if states[key] != from {
		t.Fatalf("%s: %q where %q was expected", key, states[key], from)
	}
	states[key] = to
}

// unique checks that ids are, and that events are complete.
func unique(t *testing.T, events []detect.Event) {
	t.Helper()
	seen := map[string]bool{}
	for _, e := range events {
		if e.ID == "" || seen[e.ID] {
			t.Fatalf("the id of %s %s at %v is not unique", e.Type, e.Subject, e.Time)
		}
		seen[e.ID] = true
		if e.Site != "hq" || e.Stream != "gate" || e.Subject == "" || e.Time.IsZero() || e.Severity == 0 || e.Data.Stream.Name != "gate" {
			t.Fatalf("incomplete: %+v", e)
		}
	}
}

func TestNewErrors(t *testing.T) {
	tests := map[string]func(*Config){
		"no line \"gone\"":  func(c *Config) { c.Rules = []RuleConfig{{Name: "r", Kind: Crossing, Line: "gone"}} },
		"no zone \"gone\"":  func(c *Config) { c.Rules = []RuleConfig{{Name: "r", Kind: Presence, Zone: "gone"}} },
		"none of [crossing": func(c *Config) { c.Rules = []RuleConfig{{Name: "r", Kind: "crosing", Line: "kerb"}} },
		"needs a line":      func(c *Config) { c.Rules = []RuleConfig{{Name: "r", Kind: Count, Every: time.Hour}} },
		"needs a zone":      func(c *Config) { c.Rules = []RuleConfig{{Name: "r", Kind: Occupancy}} },
		"not a time":        func(c *Config) { c.Rules = []RuleConfig{{Name: "r", Kind: Dwell, Zone: "door"}} },
		"divide a day":      func(c *Config) { c.Rules = []RuleConfig{{Name: "r", Kind: Count, Line: "kerb", Every: 7 * time.Hour}} },
		"timezone": func(c *Config) {
			c.Rules = []RuleConfig{{Name: "r", Kind: Count, Line: "kerb", Every: time.Hour, Timezone: "Mars/Olympus"}}
		},
		"two of that name":    func(c *Config) { c.Zones = append(c.Zones, door) },
		"3 points":            func(c *Config) { c.Zones[0].Polygon = door.Polygon[:2] },
		"on one line":         func(c *Config) { c.Zones[0].Polygon = []detect.Point{{X: .1, Y: .1}, {X: .2, Y: .2}, {X: .5, Y: .5}} },
		"points are the same": func(c *Config) { c.Lines[0].Points[1] = c.Lines[0].Points[0] },
		"within 0..1":         func(c *Config) { c.Lines[0].Points[1] = detect.Point{X: 640, Y: 480} },
		"hysteresis 2":        func(c *Config) { c.Lines[0].Hysteresis = 2 },
		"anchor \"middle\"":   func(c *Config) { c.Zones[0].Anchor = "middle" },
		"no site":             func(c *Config) { c.Info.Site = "" },
		"update_every":        func(c *Config) { c.UpdateEvery = -1 },
	}
	for want, change := range tests {
		cfg := Config{Info: detect.StreamInfo{Site: "hq", Name: "gate"}, Lines: []Line{kerb}, Zones: []Zone{door}}
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
