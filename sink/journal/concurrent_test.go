package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sightline/sink/journal"
	"sightline/sink/journal/journaltest"
)

// Several append and sync at once while others read, and recover from syncs that
// fail: who was told that an entry is on disk finds it after a crash.
func TestConcurrentUse(t *testing.T) {
	const writers, rounds = 4, 150
	fs := journaltest.New(rand.New(rand.NewSource(3)))
	var syncs atomic.Int64
	fs.Fail(func(_ int, op string) error {
		if op == "sync" && syncs.Add(1)%20 == 0 {
			return syscall.EIO
		}
		return nil
	})
	cfg := journal.Config{Path: "spool", Segment: 3000, FS: fs}
	j, err := journal.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var turn sync.RWMutex // none recovers between another's Append and Sync
	safe := map[uint64]string{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				b := fmt.Appendf(nil, "writer %d round %d", w, i)
				turn.RLock()
				index, err := j.Append(b)
				if err == nil {
					err = j.Sync()
				}
				turn.RUnlock()
				if err != nil {
					turn.Lock()
					j.Recover() // somebody's will succeed
					turn.Unlock()
					continue
				}
				mu.Lock()
				if old, twice := safe[index]; twice {
					t.Errorf("index %d for %q and %q", index, old, b)
				}
				safe[index] = string(b)
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			st := j.Stats()
			if _, err := j.Read(st.First + uint64(st.Bytes)%max(1, st.Last)); err != nil && !errors.Is(err, journal.ErrNotFound) {
				t.Errorf("read: %v", err)
			}
			runtime.Gosched()
		}
	})
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			err := j.Scan(1, func(_ uint64, b []byte, err error) error {
				if err == nil && !bytes.HasPrefix(b, []byte("writer ")) {
					return fmt.Errorf("found %q", b)
				}
				return err
			})
			if err != nil {
				t.Errorf("scan: %v", err)
			}
		}
	})
	wg.Wait()
	close(done)
	readers.Wait()
	fs.Crash()
	j, err = journal.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for index, text := range safe {
		if b, err := j.Read(index); string(b) != text {
			t.Errorf("entry %d is %q, %v; %q was synced", index, b, err, text)
		}
	}
	if len(safe) < writers*rounds/2 || syncs.Load() < 40 {
		t.Errorf("only %d entries and %d syncs", len(safe), syncs.Load())
	}
}

func benchJournal(b *testing.B, key []byte, fs journal.FS) (*journal.Journal, [][]byte) {
	dir, err := os.MkdirTemp(".", "bench") // not in memory, as the folder for temporary files may be
	if err != nil {
		b.Fatal(err)
	}
	j, err := journal.Open(journal.Config{Path: dir, Key: key, FS: fs}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(j.Close(), os.RemoveAll(dir)); err != nil {
			b.Error(err)
		}
	})
	entry := make([]byte, 1024)
	rand.New(rand.NewSource(1)).Read(entry)
	group := make([][]byte, 1000)
	for i := range group {
		group[i] = entry
	}
	return j, group
}

var benchKeys = map[string][]byte{"plain": nil, "sealed": bytes.Repeat([]byte{1}, 32)}

// Groups of 1000 entries of 1 KB, each synced; what is old is released.
func BenchmarkAppendSync(b *testing.B) {
	for name, key := range benchKeys {
		b.Run(name, func(b *testing.B) {
			j, group := benchJournal(b, key, nil)
			b.SetBytes(1024)
			b.ReportAllocs()
			for i := 0; i < b.N; i += len(group) {
				first, err := j.Append(group[:min(len(group), b.N-i)]...)
				if err == nil {
					err = j.Sync()
				}
				if err == nil && first > 50_000 {
					err = j.Release(first - 50_000)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func BenchmarkScan(b *testing.B) {
	for name, key := range benchKeys {
		b.Run(name, func(b *testing.B) {
			j, group := benchJournal(b, key, nil)
			for range 50 {
				if _, err := j.Append(group...); err != nil {
					b.Fatal(err)
				}
			}
			if err := j.Sync(); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(1024)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; {
				stop := errors.New("enough")
				if err := j.Scan(1, func(uint64, []byte, error) error {
					if n++; n >= b.N {
						return stop
					}
					return nil
				}); err != nil && !errors.Is(err, stop) {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
