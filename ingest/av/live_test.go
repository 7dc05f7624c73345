package av

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

// began is when the tests' first unit arrives.
var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newLive(t *testing.T, f Format) *Live {
	t.Helper()
	l, err := NewLive("cam", "1", f)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// push gives units to l and returns what comes out.
func push(t *testing.T, l *Live, units ...Unit) []ingest.Packet {
	t.Helper()
	var out []ingest.Packet
	for _, u := range units {
		if err := l.Push(u, func(p ingest.Packet) error {
			out = append(out, p)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// jpegs are pictures that stand alone, 40 ms apart on the container's clock from
// start, arriving as they are made.
func jpegs(n int, start, arrival time.Duration) []Unit {
	units := make([]Unit, n)
	for i := range units {
		at := start + time.Duration(i)*40*time.Millisecond
		units[i] = Unit{Data: []byte("picture"), PTS: at, DTS: at, Arrival: began.Add(arrival + time.Duration(i)*40*time.Millisecond)}
	}
	return units
}

// TestTimesBeginAnew goes on where a sender's times wrap or start again.
func TestTimesBeginAnew(t *testing.T) {
	const end = (1 << 33) * 100_000 / 9 * time.Nanosecond // of MPEG's 33 bits
	for name, c := range map[string]struct {
		first, second time.Duration
		pause         time.Duration // between the arrivals of both halves
		gap           time.Duration // between their presentation times
		lost          bool
	}{
		"as it was":     {time.Hour, time.Hour + 400*time.Millisecond, 40 * time.Millisecond, 40 * time.Millisecond, false},
		"wraps":         {end - 400*time.Millisecond, 0, 40 * time.Millisecond, 40 * time.Millisecond, false},
		"starts again":  {5 * time.Second, 0, 40 * time.Millisecond, 40 * time.Millisecond, true},
		"after a pause": {time.Hour, 0, 3 * time.Second, 3 * time.Second, true},
		"jumps ahead":   {0, time.Hour, 40 * time.Millisecond, 40 * time.Millisecond, true},
	} {
		l := newLive(t, Format{Codec: ingest.MJPEG, IntraOnly: true})
		units := append(jpegs(10, c.first, 0), jpegs(10, c.second, 360*time.Millisecond+c.pause)...)
		got := push(t, l, units...)
		if len(got) != 20 {
			t.Fatalf("%s: %d packets", name, len(got))
		}
		for i, p := range got {
			want := time.Duration(i) * 40 * time.Millisecond
			if i >= 10 {
				want += c.gap - 40*time.Millisecond
			}
			if (p.PTS-want).Abs() > time.Millisecond || p.Break != (c.lost && i == 10) {
				t.Errorf("%s: packet %d at %v, want %v, break %v", name, i, p.PTS, want, p.Break)
			}
			if i > 0 && p.Captured.Before(got[i-1].Captured) {
				t.Errorf("%s: packet %d is captured %v before the one in front of it", name, i, got[i-1].Captured.Sub(p.Captured))
			}
		}
	}
}

// TestFirstKeyframe begins where decoding can.
func TestFirstKeyframe(t *testing.T) {
	var units []Unit
	for i, p := range ingesttest.H264(12, 5, 40*time.Millisecond) {
		units = append(units, Unit{Data: p.Data, PTS: p.PTS, DTS: p.PTS, Arrival: began.Add(p.PTS), Lost: i == 8})
	}
	l := newLive(t, Format{Codec: ingest.H264})
	got := push(t, l, units[2:]...)
	if len(got) != 7 || !got[0].Keyframe || got[0].PTS != 0 || got[0].Break || l.Withheld() != 3 || !l.Running() {
		t.Fatalf("%d packets, %d withheld", len(got), l.Withheld())
	}
	for i, p := range got {
		if p.Break != (i == 3) || cap(p.Data)-len(p.Data) < ingest.PacketPadding {
			t.Errorf("packet %d: break %v, room %d", i, p.Break, cap(p.Data)-len(p.Data))
		}
	}

	// A keyframe whose parameter sets never came is none.
	var bare []byte
	for unit := range ingest.NALs(units[0].Data) {
		if unit[0]&0x1f == 5 {
			bare = slices.Concat([]byte{0, 0, 0, 1}, unit)
		}
	}
	if got := push(t, newLive(t, Format{Codec: ingest.H264}), Unit{Data: bare, Arrival: began}); len(got) != 0 {
		t.Errorf("%d packets without parameter sets", len(got))
	}
}

// TestSegmentArrives places pictures that arrive at once where they were taken.
func TestSegmentArrives(t *testing.T) {
	l := newLive(t, Format{Codec: ingest.MJPEG, IntraOnly: true})
	units := jpegs(50, 0, 0)
	for i := range units {
		units[i].Arrival = began.Add(2 * time.Second)
		units[i].Due = began.Add(units[i].PTS)
	}
	for i, p := range push(t, l, units...) {
		if !p.Captured.Equal(began.Add(p.PTS)) || !p.Received.Equal(began.Add(2*time.Second)) || p.Clock.Source != ingest.ClockArrival {
			t.Errorf("packet %d: captured %v, received %v", i, p.Captured, p.Received)
		}
	}
	said := began.Add(-time.Hour)
	dated := Unit{Data: []byte("picture"), PTS: 2 * time.Second, DTS: 2 * time.Second, Arrival: began, Captured: said, Clock: ingest.Clock{Source: ingest.ClockPlaylist}}
	if got := push(t, l, dated); len(got) != 1 || !got[0].Captured.Equal(said) || got[0].Clock.Source != ingest.ClockPlaylist {
		t.Errorf("%+v", got)
	}
}

// TestConfigurationChanges hands the decoder the new one with the first picture
// that needs it, where the codec does not say it in band.
func TestConfigurationChanges(t *testing.T) {
	first, second := []byte{0x81, 0, 0, 0, 'a'}, []byte{0x81, 0, 0, 0, 'b'}
	picture := func(i int) Unit {
		at := time.Duration(i) * 40 * time.Millisecond
		return Unit{Data: []byte{0x12, 0}, PTS: at, DTS: at, Arrival: began.Add(at), Keyframe: true}
	}
	for codec, outOfBand := range map[ingest.Codec]bool{ingest.AV1: true, "prores": true, ingest.VP9: false} {
		l := newLive(t, Format{Codec: codec, Config: first, IntraOnly: true})
		got := push(t, l, picture(0))
		if err := l.Configure(second); err != nil {
			t.Fatal(err)
		}
		got = append(got, push(t, l, picture(1))...)
		if len(got) != 2 {
			t.Fatalf("%s: %d packets", codec, len(got))
		}
		for i, want := range [][]byte{first, second} {
			if !outOfBand {
				want = nil
			}
			if !bytes.Equal(got[i].Extradata, want) {
				t.Errorf("%s: packet %d carries %q, want %q", codec, i, got[i].Extradata, want)
			}
		}
	}
}
