package ingest

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"
)

// FuzzNALs takes access units apart: no unit is empty or holds a start code, and
// put together again they are the same.
func FuzzNALs(f *testing.F) {
	f.Add(au(aud, sps, pps, recovery, idr))
	f.Add(au(vps5, sps5, pps5, idr5))
	f.Add([]byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 9})
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		var units [][]byte
		total := 0
		for unit := range NALs(b) {
			if len(unit) == 0 || bytes.Contains(unit, []byte{0, 0, 1}) || unit[len(unit)-1] == 0 {
				t.Fatalf("unit % x of % x", unit, b)
			}
			total += 3 + len(unit)
			units = append(units, unit)
		}
		if total > len(b) {
			t.Fatalf("%d bytes in the units of %d", total, len(b))
		}
		if again := slices.Collect(NALs(au(units...))); !slices.EqualFunc(again, units, bytes.Equal) {
			t.Fatalf("% x became % x", units, again)
		}
	})
}

// FuzzParameterSets lets a stream's units, each behind its length, be remembered,
// completed and inspected.
func FuzzParameterSets(f *testing.F) {
	for _, units := range [][][]byte{{sps, pps, idr}, {pps, sps, refP, nonRefB}, {vps5, sps5, pps5, idr5}, {trailN5, raslN5}} {
		var b []byte
		for _, u := range units {
			b = append(append(b, byte(len(u))), u...)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, codec := range []Codec{H264, H265} {
			s := ParameterSets{Codec: codec}
			for rest := b; len(rest) > 1; {
				size := min(int(rest[0]), len(rest)-1)
				unit := rest[1 : 1+size]
				rest = rest[1+size:]
				if len(unit) > 0 {
					s.Add(unit)
				}
				picture := au(unit)
				key, disposable := s.Inspect(picture)
				if key && disposable {
					t.Fatalf("a disposable keyframe: % x", picture)
				}
				whole := s.Complete(picture, key)
				if !bytes.HasSuffix(whole, picture) || !key && len(whole) != len(picture) {
					t.Fatalf("% x became % x", picture, whole)
				}
				if again := s.Complete(whole, key); !bytes.Equal(again, whole) {
					t.Fatalf("% x is completed to % x, and that to % x", picture, whole, again)
				}
				if agree, _ := s.Inspect(whole); agree != key {
					t.Fatalf("% x is a keyframe: %v, completed %v", picture, key, agree)
				}
			}
			if len(s.units) > maxParameterSets {
				t.Fatalf("%d sets are remembered", len(s.units))
			}
			for i, u := range s.units {
				for _, v := range s.units[:i] {
					if s.kind(u[0]) == s.kind(v[0]) && s.id(u) == s.id(v) {
						t.Fatalf("two sets of one id: % x and % x", u, v)
					}
				}
			}
		}
	})
}

// FuzzInspectVP9 sees headers of any kind.
func FuzzInspectVP9(f *testing.F) {
	f.Add([]byte{0x87, 0x00, 0x00, 0x40})
	f.Add([]byte{0x86, 0x00, 0x40, 0x92})
	f.Fuzz(func(t *testing.T, b []byte) {
		if InspectVP9(b) && (b[0]&0x04 == 0 && b[0]>>4&3 != 3) {
			t.Errorf("a disposable keyframe: % x", b)
		}
	})
}

// FuzzAV1Headers reads temporal units; without a sequence header nothing is
// disposable, and reading the same again gives the same.
func FuzzAV1Headers(f *testing.F) {
	sequence := []byte{0x0a, 0x0b, 0x00, 0x00, 0x00, 0x42, 0xab, 0xbf, 0xc3, 0x71, 0xab, 0xe6, 0x01}
	f.Add(append(slices.Clone(sequence), 0x32, 0x05, 0x30, 0x00, 0x00, 0x00, 0x00))
	f.Add(append(slices.Clone(sequence), 0x1a, 0x04, 0x28, 0x40, 0x0f, 0xf0))
	f.Add([]byte{0x36, 0x00, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h AV1Headers
		once := h.Disposable(b)
		if once && !h.known {
			t.Errorf("disposable without a sequence header: % x", b)
		}
		if twice := h.Disposable(b); once && !twice {
			t.Errorf("disposable only once: % x", b)
		}
	})
}

// step of a fuzzed sender: a kind, then what it says.
const fuzzStep = 13

// FuzzTimeline lets a sender claim anything. Each step of 13 bytes is a picture,
// a report or a stamp: by how much RTP time (4 bytes), arrival (4) and the wall
// clock (4) go on.
func FuzzTimeline(f *testing.F) {
	var good, wild []byte
	for i := range uint32(40) {
		kind := byte(0)
		if i%5 == 4 {
			kind = 1
		}
		good = binary.BigEndian.AppendUint32(append(good, kind), 3600)
		good = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(good, 40000), 40000)
		wild = binary.BigEndian.AppendUint32(append(wild, byte(i%3)), i*i*i*7919*65537)
		wild = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(wild, i*50000), i*i*123456789)
	}
	f.Add(uint32(90000), good)
	f.Add(uint32(90000), wild)
	f.Add(uint32(1), wild)
	f.Fuzz(func(t *testing.T, rate uint32, b []byte) {
		l := NewTimeline(int(rate % 10_000_000))
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		wall, rtp := now, uint32(0)
		var seen []Stamp // the latest, in presentation order
		for ; len(b) >= fuzzStep; b = b[fuzzStep:] {
			ticks := rtp + binary.BigEndian.Uint32(b[1:])
			now = now.Add(time.Duration(binary.BigEndian.Uint32(b[5:])%100e6) * time.Microsecond)
			wall = wall.Add(time.Duration(int32(binary.BigEndian.Uint32(b[9:]))) * time.Microsecond)
			switch b[0] % 3 {
			case 1:
				l.Report(wall, ticks, now)
				continue
			case 2:
				l.Stamped(ClockONVIF, wall, ticks, now)
				continue
			}
			rtp = ticks
			s := l.At(rtp, now)
			c := s.Clock
			if c.Uncertainty < 0 || c.Source == "" || math.IsNaN(c.Drift) || math.IsInf(c.Drift, 0) || math.IsNaN(c.WallDrift) {
				t.Fatalf("clock %+v", c)
			}
			i, _ := slices.BinarySearchFunc(seen, s, func(a, b Stamp) int { return int(a.PTS - b.PTS) })
			seen = slices.Insert(seen, i, s)
			if i > 0 && seen[i-1].Captured.After(s.Captured) || i+1 < len(seen) && seen[i+1].Captured.Before(s.Captured) {
				t.Fatalf("captured out of order at PTS %v: %v", s.PTS, seen[max(0, i-1):min(i+2, len(seen))])
			}
			if len(seen) > courseLength/2 {
				seen = seen[1:]
			}
		}
	})
}
