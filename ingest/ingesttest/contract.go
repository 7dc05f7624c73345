package ingesttest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sightline/ingest"
)

// patience is how long the suite waits for a source to deliver, and promptness
// how long for one to stop.
const (
	patience   = 20 * time.Second
	promptness = 2 * time.Second
)

var errStop = errors.New("seen enough")

// Case is one kind of source in one setting.
type Case struct {
	Name string
	// New makes a source that has at least Packets packets to give, and whatever
	// it reads from; t.Cleanup ends that without leaving a goroutine.
	New     func(t *testing.T) ingest.Source
	Packets int  // how many are looked at; default 30
	Live    bool // packets say when they were received
}

// Run checks that a kind of source keeps the contract of ingest.Source.
func Run(t *testing.T, c Case) {
	c.Packets = cmp.Or(c.Packets, 30)
	for _, check := range []struct {
		name string
		run  func(*testing.T, Case)
	}{
		{"packets", checkPackets},
		{"emit error is returned", checkEmitError},
		{"cancel while waiting", checkCancel},
		{"cancel while emit blocks", checkCancelBlocked},
		{"cancelled before", checkCancelledBefore},
		{"run again", checkAgain},
		{"slow emit", checkSlowEmit},
	} {
		t.Run(c.Name+"/"+check.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("source", func(t *testing.T) { check.run(t, c) })
			if err := goleak.Find(before); err != nil {
				t.Errorf("goroutines are left behind: %v", err)
			}
		})
	}
}

// collect runs the source until n packets came, and fails when they do not.
func collect(t *testing.T, source ingest.Source, n int) []ingest.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var packets []ingest.Packet
	var inside atomic.Int32
	err := source.Run(ctx, func(p ingest.Packet) error {
		if inside.Add(1) != 1 {
			t.Error("emit is called from two goroutines at once")
		}
		defer inside.Add(-1)
		packets = append(packets, p)
		if len(packets) >= n {
			return errStop
		}
		return nil
	})
	if err != errStop {
		t.Fatalf("Run returned %v after %d packets, want emit's error after %d", err, len(packets), n)
	}
	return packets
}

func checkPackets(t *testing.T, c Case) {
	var seed = maphash.MakeSeed()
	var sums []uint64
	source := c.New(t)
	packets := collect(t, watched{source, func(p ingest.Packet) {
		sums = append(sums, maphash.Bytes(seed, p.Data))
	}}, c.Packets)
	for i, p := range packets {
		if maphash.Bytes(seed, p.Data) != sums[i] {
			t.Errorf("packet %d: its data changed after it was emitted", i)
		}
		checkPacket(t, c, i, p, packets[0])
	}
	inOrder := slices.SortedStableFunc(slices.Values(packets), func(a, b ingest.Packet) int { return cmp.Compare(a.PTS, b.PTS) })
	for i := 1; i < len(inOrder); i++ {
		if inOrder[i].PTS == inOrder[i-1].PTS {
			t.Errorf("two packets have PTS %v", inOrder[i].PTS)
		}
		if inOrder[i].Captured.Before(inOrder[i-1].Captured) {
			t.Errorf("capture time runs backwards at PTS %v: %v after %v", inOrder[i].PTS, inOrder[i].Captured, inOrder[i-1].Captured)
		}
	}
}

// checkPacket looks at one packet in the light of the epoch's first.
func checkPacket(t *testing.T, c Case, i int, p, first ingest.Packet) {
	t.Helper()
	switch {
	case p.Stream == "" || p.Stream != first.Stream:
		t.Errorf("packet %d: stream %q, the first has %q", i, p.Stream, first.Stream)
	case p.Epoch == "" || p.Epoch != first.Epoch:
		t.Errorf("packet %d: epoch %q, the first has %q", i, p.Epoch, first.Epoch)
	case p.Codec == "":
		t.Errorf("packet %d: no codec", i)
	case len(p.Data) == 0:
		t.Errorf("packet %d: no data", i)
	case i == 0 && (!p.Keyframe || p.Break):
		t.Errorf("the first packet: keyframe %v, break %v", p.Keyframe, p.Break)
	case p.Keyframe && p.Disposable:
		t.Errorf("packet %d: a disposable keyframe", i)
	case p.PTS < 0:
		t.Errorf("packet %d: PTS %v", i, p.PTS)
	case p.Captured.IsZero() || p.Captured.Location() != time.UTC:
		t.Errorf("packet %d: captured %v, want a time in UTC", i, p.Captured)
	case p.Clock.Source == "":
		t.Errorf("packet %d: nothing says how its capture time is known", i)
	case c.Live == p.Received.IsZero():
		t.Errorf("packet %d: received %v of a source with live %v", i, p.Received, c.Live)
	case !bytes.Equal(p.Extradata, first.Extradata):
		t.Errorf("packet %d: extradata changed", i)
	}
}

func checkEmitError(t *testing.T, c Case) {
	collect(t, c.New(t), 1)
}

func checkCancel(t *testing.T, c Case) {
	source := c.New(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stopped time.Time
	err := source.Run(ctx, func(ingest.Packet) error {
		if stopped.IsZero() {
			stopped = time.Now()
			cancel()
		}
		return nil
	})
	prompt(t, err, stopped)
}

func checkCancelBlocked(t *testing.T, c Case) {
	source := c.New(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stopped time.Time
	err := source.Run(ctx, func(ingest.Packet) error {
		time.AfterFunc(100*time.Millisecond, cancel)
		<-ctx.Done()
		stopped = time.Now()
		return ctx.Err()
	})
	prompt(t, err, stopped)
}

func checkCancelledBefore(t *testing.T, c Case) {
	source := c.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	began := time.Now()
	prompt(t, source.Run(ctx, func(ingest.Packet) error { return nil }), began)
}

// prompt checks how Run ended after its context did.
func prompt(t *testing.T, err error, cancelled time.Time) {
	t.Helper()
	if cancelled.IsZero() {
		t.Fatalf("no packet came: %v", err)
	}
	if err != context.Canceled {
		t.Errorf("Run returned %v, want context.Canceled", err)
	}
	if took := time.Since(cancelled); took > promptness {
		t.Errorf("Run ended %v after its context", took)
	}
}

func checkAgain(t *testing.T, c Case) {
	source := c.New(t)
	one, two := collect(t, source, 2), collect(t, source, 2)
	if one[0].Epoch == two[0].Epoch {
		t.Errorf("both runs have the epoch %q", one[0].Epoch)
	}
	if !two[0].Keyframe || two[0].PTS != one[0].PTS {
		t.Errorf("the second run begins with keyframe %v, PTS %v", two[0].Keyframe, two[0].PTS)
	}
}

// checkSlowEmit holds emit up once: the source waits and goes on.
func checkSlowEmit(t *testing.T, c Case) {
	count := 0
	packets := collect(t, watched{c.New(t), func(ingest.Packet) {
		if count++; count == 3 {
			<-time.After(300 * time.Millisecond)
		}
	}}, c.Packets)
	for i := range packets[1:] {
		if packets[i].Epoch != packets[i+1].Epoch {
			t.Errorf("a slow reader made the source begin anew at packet %d", i+1)
		}
	}
}

// watched shows each packet to see before it is emitted.
type watched struct {
	ingest.Source
	see func(ingest.Packet)
}

func (w watched) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	return w.Source.Run(ctx, func(p ingest.Packet) error {
		w.see(p)
		return emit(p)
	})
}
