package rtp_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	pion "github.com/pion/rtp"

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
