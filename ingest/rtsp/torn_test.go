package rtsp_test

import (
	"testing"
	"time"

	"sightline/ingest"
)

// A camera whose packets never make a picture does not stay connected for ever.
func TestPacketsThatMakeNoPicture(t *testing.T) {
	ten := frames(t, 10)
	loop := len(ten)
	marked := func(i int) bool { return ten[i%loop][4+1]&0x80 != 0 }
	first := func(i int) bool { return marked(i + loop - 1) }
	keyframe := 1 // packets of it
	for !marked(keyframe - 1) {
		keyframe++
	}
	always := func(int) bool { return true }
	for _, c := range []struct {
		name    string
		sends   func(i int) bool // whether packet i of an endless stream is sent
		pause   time.Duration
		reason  ingest.Reason // "" where pictures come
		atLeast int           // pictures before the end
	}{
		{name: "good", sends: always, pause: 5 * time.Millisecond, atLeast: 100},
		{name: "a keyframe now and then", pause: 60 * time.Millisecond, atLeast: 6,
			sends: func(i int) bool { return i%loop < keyframe }},
		{name: "torn from the start", pause: 5 * time.Millisecond, reason: ingest.ReasonDamaged,
			sends: func(i int) bool { return !marked(i) && first(i) }},
		{name: "torn later", pause: 5 * time.Millisecond, reason: ingest.ReasonDamaged, atLeast: 20,
			sends: func(i int) bool { return i < 2*loop || !marked(i) && first(i) }},
		{name: "no keyframe", pause: 5 * time.Millisecond, reason: ingest.ReasonNoKeyframe,
			sends: func(i int) bool { return i%loop >= keyframe }},
		{name: "silent later", pause: 5 * time.Millisecond, reason: ingest.ReasonTimeout, atLeast: 20,
			sends: func(i int) bool { return i < 2*loop }},
		{name: "silent", pause: 5 * time.Millisecond, reason: ingest.ReasonTimeout,
			sends: func(int) bool { return false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, plainSDP, "", manners{"PLAY": both((*peer).answer, beside(func(p *peer, _ request) bool {
				for i := 0; p.pause(c.pause); i++ {
					for ; !c.sends(i) && i%loop != loop-1; i++ {
					}
					if !c.sends(i) {
						continue
					}
					if _, err := p.Write(interleaved(0, looped(ten, i))); err != nil {
						return false
					}
				}
				return false
			}))}, nil)
			config := configFor(f.url())
			config.Timeout, config.KeyframeTimeout = shortTimeout, 2*shortTimeout
			most := 1 << 20
			if c.reason == "" {
				most = c.atLeast
			}
			got, err := read(t, config, most)
			switch {
			case c.reason == "" && err != nil, c.reason != "" && (err == nil || ingest.ReasonOf(err) != c.reason):
				t.Errorf("%v after %d pictures, want reason %q", err, len(got), c.reason)
			case len(got) < c.atLeast:
				t.Errorf("%d pictures, want %d", len(got), c.atLeast)
			}
			f.end()
		})
	}
}
