package sinktest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sightline/detect"
	"sightline/sink"
)

// Destination is one place to deliver to, new for each test.
type Destination struct {
	// Open makes a sink to it. It may be called more than once.
	Open func(t *testing.T) sink.Sink
	// Read returns what has arrived so far, in order per key. It may wait for
	// want different events, a few seconds at most.
	Read func(t *testing.T, want int) []Arrival
	// Break makes the destination fail in part or whole for the next Publish
	// calls, until mend is called; nil where that cannot be arranged.
	Break func(t *testing.T) (mend func())
}

// Arrival is one event as it was read back.
type Arrival struct {
	Key      string
	Sequence uint64
	ID       string
	Body     string // the event's structured JSON as it arrived; "" where Read cannot tell
}

// Run checks that a kind of sink keeps the contract of sink.Sink.
func Run(t *testing.T, open func(t *testing.T) Destination) {
	for name, test := range map[string]func(*testing.T, Destination){
		"OrderPerKey": orderPerKey, "KeepsNothing": keepsNothing, "Context": endedContext,
		"Close": closing, "RetryKeepsOrder": retryKeepsOrder, "ReadBack": readBack,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Records makes n events for each key, interleaved, numbered per key from first.
func Records(keys []string, first uint64, n int) []sink.Record {
	var out []sink.Record
	for i := range uint64(n) {
		for _, key := range keys {
			out = append(out, Record(key, first+i))
		}
	}
	return out
}

// Record makes one event of stream key at site "test", the same at each call.
func Record(key string, sequence uint64) sink.Record {
	const site, epoch, track = "test", "1767225600000000", "1767225600000000-1"
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := start.Add(time.Duration(sequence) * time.Millisecond)
	return sink.Record{Sequence: sequence, Event: &detect.Event{
		Site: site, Stream: key, Type: detect.ObjectStarted, Subject: "track/" + track, Time: at, Severity: detect.Info,
		ID: detect.EventID(detect.Source(site, key), epoch, detect.ObjectStarted, "", track, sequence),
		Data: detect.Data{
			Stream: detect.StreamInfo{Site: site, Name: key, Epoch: epoch},
			Frame:  &detect.FrameInfo{Index: sequence, PTSMs: float64(sequence), Width: 768, Height: 576},
			Clock:  &detect.ClockInfo{Source: "arrival"},
			Object: &detect.Object{
				TrackID: track, Class: "person", Score: 0.5, BBox: detect.Rect{X: 0.1, Y: 0.2, W: 0.3, H: 0.4},
				State: "active", FirstSeen: start, LastSeen: at,
			},
		},
	}}
}

func orderPerKey(t *testing.T, d Destination) {
	s := opened(t, d)
	keys := []string{"a", "b", "c", "d", "e"}
	var sent []sink.Record
	for batch := range uint64(4) {
		records := Records(keys, 1+batch*10, 10)
		if err := s.Publish(t.Context(), records); err != nil {
			t.Fatalf("batch %d: %v", batch, err)
		}
		sent = append(sent, records...)
	}
	if err := s.Publish(t.Context(), nil); err != nil {
		t.Errorf("publishing nothing: %v", err)
	}
	if diff := cmp.Diff(perKey(arrivals(sent)), perKey(bare(d.Read(t, len(sent))))); diff != "" {
		t.Errorf("arrived otherwise than sent (-sent +arrived):\n%s", diff)
	}
}

// A caller may reuse its slice as soon as Publish has returned.
func keepsNothing(t *testing.T, d Destination) {
	s := opened(t, d)
	records := Records([]string{"a"}, 1, 3)
	want := arrivals(records)
	if err := s.Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	for i := range records {
		records[i] = Record("overwritten", 99)
	}
	if diff := cmp.Diff(want, bare(d.Read(t, len(want)))); diff != "" {
		t.Errorf("arrived otherwise than sent (-sent +arrived):\n%s", diff)
	}
}

// Records that waited on disk arrive as the others do, among them.
func readBack(t *testing.T, d Destination) {
	s := opened(t, d)
	records := Records([]string{"a", "b"}, 1, 4)
	mixed := slices.Clone(records)
	for i, r := range records {
		if i%3 > 0 {
			mixed[i] = Stored(t, r)
		}
	}
	if err := s.Publish(t.Context(), mixed); err != nil {
		t.Fatal(err)
	}
	arrived := d.Read(t, len(records))
	if diff := cmp.Diff(perKey(arrivals(records)), perKey(bare(arrived))); diff != "" {
		t.Fatalf("arrived otherwise than sent (-sent +arrived):\n%s", diff)
	}
	want := map[string]string{}
	for _, r := range records {
		body, err := sink.AppendStructured(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		want[r.Event.ID] = string(body)
	}
	for _, a := range arrived {
		if a.Body != "" && a.Body != want[a.ID] {
			t.Errorf("event %s of %s arrived as %s, want %s", a.ID, a.Key, a.Body, want[a.ID])
		}
	}
}

// Stored is the record as it comes back from where it waited on disk.
func Stored(t testing.TB, r sink.Record) sink.Record {
	t.Helper()
	b, err := sink.AppendRecord(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := sink.ParseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func endedContext(t *testing.T, d Destination) {
	s := opened(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	records := Records([]string{"a"}, 1, 2)
	if err := s.Publish(ctx, records); !errors.Is(err, context.Canceled) {
		t.Fatalf("canceled before it began: got %v", err)
	}
	if err := s.Publish(t.Context(), records); err != nil {
		t.Fatalf("after a canceled call: %v", err)
	}
	if got := firsts(d.Read(t, len(records))); !cmp.Equal(got, perKey(arrivals(records))) {
		t.Errorf("after a canceled call and a good one: got %v", got)
	}
}

func closing(t *testing.T, d Destination) {
	s := d.Open(t)
	for range 2 {
		if err := s.Close(t.Context()); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	if err := s.Publish(t.Context(), Records([]string{"a"}, 1, 1)); err == nil {
		t.Error("a closed sink accepted an event")
	}
}

// A caller that sends again what failed, before anything newer, loses nothing and
// keeps the order in which events of a key first arrive.
func retryKeepsOrder(t *testing.T, d Destination) {
	if d.Break == nil {
		t.Skip("skipped: this destination cannot be made to fail")
	}
	s := opened(t, d)
	keys := []string{"a", "b", "c", "d"}
	queue := Records(keys, 1, 60)
	want := perKey(arrivals(queue))
	total := len(queue)
	mend := d.Break(t)
	failures, deadline := 0, time.Now().Add(20*time.Second)
	for len(queue) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("not all accepted within 20 s")
		}
		n := min(40, len(queue))
		err := s.Publish(t.Context(), queue[:n])
		queue = append(remaining(t, queue[:n], err), queue[n:]...)
		if err != nil {
			if failures++; failures == 5 {
				mend()
			}
		}
	}
	if failures == 0 {
		t.Fatal("the destination did not fail when asked to")
	}
	if diff := cmp.Diff(want, firsts(d.Read(t, total))); diff != "" {
		t.Errorf("first arrivals per key (-sent +arrived):\n%s", diff)
	}
}

// remaining checks what err says of the batch and returns what to send again.
func remaining(t *testing.T, batch []sink.Record, err error) []sink.Record {
	t.Helper()
	var partial *sink.PartialError
	if err == nil {
		return nil
	}
	if !errors.As(err, &partial) {
		return slices.Clone(batch)
	}
	if len(partial.Refused) > 0 || len(partial.Failed) == 0 {
		t.Fatalf("refused %v and failed %v of good events: %v", partial.Refused, partial.Failed, err)
	}
	if !slices.IsSorted(partial.Failed) || partial.Failed[len(partial.Failed)-1] >= len(batch) {
		t.Fatalf("failed indices %v of %d", partial.Failed, len(batch))
	}
	var again []sink.Record
	broken := map[string]bool{}
	for i, r := range batch {
		failed := slices.Contains(partial.Failed, i)
		if broken[r.Event.Stream] && !failed {
			t.Fatalf("event %s was accepted though an earlier one of its key failed", r.Event.ID)
		}
		if failed {
			broken[r.Event.Stream] = true
			again = append(again, r)
		}
	}
	return again
}

func opened(t *testing.T, d Destination) sink.Sink {
	t.Helper()
	s := d.Open(t)
	t.Cleanup(func() { s.Close(context.WithoutCancel(t.Context())) })
	return s
}

func arrivals(records []sink.Record) []Arrival {
	var out []Arrival
	for _, r := range records {
		out = append(out, Arrival{Key: r.Event.PartitionKey(), Sequence: r.Sequence, ID: r.Event.ID})
	}
	return out
}

func perKey(all []Arrival) map[string][]Arrival {
	out := map[string][]Arrival{}
	for _, a := range all {
		out[a.Key] = append(out[a.Key], a)
	}
	return out
}

// bare is the arrivals without what they hold.
func bare(all []Arrival) []Arrival {
	out := slices.Clone(all)
	for i := range out {
		out[i].Body = ""
	}
	return out
}

// firsts is perKey without the repeats that at-least-once delivery allows.
func firsts(all []Arrival) map[string][]Arrival {
	seen := map[string]bool{}
	return perKey(slices.DeleteFunc(bare(all), func(a Arrival) bool {
		repeat := seen[a.ID]
		seen[a.ID] = true
		return repeat
	}))
}
