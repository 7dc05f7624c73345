package rtp_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	pion "github.com/pion/rtp"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

// through pushes sequence numbers, one a millisecond, and returns what comes out.
func through(t *testing.T, r *rtp.Reorderer, seqs ...uint16) (out []uint16) {
	t.Helper()
	for i, seq := range seqs {
		at := arrival.Add(time.Duration(i) * time.Millisecond)
		err := r.Push(&pion.Packet{Header: pion.Header{SequenceNumber: seq}}, at, func(p *pion.Packet, _ time.Time) error {
			out = append(out, p.SequenceNumber)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestReorder(t *testing.T) {
	var r rtp.Reorderer
	if got := through(t, &r, 65533, 65535, 65534, 65534, 1, 0, 2, 2, 5, 4, 3); !slices.Equal(got, []uint16{65533, 65534, 65535, 0, 1, 2, 3, 4, 5}) {
		t.Errorf("%v", got)
	}
}

func TestReorderGivesUpAGap(t *testing.T) {
	var r rtp.Reorderer
	seqs := []uint16{10, 11, 13}
	for s := uint16(14); s < 400; s++ {
		seqs = append(seqs, s)
	}
	seqs = append(seqs, 12) // too late
	got := through(t, &r, seqs...)
	if want := slices.Concat([]uint16{10, 11}, seqs[2:len(seqs)-1]); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestReorderFollowsASenderThatCountsAnew(t *testing.T) {
	var r rtp.Reorderer
	if got := through(t, &r, 100, 101, 103, 40000, 40001); !slices.Equal(got, []uint16{100, 101, 103, 40000, 40001}) {
		t.Errorf("%v", got)
	}
}

// Shuffled within a window, with repetitions, everything comes out once.
func TestReorderShuffled(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var seqs []uint16
	for i := range 70000 {
		seqs = append(seqs, uint16(i))
		if random.IntN(20) == 0 {
			seqs = append(seqs, uint16(i))
		}
	}
	for i := 1; i+20 < len(seqs); i += 20 {
		random.Shuffle(20, func(a, b int) { seqs[i+a], seqs[i+b] = seqs[i+b], seqs[i+a] })
	}
	var r rtp.Reorderer
	got := through(t, &r, seqs...)
	if len(got) != 70000 {
		t.Fatalf("%d packets of 70000", len(got))
	}
	for i, s := range got {
		if s != uint16(i) {
			t.Fatalf("packet %d is %d", i, s)
		}
	}
}

// Whatever a sender does with its numbers, what is let wait stays bounded, and
// what is lost is counted.
func TestReorderCountsAndBounds(t *testing.T) {
	for name, c := range map[string]struct {
		seqs []uint16
		want ingest.Losses
		out  int
	}{
		"in order":       {seqs: []uint16{1, 2, 3}, out: 3},
		"repeated":       {seqs: []uint16{1, 3, 3, 2, 2}, want: ingest.Losses{Repeated: 1, Late: 1}, out: 3},
		"huge gap":       {seqs: []uint16{1, 2, 4, 5000, 5001}, want: ingest.Losses{Lost: 1, Restarts: 1}, out: 5},
		"number stuck":   {seqs: slices.Repeat([]uint16{7}, 1027), want: ingest.Losses{Late: 1024, Restarts: 2}, out: 3},
		"counts in tens": {seqs: []uint16{10, 20, 30, 40, 50, 60}, out: 1},
	} {
		var r rtp.Reorderer
		if got := through(t, &r, c.seqs...); len(got) != c.out {
			t.Errorf("%s: %d packets come out", name, len(got))
		}
		if got := r.Losses(); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Large packets behind a gap do not wait for its time to be over.
func TestReorderBoundsBytes(t *testing.T) {
	var r rtp.Reorderer
	out := 0
	for i := range 200 {
		p := &pion.Packet{Header: pion.Header{SequenceNumber: uint16(2 * i)}, Payload: make([]byte, 60000)}
		r.Push(p, arrival, func(*pion.Packet, time.Time) error { out++; return nil })
		if waiting := i + 1 - out; waiting*60000 > 5<<20 {
			t.Fatalf("%d packets wait", waiting)
		}
	}
	if got := r.Losses(); got.Lost == 0 {
		t.Errorf("%+v", got)
	}
}
