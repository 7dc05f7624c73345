package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/sinktest"
)

// account counts what a queue gives up, as its owner does.
type account map[string]uint64

func (a account) gone(stream, reason string, n uint64) { a[reason+" "+stream] += n }

func (a account) sum() (n uint64) {
	for v := range maps.Values(a) {
		n += v
	}
	return n
}

func open(t testing.TB, cfg Config) (*Queue, account) {
	t.Helper()
	gone := account{}
	cfg.Gone = gone.gone
	q, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return q, gone
}

func event(stream string, n int, severity detect.Severity) *detect.Event {
	ev := sinktest.Record(stream, uint64(n)).Event
	ev.Severity = severity
	return ev
}

func add(t testing.TB, q *Queue, events ...*detect.Event) {
	t.Helper()
	for _, ev := range events {
		if err := q.Append(t.Context(), ev, sink.Route{}); err != nil {
			t.Fatal(err)
		}
	}
}

func next(t testing.TB, q *Queue, n int) []*Item {
	t.Helper()
	items, err := q.Next(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// nothing checks that Next has nothing to hand out now. Within synctest alone.
func nothing(t testing.TB, q *Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if items, err := q.Next(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("handed out %v (%v)", names(items), err)
	}
}

// all gives every item the same fate.
func all(items []*Item, f Fate) []Fate { return slices.Repeat([]Fate{f}, len(items)) }

// names writes items as "stream:sequence".
func names(items []*Item) (out []string) {
	for _, it := range items {
		out = append(out, fmt.Sprintf("%s:%d", it.Event.Stream, it.Sequence))
	}
	return out
}

func want(t testing.TB, items []*Item, names_ ...string) {
	t.Helper()
	if got := names(items); !slices.Equal(got, names_) {
		t.Errorf("got %v, want %v", got, names_)
	}
}
