package delivery

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sightline/sink"
	"sightline/sink/journal/journaltest"
	"sightline/sink/sinktest"
	"sightline/sink/spool"
)

// onDisk is a spool on a folder in memory.
func onDisk(fs *journaltest.FS) spool.Config {
	return spool.Config{Path: "spool/events", Max: 64 << 20, Sync: 50 * time.Millisecond, WhenFull: spool.DropOldest, FS: fs}
}

func newDisk() *journaltest.FS { return journaltest.New(rand.New(rand.NewSource(1))) }

func down(context.Context, int, []sink.Record) error { return errors.New("down") }

// A disk that is full is told of; deliveries go on, and nothing is lost that there
// is room for in memory.
func TestGoesOnWithoutItsDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, r := newDisk(), &sinktest.Recorder{}
		var states recordedStates
		var log bytes.Buffer
		q, err := New(Config{Name: "events", Spool: onDisk(fs), OnState: states.add}, r, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, q)
		for i := range 300 {
			switch i {
			case 100:
				fs.Fail(func(_ int, op string) error {
					if op == "write" || op == "create" {
						return syscall.ENOSPC
					}
					return nil
				})
			case 200:
				fs.Fail(nil)
			}
			offer(t, q, event("gate", i+1))
			time.Sleep(100 * time.Millisecond)
		}
		if got := len(r.Records()); got < 295 {
			t.Errorf("%d delivered", got)
		}
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		complete(t, r.Records(), map[string]int{"gate": 300})
		if told, want := states.all(), []string{"spool_failed", "recovered spool_failed"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if !strings.Contains(log.String(), "no space left") {
			t.Errorf("the log does not say why: %s", log.String())
		}
	})
}

// A disk that says nothing any more, in the middle of whatever, holds up nobody who
// makes events, and is told of.
func TestNeverWaitsForAHungDisk(t *testing.T) {
	for _, op := range []string{"sync", "write"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs, r := newDisk(), &sinktest.Recorder{}
				var states recordedStates
				c := onDisk(fs)
				c.Memory = 1 << 20
				q := newQueue(t, Config{Spool: c, OnState: states.add}, r)
				stop := running(t, q)
				offer(t, q, event("gate", 1))
				time.Sleep(time.Second)
				answer := make(chan struct{})
				fs.Fail(func(_ int, what string) error {
					if what == op {
						<-answer
					}
					return nil
				})
				start := time.Now()
				for i := range 2000 {
					offer(t, q, event("gate", i+2))
					q.State() // as the page asks for it
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("offering took %v", took)
				}
				time.Sleep(15 * time.Second)
				if l := balanced(t, q, "gate"); l.Dropped["queue_full"] == 0 || l.Acknowledged != 1 {
					t.Errorf("%+v", l)
				}
				if told := states.all(); !slices.Contains(told, "spool_failed") {
					t.Errorf("told %v", told)
				}
				close(answer)
				time.Sleep(2 * time.Second)
				if err := q.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if l := balanced(t, q, "gate"); l.Acknowledged+l.Dropped["queue_full"] != 2001 || !slices.Contains(states.all(), "recovered spool_failed") {
					t.Errorf("%+v, told %v", l, states.all())
				}
			})
		})
	}
}

// What is undelivered at the end stays, and is no failure; without a disk it is.
func TestLeavesWhatIsUndelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newDisk()
		var log bytes.Buffer
		q, err := New(Config{Name: "events", Spool: onDisk(fs)}, &sinktest.Recorder{Answer: down}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, q)
		for i := range 10 {
			offer(t, q, event("gate", i+1))
		}
		time.Sleep(time.Second)
		start := time.Now()
		if err := q.Drain(t.Context()); err != nil || time.Since(start) > time.Second {
			t.Errorf("waited %v for a destination that is away: %v", time.Since(start), err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if l := balanced(t, q, "gate"); l.Spooled != 10 || len(l.Dropped) != 0 {
			t.Errorf("%+v", l)
		}
		if !strings.Contains(log.String(), "events=10") || !strings.Contains(log.String(), "path=spool/events") {
			t.Errorf("the log does not say what waits where: %s", log.String())
		}
	})
}

// TestAccountsForLostDisk ends while the disk fails: what was in memory alone
// is counted as lost.
func TestAccountsForALostDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newDisk()
		q := newQueue(t, Config{Spool: onDisk(fs)}, &sinktest.Recorder{Answer: down})
		stop := running(t, q)
		for i := range 20 {
			if i == 10 {
				time.Sleep(time.Second)
				fs.Fail(func(int, string) error { return syscall.EIO })
			}
			offer(t, q, event("gate", i+1))
		}
		time.Sleep(time.Second)
		err := stop()
		if err == nil || !strings.Contains(err.Error(), "10 events undelivered") || !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v", err)
		}
		if l := balanced(t, q, "gate"); l.Spooled != 10 || l.Dropped["shutdown"] != 10 {
			t.Errorf("%+v", l)
		}
	})
}

// A disk that cannot be read at the start holds up nothing; what is found there
// later is delivered, and accounted for.
func TestFindsItsSpoolLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newDisk()
		q := newQueue(t, Config{Spool: onDisk(fs)}, &sinktest.Recorder{Answer: down})
		stop := running(t, q)
		for i := range 10 {
			offer(t, q, event("old", i+1))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		fs.Fail(func(int, string) error { return syscall.EIO })
		var states recordedStates
		r := &sinktest.Recorder{}
		q = newQueue(t, Config{Spool: onDisk(fs), OnState: states.add}, r)
		stop = running(t, q)
		offer(t, q, event("new", 1))
		time.Sleep(5 * time.Second)
		if l := balanced(t, q, "new"); l.Acknowledged != 1 {
			t.Errorf("%+v", l)
		}
		fs.Fail(nil)
		time.Sleep(5 * time.Second)
		if l := balanced(t, q, "old"); l.Acknowledged != 10 || l.Recovered != 10 || l.Made != 10 {
			t.Errorf("%+v", l)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if told, want := states.all(), []string{"spool_failed", "recovered spool_failed"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// A disk that breaks for good loses nothing that is delivered from memory, and the
// end does not claim that it did.
func TestEndsWellWithoutItsDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, r := newDisk(), &sinktest.Recorder{}
		fs.Fail(func(int, string) error { return syscall.EROFS })
		var log bytes.Buffer
		q, err := New(Config{Name: "events", Spool: onDisk(fs)}, r, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, q)
		for i := range 10 {
			offer(t, q, event("gate", i+1))
		}
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Errorf("all were delivered: %v", err)
		}
		if got := len(r.Records()); got != 10 {
			t.Errorf("%d of 10 arrived", got)
		}
		if !strings.Contains(log.String(), "the next run may repeat some") {
			t.Errorf("the log does not say what the disk did not keep: %s", log.String())
		}
	})
}
