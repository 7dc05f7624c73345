package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sightline/sink"
	"sightline/sink/journal"
	"sightline/sink/journal/journaltest"
)

func folder() *journaltest.FS { return journaltest.New(rand.New(rand.NewSource(1))) }

func flush(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.Sync(); err != nil {
		t.Fatal(err)
	}
}

func release(t testing.TB, q *Queue) {
	t.Helper()
	if lost, err := q.Release(); err != nil || len(lost) > 0 {
		t.Fatalf("lost %v, %v", lost, err)
	}
}

func settle(q *Queue, items []*Item, f Fate) { q.Settle(items, all(items, f), 0) }

func TestNothingLeavesBeforeItIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{Path: "q", FS: folder(), Sync: time.Second})
		add(t, q, event("a", 1, info))
		<-q.Dirty()
		nothing(t, q)
		if st := q.Stats(); st.Unsynced != 1 || st.Events != 1 {
			t.Errorf("%+v", st)
		}
		flush(t, q)
		want(t, next(t, q, 5), "a:1")
		if st := q.Stats(); st.Unsynced != 0 || st.Disk == 0 || !st.Oldest.Equal(time.Now().Truncate(time.Second)) {
			t.Errorf("%+v", st)
		}
		release(t, q)
	})
}

// With Sync 0 an Append is on disk when it returns.
func TestSyncOfEveryEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := folder()
		q, _ := open(t, Config{Path: "q", FS: fs})
		add(t, q, event("a", 1, info), event("b", 1, info))
		fs.Crash()
		q, _ = open(t, Config{Path: "q", FS: fs})
		if got := q.Stats().Recovered; got["a"] != 1 || got["b"] != 1 || len(got) != 2 {
			t.Errorf("recovered %v", got)
		}
		release(t, q)
	})
}

// Numbers go on over restarts, of keys without waiting records too, and what was
// settled does not come back.
func TestNumbersGoOnOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := folder()
		for i := range 5 {
			q, _ := open(t, Config{Path: "q", FS: fs})
			for range 3 {
				ev := event("a", i, info)
				ev.Data.Stream.Epoch = fmt.Sprint(i)
				add(t, q, ev)
			}
			for n := uint64(3*i + 1); q.Stats().Events > i%2; n++ { // one stays for the next run, every other time
				items := next(t, q, 1)
				if got := items[0].Sequence; got != n-uint64((i+1)%2*min(i, 1)) {
					t.Errorf("run %d hands out %d", i, got)
				}
				settle(q, items, []Fate{Done, Dead}[n%2])
			}
			if i%2 == 0 {
				release(t, q)
			} else {
				flush(t, q)
				fs.Crash()
			}
		}
		q, _ := open(t, Config{Path: "q", FS: fs})
		add(t, q, event("a", 9, info))
		items := next(t, q, 9)
		if last := items[len(items)-1]; last.Sequence != 16 {
			t.Errorf("the 16th event has number %d", last.Sequence)
		}
		release(t, q)
	})
}

// A key that is not used any more keeps its number though all files that told of it
// are gone, and a stuck key does not keep the files of others.
func TestFilesAreReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := folder()
		q, gone := open(t, Config{Path: "q", FS: fs, Max: 1 << 20, Sync: time.Second})
		add(t, q, event("idle", 1, info), event("idle", 2, info), event("stuck", 1, info))
		flush(t, q)
		items := next(t, q, 9)
		settle(q, items[:2], Done)
		q.Settle(items[2:], []Fate{Again}, time.Hour)
		for i := range 10_000 { // ten times what fits
			add(t, q, event("busy", i, info))
			flush(t, q)
			items := next(t, q, 9)
			want(t, items, fmt.Sprintf("busy:%d", i+1))
			settle(q, items, Done)
			if disk := q.Stats().Disk; disk > 4*q.disk.segment {
				t.Fatalf("%d bytes on disk, and one record waits", disk)
			}
		}
		if gone.sum() > 0 {
			t.Errorf("gave up %v", gone)
		}
		flush(t, q)
		fs.Crash()
		q, _ = open(t, Config{Path: "q", FS: fs, Max: 1 << 20})
		add(t, q, event("idle", 3, info))
		want(t, next(t, q, 9), "stuck:1", "idle:3")
		add(t, q, event("busy", 1, info))
		want(t, next(t, q, 9), "busy:10001")
		release(t, q)
	})
}

// The numbers of keys beyond maxIdle are forgotten for good: they begin again at 1,
// and go on from there after a restart.
func TestForgottenNumbersStayForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := folder()
		q, _ := open(t, Config{Path: "q", FS: fs})
		q.maxIdle = 2
		deliver := func(streams ...string) {
			for _, stream := range streams {
				add(t, q, event(stream, 1, info))
				settle(q, next(t, q, 1), Done)
				flush(t, q)
			}
		}
		deliver("a", "a", "a", "b", "c", "a")
		release(t, q)
		q, _ = open(t, Config{Path: "q", FS: fs})
		deliver("d")
		add(t, q, event("a", 1, info))
		want(t, next(t, q, 1), "a:2")
		release(t, q)
	})
}

// Records beyond Memory are read back, of encrypted files too, whole and in order.
func TestBacklogIsReadFromDisk(t *testing.T) {
	for _, secret := range [][]byte{nil, bytes.Repeat([]byte{1}, 32)} {
		synctest.Test(t, func(t *testing.T) {
			fs := folder()
			q, _ := open(t, Config{Path: "q", FS: fs, Sync: time.Second, Memory: 20_000, Key: secret})
			var sent []string
			for i := range 500 {
				ev := event([]string{"a", "b", "c"}[i%3], i, info)
				ev.DataRef = "file:///x.jpg"
				if err := q.Append(t.Context(), ev, sink.Route{Topic: "t"}); err != nil {
					t.Fatal(err)
				}
				body, _ := sink.AppendStructured(nil, sink.Record{Event: ev, Route: sink.Route{Topic: "t"}, Sequence: uint64(i/3 + 1)})
				sent = append(sent, string(body))
				if i%5 == 0 {
					flush(t, q)
				}
			}
			flush(t, q)
			if q.disk.resident > 20_000 {
				t.Errorf("%d bytes in memory", q.disk.resident)
			}
			for _, b := range fs.Contents() {
				if has := bytes.Contains(b, []byte("object.started")); has != (secret == nil) {
					t.Errorf("readable on disk: %v", has)
				}
			}
			var got []string
			for len(got) < len(sent) {
				items := next(t, q, 100)
				slices.SortFunc(items, func(a, b *Item) int { return strings.Compare(a.Event.ID, b.Event.ID) })
				for _, it := range items {
					if it.Topic != "t" || !it.Offered.Equal(time.Now()) {
						t.Fatalf("%+v", it)
					}
					got = append(got, string(it.JSON))
				}
				settle(q, items, Done)
			}
			slices.Sort(sent)
			slices.Sort(got)
			if !slices.Equal(sent, got) {
				t.Error("what was read back differs from what was sent")
			}
			release(t, q)
			if secret != nil {
				if _, err := Open(Config{Path: "q", FS: fs, Key: bytes.Repeat([]byte{2}, 32)}, q.log); !errors.Is(err, journal.ErrKey) {
					t.Errorf("another key: %v", err)
				}
			}
		})
	}
}

// While the disk fails the queue delivers from memory, says so once, and goes back
// to the disk by itself, with what was not delivered meanwhile.
func TestDiskFailsAndRecovers(t *testing.T) {
	for _, why := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		synctest.Test(t, func(t *testing.T) {
			fs := folder()
			var told []error
			cfg := Config{Path: "q", FS: fs, Sync: time.Second, Memory: 50_000, Fault: func(err error) { told = append(told, err) }}
			q, gone := open(t, cfg)
			add(t, q, event("a", 1, info))
			flush(t, q)
			fs.Fail(func(_ int, op string) error {
				if op == "write" || op == "sync" || op == "create" {
					return why
				}
				return nil
			})
			for i := range 100 {
				add(t, q, event("b", i, info))
				if err := q.Sync(); !errors.Is(err, why) {
					t.Fatalf("sync: %v, want %v", err, why)
				}
			}
			st := q.Stats()
			if !errors.Is(st.Err, why) || len(told) != 1 || st.Unsynced+int(gone["queue_full b"]) != 100 || gone.sum() == 0 || q.disk.unsafe > 50_000 {
				t.Errorf("%+v, told %v, gave up %v", st, told, gone)
			}
			items := next(t, q, 4)
			if len(items) != 4 || items[0].Sequence != 1 {
				t.Errorf("while the disk fails: %v", names(items))
			}
			settle(q, items, Done)
			fs.Fail(nil)
			time.Sleep(2 * time.Second)
			flush(t, q)
			if st := q.Stats(); st.Err != nil || st.Unsynced != 0 || len(told) != 2 || told[1] != nil {
				t.Errorf("%+v, told %v", st, told)
			}
			left := q.Stats().Events
			fs.Crash()
			q, _ = open(t, cfg)
			if q.Stats().Events != left {
				t.Errorf("%d of %d wait after the crash", q.Stats().Events, left)
			}
			release(t, q)
		})
	}
}

// On a full disk what has been delivered makes room, without a byte written, but
// nothing goes that alone tells of a key's numbers.
func TestFullDiskFreesItself(t *testing.T) {
	for _, killed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			fs := folder()
			cfg := Config{Path: "q", FS: fs, Sync: time.Second, Max: minDisk}
			q, gone := open(t, cfg)
			for i := range 2 {
				add(t, q, event("idle", i, info))
				flush(t, q)
				settle(q, next(t, q, 1), Done)
			}
			for i := range 100 {
				add(t, q, event("busy", i, info))
				flush(t, q)
			}
			fs.Space(q.Stats().Disk)
			add(t, q, event("busy", 100, info))
			if err := q.Sync(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("sync: %v", err)
			}
			for n := 0; n < 100; {
				items := next(t, q, 100-n)
				n += len(items)
				settle(q, items, Done)
			}
			time.Sleep(2 * time.Second)
			if err := q.Sync(); !errors.Is(err, syscall.ENOSPC) { // releases, and fails again
				t.Fatalf("sync: %v", err)
			}
			busy := uint64(101) // number 101 left, and the killed process alone knew
			if !killed {
				time.Sleep(2 * time.Second)
				flush(t, q)
				busy++
			}
			fs.Exit()
			fs.Space(1 << 40)
			q, _ = open(t, cfg)
			add(t, q, event("idle", 9, info), event("busy", 101, info))
			flush(t, q)
			last := map[string]uint64{}
			for q.Stats().Events > 0 {
				items := next(t, q, 9)
				for _, it := range items {
					last[it.Event.Stream] = it.Sequence
				}
				settle(q, items, Done)
			}
			if last["idle"] != 3 || last["busy"] != busy || gone.sum() > 0 {
				t.Errorf("numbers go on with %v, gave up %v", last, gone)
			}
			release(t, q)
		})
	}
}

// Where the disk cannot be read at the start, the queue works in memory with numbers
// far above, and takes up what waits once it can.
func TestDiskCannotBeReadAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := folder()
		cfg := Config{Path: "q", FS: fs, Sync: time.Second}
		q, _ := open(t, cfg)
		add(t, q, event("a", 1, info), event("a", 2, info), event("c", 1, info))
		release(t, q)
		fs.Fail(func(int, string) error { return syscall.EIO })
		q, gone := open(t, cfg)
		add(t, q, event("a", 3, info), event("a", 4, info), event("b", 1, info))
		if err := q.Sync(); !errors.Is(err, syscall.EIO) || !errors.Is(q.Stats().Err, syscall.EIO) {
			t.Errorf("sync: %v", err)
		}
		items := next(t, q, 2)
		if items[0].Sequence < 1_000_000 || items[1].Event.Stream != "b" {
			t.Errorf("handed out %v", names(items))
		}
		q.Settle(items, []Fate{Done, Again}, 0)
		fs.Fail(nil)
		time.Sleep(2 * time.Second)
		flush(t, q)
		if found := q.Stats().Recovered; found["a"] != 2 || found["c"] != 1 || q.Stats().Events != 5 || q.Stats().Keys != 3 {
			t.Errorf("%+v", q.Stats())
		}
		var got []string
		for range 5 {
			items := next(t, q, 1)
			got = append(got, items[0].Event.Stream)
			settle(q, items, Done)
		}
		slices.Sort(got)
		if !slices.Equal(got, []string{"a", "a", "a", "b", "c"}) || gone.sum() > 0 {
			t.Errorf("delivered %v, gave up %v", got, gone)
		}
		flush(t, q)
		release(t, q)
		q, _ = open(t, cfg)
		add(t, q, event("a", 5, info), event("d", 1, info))
		flush(t, q)
		items = next(t, q, 2)
		if items[0].Sequence < 1_000_000 || items[1].Sequence != 1 {
			t.Errorf("numbers go on with %v", names(items))
		}
		release(t, q)
	})
}

// A flipped bit costs its record, at Open and while it waits, and is told.
func TestDamageIsCounted(t *testing.T) {
	damage := func(fs *journaltest.FS, at int) {
		for name, b := range fs.Contents() {
			for ; at >= 0; at-- {
				i := bytes.Index(b, []byte("object.started"))
				if at == 0 {
					fs.Damage(name, int64(len(fs.Contents()[name])-len(b)+i), 1)
					break
				}
				b = b[i+600:]
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		fs := folder()
		cfg := Config{Path: "q", FS: fs, Sync: time.Second, Memory: 1}
		q, gone := open(t, cfg)
		for i := range 5 {
			add(t, q, event("a", i, info))
			flush(t, q)
		}
		damage(fs, 1)
		items := next(t, q, 9)
		want(t, items, "a:1", "a:3", "a:4", "a:5")
		if gone["corrupt a"] != 1 || gone.sum() != 1 || q.Stats().Events != 4 {
			t.Errorf("gave up %v, %+v", gone, q.Stats())
		}
		settle(q, items, Again)
		release(t, q)
		damage(fs, 2)
		q, gone = open(t, cfg)
		if st := q.Stats(); gone["corrupt "] == 0 || st.Recovered[""] != gone["corrupt "] || st.Recovered["a"] != 3 {
			t.Errorf("gave up %v, %+v", gone, st)
		}
		want(t, next(t, q, 9), "a:1", "a:4", "a:5")
		release(t, q)
	})
}

// A record that the disk does not hand out holds its key, for some seconds, and
// then is given up.
func TestUnreadableRecords(t *testing.T) {
	for _, mended := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			fs := folder()
			var told []error
			q, gone := open(t, Config{Path: "q", FS: fs, Sync: time.Second, Memory: 1, Fault: func(err error) { told = append(told, err) }})
			for i := range 2 {
				add(t, q, event("a", i, info))
				flush(t, q)
			}
			fs.Fail(func(_ int, op string) error {
				if op == "read" {
					return syscall.EIO
				}
				return nil
			})
			for range 3 {
				nothing(t, q)
				time.Sleep(2 * time.Second)
			}
			if len(told) != 1 || !errors.Is(told[0], syscall.EIO) || !errors.Is(q.Stats().Err, syscall.EIO) {
				t.Errorf("told %v, %+v", told, q.Stats())
			}
			if mended {
				fs.Fail(nil)
				want(t, next(t, q, 9), "a:1", "a:2")
				if len(told) != 2 || told[1] != nil || gone.sum() > 0 {
					t.Errorf("told %v, gave up %v", told, gone)
				}
				release(t, q)
				return
			}
			for range 2 * rereads {
				nothing(t, q)
				time.Sleep(2 * time.Second)
			}
			if gone["corrupt a"] != 2 || q.Stats().Events != 0 {
				t.Errorf("gave up %v, %+v", gone, q.Stats())
			}
			release(t, q)
		})
	}
}

// What the disk can never take is refused at once, and holds nothing up.
func TestTooLargeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{Path: "q", FS: folder()})
		large := event("a", 1, info)
		large.Data.Stream.Title = strings.Repeat("x", journal.MaxEntry)
		if err := q.Append(t.Context(), large, sink.Route{}); err == nil || !strings.Contains(err.Error(), "too many") {
			t.Errorf("got %v", err)
		}
		add(t, q, event("a", 2, info))
		want(t, next(t, q, 2), "a:1")
		release(t, q)
	})
}

// A record that was tried before says so, read back from disk too.
func TestTriesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := open(t, Config{Path: "q", FS: folder(), Memory: 1})
		add(t, q, event("a", 1, info))
		for i := range 3 {
			items := next(t, q, 1)
			if items[0].Tries != i {
				t.Errorf("%d tries before the %d.", items[0].Tries, i+1)
			}
			settle(q, items, Again)
		}
		release(t, q)
	})
}
