package decode

import (
	"slices"
	"testing"
	"time"

	"sightline/ingest"
)

func TestNumbering(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []int // PTS entering in decoding order; negative: that picture comes out
		want  []uint64
	}{
		{"in order", []int{10, -10, 20, -20, 30, -30}, []uint64{1, 2, 3}},
		{"reordered", []int{10, 40, -10, 20, -20, 30, -30, 70, -40}, []uint64{1, 2, 3, 4}},
		{"some passed over", []int{10, 40, -10, 20, 30, 70, -40, -70}, []uint64{1, 4, 5}},
		{"the first never decoded", []int{10, 20, 30, -30}, []uint64{3}},
		{"same time twice", []int{10, 10, -10, 20, -20}, []uint64{1, 3}},
		{"late for its place", []int{20, -20, 10, -10, 30, -30}, []uint64{1, 2, 3}},
		{"out of order", []int{10, 20, 30, -10, -30, -20, 40, -40}, []uint64{1, 3, 4, 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n numbering
			var got []uint64
			ids := map[int]uint64{}
			for i, pts := range c.steps {
				if pts < 0 {
					got = append(got, n.number(picture{time.Duration(-pts), ids[-pts]}))
					continue
				}
				if _, twice := ids[pts]; !twice {
					ids[pts] = uint64(i + 1)
				}
				n.enter(picture{time.Duration(pts), uint64(i + 1)})
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("indexes %v, want %v", got, c.want)
			}
		})
	}
}

// TestNumberingBounded passes over an hour of pictures without collecting them.
func TestNumberingBounded(t *testing.T) {
	var n numbering
	for i := range 90000 {
		n.enter(picture{time.Duration(i), uint64(i)})
	}
	if got := n.number(picture{89999, 89999}); got != 90000 || cap(n.waiting) > 4*maxUnnumbered {
		t.Errorf("index %d of 90000, room for %d", got, cap(n.waiting))
	}
}

func TestClock(t *testing.T) {
	var n numbering
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	n.clock(2, at(2))
	if pts, captured, own := n.clock(1, at(1)); pts != 2 || captured != at(2) || own {
		t.Errorf("time ran back to %v, %v, own %v", pts, captured, own)
	}
	if pts, captured, own := n.clock(3, at(3)); pts != 3 || captured != at(3) || !own {
		t.Errorf("time stands at %v, %v, own %v", pts, captured, own)
	}
}

func TestWindow(t *testing.T) {
	var w window
	for id := range uint64(100) {
		w.add(entry{id: id, packet: ingest.Packet{PTS: time.Duration(id), Data: []byte{1}}, group: id / 50})
	}
	w.owed = 2
	if w.pending() != 98 {
		t.Errorf("%d pending with two of 100 reported as errors", w.pending())
	}
	w.damage(40, 0)
	e, ok := w.take(45)
	if !ok || e.packet.PTS != 45 || e.packet.Data != nil || !e.damaged {
		t.Errorf("packet %+v, %v", e, ok)
	}
	if e, ok := w.take(51); !ok || e.damaged {
		t.Errorf("damage of one group reached the next: %+v, %v", e, ok)
	}
	if _, ok := w.take(51); ok {
		t.Error("a packet has two pictures")
	}
	w.remove(99)
	if _, ok := w.take(90); !ok || w.in[0].id != 90-maxWindow || w.owed != 0 || w.pending() != 70 {
		t.Errorf("%d pending from %d on, %d owed", w.pending(), w.in[0].id, w.owed)
	}
	for id := range uint64(1000) {
		w.add(entry{id: 100 + id})
	}
	if w.pending() != 2*maxWindow {
		t.Errorf("%d pending without a picture", w.pending())
	}
}

func TestHidden(t *testing.T) {
	for _, c := range []struct {
		codec ingest.Codec
		data  []byte
		want  bool
	}{
		{ingest.VP8, []byte{0x10, 0, 0}, false},
		{ingest.VP8, []byte{0x01, 0, 0}, true},
		{ingest.VP9, []byte{0x82, 0x49, 0}, false},     // shown keyframe
		{ingest.VP9, []byte{0x84, 0, 0}, true},         // inter frame, not shown
		{ingest.VP9, []byte{0x84, 0, 0xc0}, false},     // the same in a superframe
		{ingest.VP9, []byte{0x88, 0}, false},           // shows an existing frame
		{ingest.VP9, []byte{0xb0, 0}, true},            // profile 3
		{ingest.VP9, []byte{0xb1, 0}, false},           // profile 3, shown
		{ingest.H264, []byte{0, 0, 0, 1, 0x06}, false}, // no such notion
		{ingest.VP8, nil, false},
	} {
		if got := hidden(ingest.Packet{Codec: c.codec, Data: c.data}); got != c.want {
			t.Errorf("%s % x: hidden %v", c.codec, c.data, got)
		}
	}
}
