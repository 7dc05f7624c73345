package spool

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect"
	"sightline/sink"
)

const info, warning, critical = detect.Info, detect.Warning, detect.Critical

// one is what an event of event() counts for in memory.
func one() int64 { return footprint(event("a", 1, info), sink.Route{}) }

func TestNextGivesEachRouteAShareInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{})
		for i := range 10 {
			add(t, q, event("a", i, info))
		}
		add(t, q, event("b", 1, info), event("c", 1, info), event("c", 2, info))
		first := next(t, q, 6)
		want(t, first, "a:1", "a:2", "b:1", "c:1", "c:2", "a:3")
		add(t, q, event("b", 2, info))
		nothing(t, q) // all are in flight
		q.Settle(first, all(first, Done), 0)
		want(t, next(t, q, 6), "a:4", "a:5", "a:6", "b:2", "a:7", "a:8")
	})
}

func TestSettleAgainKeepsTheOrderAndHoldsTheRouteAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{})
		for i := range 3 {
			add(t, q, event("a", i, info), event("b", i, info))
		}
		items := next(t, q, 4)
		want(t, items, "a:1", "a:2", "b:1", "b:2")
		start := time.Now()
		q.Settle(items, []Fate{Done, Again, Done, Done}, time.Second)
		items = next(t, q, 4)
		want(t, items, "b:3")
		q.Settle(items, all(items, Again), 0)
		want(t, next(t, q, 4), "b:3")
		items = next(t, q, 4)
		want(t, items, "a:2", "a:3")
		if took := time.Since(start); took != time.Second || items[0].Tries != 1 || items[1].Tries != 0 {
			t.Errorf("held for %v, tries %d and %d", took, items[0].Tries, items[1].Tries)
		}
	})
}

// Items of one flight come back in several calls, the later ones first.
func TestSettleInPartsKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{})
		for i := range 5 {
			add(t, q, event("a", i, info))
		}
		items := next(t, q, 4)
		q.Settle(items[2:3], []Fate{Again}, 0)
		q.Settle(items[3:], []Fate{Again}, 0)
		q.Settle(items[1:2], []Fate{Again}, 0)
		q.Settle(items[1:2], []Fate{Done}, 0) // twice: has been settled
		if len(q.ready) != 0 {
			t.Error("offered while in flight")
		}
		q.Settle(items[:1], []Fate{Done}, 0)
		want(t, next(t, q, 9), "a:2", "a:3", "a:4", "a:5")
	})
}

func TestPoliciesWhenFull(t *testing.T) {
	add3 := func(t *testing.T, q *Queue) []*Item {
		add(t, q, event("a", 1, critical))
		flight := next(t, q, 1)
		add(t, q, event("b", 1, warning), event("a", 2, info), event("b", 2, info), event("c", 1, critical))
		return flight // the queue is full
	}
	for _, c := range []struct {
		policy Policy
		events []*detect.Event
		gone   account
		left   []string
	}{
		{DropOldest, []*detect.Event{event("d", 1, info)}, account{"queue_full b": 1}, []string{"a:2", "b:2", "c:1", "d:1"}},
		{DropOldest, []*detect.Event{event("d", 1, info), event("d", 2, info), event("d", 3, info)},
			account{"queue_full a": 1, "queue_full b": 2}, []string{"c:1", "d:1", "d:2", "d:3"}},
		{DropLowestSeverity, []*detect.Event{event("d", 1, info)}, account{"queue_full a": 1}, []string{"b:1", "b:2", "c:1", "d:1"}},
		{DropLowestSeverity, []*detect.Event{event("d", 1, warning), event("d", 2, critical), event("d", 3, critical)},
			account{"queue_full a": 1, "queue_full b": 2}, []string{"c:1", "d:1", "d:2", "d:3"}},
		{DropLowestSeverity, []*detect.Event{event("d", 1, critical), event("d", 2, critical), event("d", 3, critical), event("d", 4, info)},
			account{"queue_full a": 1, "queue_full b": 2, "queue_full d": 1}, []string{"c:1", "d:1", "d:2", "d:3"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			q, gone := open(t, Config{WhenFull: c.policy, Max: 5 * one()})
			flight := add3(t, q)
			add(t, q, c.events...)
			if len(gone) != len(c.gone) {
				t.Errorf("%s: gave up %v, want %v", c.policy, gone, c.gone)
			}
			for k, n := range c.gone {
				if gone[k] != n {
					t.Errorf("%s: gave up %v, want %v", c.policy, gone, c.gone)
				}
			}
			q.Settle(flight, all(flight, Done), 0)
			left := map[string]bool{}
			for _, name := range names(next(t, q, 9)) {
				left[name] = true
			}
			for _, name := range c.left {
				if !left[name] || len(left) != len(c.left) {
					t.Errorf("%s: left %v, want %v", c.policy, left, c.left)
				}
			}
		})
	}
}

// What is in flight is never dropped; an empty queue takes any one event.
func TestFullOfFlightDropsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, gone := open(t, Config{Max: 100})
		add(t, q, event("a", 1, info))
		flight := next(t, q, 5)
		add(t, q, event("a", 2, critical), event("b", 1, critical))
		q.Settle(flight, all(flight, Dead), 0)
		add(t, q, event("a", 3, info))
		want(t, next(t, q, 5), "a:3")
		if gone["queue_full a"] != 1 || gone["queue_full b"] != 1 || gone.sum() != 2 {
			t.Errorf("gave up %v", gone)
		}
	})
}

func TestBlockWaitsForRoomOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, gone := open(t, Config{Max: 2 * one(), WhenFull: Block})
		add(t, q, event("a", 1, info), event("a", 2, info))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second := make(chan error)
		go func() { second <- q.Append(ctx, event("a", 3, info), sink.Route{}) }()
		if err := q.Append(ctx, event("a", 4, info), sink.Route{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := <-second; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("behind one that waits: got %v", err)
		}
		go func() {
			time.Sleep(time.Minute)
			items, _ := q.Next(t.Context(), 1)
			q.Settle(items, []Fate{Done}, 0)
		}()
		add(t, q, event("a", 5, info))
		want(t, next(t, q, 5), "a:2", "a:3")
		closed := make(chan error)
		go func() { closed <- q.Append(t.Context(), event("a", 6, info), sink.Route{}) }()
		synctest.Wait()
		q.Close()
		if err := <-closed; !errors.Is(err, ErrClosed) || gone.sum() != 0 {
			t.Errorf("closed while waiting: got %v, gave up %v", err, gone)
		}
	})
}

func TestRecordsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, gone := open(t, Config{MaxAge: time.Minute})
		for i := range 2 * expireAtOnce {
			add(t, q, event("a", i, info))
		}
		add(t, q, event("b", 1, info))
		time.Sleep(2 * time.Minute)
		add(t, q, event("b", 2, info))
		want(t, next(t, q, 5), "b:2")
		if gone["expired a"] != 2*expireAtOnce || gone["expired b"] != 1 || q.Stats().Events != 1 {
			t.Errorf("gave up %v, %d left", gone, q.Stats().Events)
		}
	})
}

func TestNumbersBeginAgainWithAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{})
		for i, epoch := range []string{"1", "1", "", "2", "2", ""} { // without: offline, between two connections
			ev := event("gate", i, info)
			ev.Data.Stream.Epoch = epoch
			add(t, q, ev)
		}
		want(t, next(t, q, 9), "gate:1", "gate:2", "gate:3", "gate:1", "gate:2", "gate:3")
	})
}

// Streams that share a key have epochs of their own, so its numbers go on.
func TestNumbersOfASharedKeyGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{})
		for i, stream := range []string{"a", "b", "a", "b"} {
			ev := event(stream, i, info)
			ev.Data.Stream.Epoch = "of " + stream
			if err := q.Append(t.Context(), ev, sink.Route{Topic: "t", Key: "site"}); err != nil {
				t.Fatal(err)
			}
		}
		want(t, next(t, q, 9), "a:1", "b:2", "a:3", "b:4")
	})
}

func TestCloseDrainsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{})
		add(t, q, event("a", 1, info), event("b", 1, info))
		q.Close()
		if err := q.Append(t.Context(), event("a", 2, info), sink.Route{}); !errors.Is(err, ErrClosed) {
			t.Errorf("append: %v", err)
		}
		items := next(t, q, 5)
		q.Settle(items, []Fate{Done, Again}, time.Hour)
		if lost, _ := q.Release(); lost["b"] != 1 || len(lost) != 1 {
			t.Errorf("lost %v", lost)
		}
		if _, err := q.Next(t.Context(), 5); err != io.EOF {
			t.Errorf("next: %v", err)
		}
	})
}

// Numbers are remembered of so many keys, and their memory with them.
func TestIdleRoutesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{})
		q.maxIdle = 2
		for _, stream := range []string{"a", "b", "c", "b"} {
			add(t, q, event(stream, 1, info))
			items := next(t, q, 1)
			q.Settle(items, []Fate{Done}, 0)
		}
		add(t, q, event("a", 1, info), event("b", 1, info), event("c", 1, info))
		want(t, next(t, q, 5), "a:1", "b:3", "c:2")
		if st := q.Stats(); st.Keys != 3 || st.Events != 3 || len(q.routes) != 3 {
			t.Errorf("%+v, %d routes", st, len(q.routes))
		}
	})
}
