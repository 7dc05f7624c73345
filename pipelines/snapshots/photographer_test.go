package snapshots

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/detect"
	"sightline/sink/snapshot"
)

// TestMain looks for goroutines left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// darkroom is one photographer with everything around it.
type darkroom struct {
	*Photographer
	disk func() error // asked before a picture is put on disk; nil: the disk is well
	live *decode.Live
	dir  string

	mu    sync.Mutex
	out   []detect.Event
	at    []time.Time // when each was emitted
	trued []string    // troubles told
}

func newDarkroom(t testing.TB, lossless bool, types ...detect.Type) *darkroom {
	t.Helper()
	d := &darkroom{dir: filepath.Join(t.TempDir(), "snapshots")}
	album, err := New(Config{
		Config: snapshot.Config{Path: d.dir, Quality: 85, Margin: .1, Max: 1 << 30, MaxAge: time.Hour, Blur: []string{"dog"}},
		Types:  types, Tell: d.told,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { album.Close() })
	album.put = func(name string, jpeg []byte) error {
		if d.disk != nil {
			if err := d.disk(); err != nil {
				return err
			}
		}
		return album.store.Put(name, jpeg)
	}
	d.Photographer = album.Photographer(Stream{
		Name: "gate", Lossless: lossless, Emit: d.emit,
		Core:  func() func() { return func() {} },
		Sinks: func() map[string]detect.SinkLedger { return nil },
	})
	return d
}

func (d *darkroom) emit(events []detect.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ev := range events {
		d.out, d.at = append(d.out, ev), append(d.at, time.Now())
	}
}

func (d *darkroom) told(r detect.ReasonInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trued = append(d.trued, r.Code)
}

// occurrence is the nth event, of any type, about an object in the middle.
func occurrence(typ detect.Type, n int) detect.Event {
	return detect.Event{Type: typ, ID: fmt.Sprintf("5f1d7e2a-6f0c-5b1e-9d9c-%012d", n), Time: time.Date(2026, 1, 2, 3, 4, n, 0, time.UTC),
		Data: detect.Data{Object: &detect.Object{TrackID: "e-1", Class: "person", BBox: detect.Rect{X: .3, Y: .3, W: .3, H: .3}}}}
}

func (d *darkroom) picture(t testing.TB, n int) *decode.Frame {
	f := decodetest.NewFrame(d.live, 64, 64, uint64(n), decodetest.Gradient)
	f.Epoch = "e"
	return f
}

// scene holds a frame as the decoding goroutine does and hands it on as the analyst does.
func (d *darkroom) scene(t testing.TB, n int, events ...detect.Event) {
	t.Helper()
	f := d.picture(t, n)
	held := d.Hold(f)
	f.Release()
	d.Take(Shot{Frame: held, Scene: true, Events: events, Tracks: []detect.Track{{ID: 1, Class: "person", Score: .9, Box: detect.Rect{X: .3, Y: .3, W: .3, H: .3}, Confirmed: true}}})
}

func named(events []detect.Event) (out []bool) {
	for _, ev := range events {
		out = append(out, ev.DataRef != "" && ev.Data.Media.Snapshot.URI == ev.DataRef)
	}
	return out
}

// TestEventsKeepTheirOrder mixes events with and without pictures.
func TestEventsKeepTheirOrder(t *testing.T) {
	for _, lossless := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := newDarkroom(t, lossless, "line.crossed", "object.ended")
			d.live = decodetest.Live(t)
			var run sync.WaitGroup
			run.Go(func() { d.album.Run(t.Context()) })
			d.Start()
			d.Tell([]detect.Event{occurrence(detect.StreamOnline, 0)})
			for n := 1; n < 40; n += 3 {
				d.scene(t, n, occurrence(detect.Detections, n), occurrence(detect.LineCrossed, n+1))
				d.Tell([]detect.Event{occurrence(detect.StreamDegraded, n+2)})
				synctest.Wait()
			}
			d.Tell([]detect.Event{occurrence(detect.ObjectEnded, 40)})
			d.Finish()
			d.album.Drain(t.Context())
			if len(d.out) != 41 || !slices.IsSortedFunc(d.out, func(a, b detect.Event) int { return a.Time.Compare(b.Time) }) {
				t.Errorf("%d events came out", len(d.out))
			}
			for i, got := range named(d.out) {
				if want := d.out[i].Type == detect.LineCrossed || d.out[i].Type == detect.ObjectEnded; got != want {
					t.Errorf("event %d, %s: a picture is %v", i, d.out[i].Type, got)
				}
			}
			if c := d.counts(); c.Kept != 14 || len(c.GivenUp) != 0 || d.held.Load() != 0 {
				t.Errorf("%+v, %d frames are held", c, d.held.Load())
			}
			for _, ev := range d.out {
				if ev.DataRef == "" {
					continue
				}
				text, err := os.ReadFile(filepath.Join(d.dir, ev.DataRef))
				if s := ev.Data.Media.Snapshot; err != nil || len(text) != s.Bytes || !slices.Equal(s.Blurred, []string{"dog"}) {
					t.Errorf("%+v: %v", s, err)
				}
			}
			stop(t, &run)
		})
	}
}

// stop ends what runs until the test's context does.
func stop(t *testing.T, run *sync.WaitGroup) { t.Cleanup(run.Wait) }

func TestAtMostTwoFramesAreHeld(t *testing.T) {
	d := newDarkroom(t, false, "line.crossed")
	d.live = decodetest.Live(t)
	var held []*decode.Frame
	for n := range 3 {
		f := d.picture(t, n)
		held = append(held, d.Hold(f))
		f.Release()
	}
	if held[0] == nil || held[1] == nil || held[2] != nil || d.live.Frames() != MostHeld {
		t.Errorf("held are %v, %d frames are out", held, d.live.Frames())
	}
	for _, f := range held[:2] {
		d.Free(f)
	}
	d.Take(Shot{Scene: true, Events: []detect.Event{occurrence(detect.LineCrossed, 1)}})
	d.Start()
	d.Finish()
	if c := d.counts(); c.GivenUp[pictureBusy] != 1 || d.out[0].DataRef != "" {
		t.Errorf("%+v", c)
	}
	device := decodetest.NewFrame(d.live, 16, 16, 1, decodetest.Flat)
	device.Memory = decode.CUDA
	kept := d.Hold(device)
	device.Release()
	if kept != device || d.live.Frames() != 1 {
		t.Error("a frame in device memory is not held")
	}
	if d.Free(kept); d.live.Frames() != 0 {
		t.Error("a frame in device memory is held for good")
	}
}

// TestASlowDiskHoldsUpOnlyOnce has a disk that does not answer for seconds: the
// first event waits for it half a second, later ones not at all, and what the disk
// takes too late is removed again.
func TestASlowDiskHoldsUpOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDarkroom(t, false, "line.crossed")
		d.live = decodetest.Live(t)
		answers := make(chan struct{})
		d.disk = func() error { <-answers; return nil }
		var run sync.WaitGroup
		run.Go(func() { d.album.Run(t.Context()) })
		d.Start()
		begun := time.Now()
		for n := range 10 {
			d.scene(t, n, occurrence(detect.LineCrossed, n))
			synctest.Wait()
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(d.out) != 10 || d.at[0].Sub(begun) != diskPatience || d.at[9].Sub(begun) != diskPatience {
			t.Fatalf("%d events, the last %s later", len(d.out), d.at[len(d.at)-1].Sub(begun))
		}
		close(answers)
		synctest.Wait()
		if files, _ := filepath.Glob(filepath.Join(d.dir, "*", "*", "*")); len(files) != 0 {
			t.Errorf("too late, and left: %q", files)
		}
		time.Sleep(diskTrouble)
		for n := 10; n < 12; n++ {
			d.scene(t, n, occurrence(detect.LineCrossed, n))
			synctest.Wait()
		}
		d.Finish()
		d.album.Drain(t.Context())
		if c := d.counts(); c.Kept != 2 || c.GivenUp[pictureSlow]+c.GivenUp[pictureBusy] != 10 || !slices.Equal(d.trued, []string{"disk", detect.ReasonRecovered}) {
			t.Errorf("%+v, told %q", c, d.trued)
		}
		stop(t, &run)
	})
}

// TestAccountsTellOfWhatWasBeforeThem has an account drawn up while the disk holds up
// the event before it.
func TestAccountsTellOfWhatWasBeforeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDarkroom(t, false, "line.crossed")
		d.live = decodetest.Live(t)
		d.disk = func() error { time.Sleep(diskPatience / 2); return nil }
		made := func() map[string]detect.SinkLedger {
			d.mu.Lock()
			defer d.mu.Unlock()
			return map[string]detect.SinkLedger{"events": {Made: uint64(len(d.out))}}
		}
		d.stream.Sinks = made
		var run sync.WaitGroup
		run.Go(func() { d.album.Run(t.Context()) })
		d.Start()
		d.scene(t, 1, occurrence(detect.LineCrossed, 1))
		account := occurrence(detect.Accounting, 2)
		account.Data = detect.Data{Accounting: &detect.Ledger{Sinks: made()}}
		d.Tell([]detect.Event{account})
		d.Finish()
		d.album.Drain(t.Context())
		if len(d.out) != 2 || d.out[1].Data.Accounting.Sinks["events"].Made != 1 {
			t.Errorf("after one event the account says %+v", d.out[len(d.out)-1].Data.Accounting)
		}
		stop(t, &run)
	})
}

// TestAHungDiskEndsNoShutdown has a disk that never answers again: who stops the
// pipeline is kept waiting for a while and no longer.
func TestAHungDiskEndsNoShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDarkroom(t, false, "line.crossed")
		d.live = decodetest.Live(t)
		answers := make(chan struct{})
		defer close(answers)
		d.disk = func() error { <-answers; return nil }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); d.album.Run(ctx) }()
		d.Start()
		d.scene(t, 1, occurrence(detect.LineCrossed, 1))
		d.Finish()
		d.album.Drain(ctx)
		cancel()
		begun := time.Now()
		<-ended
		if took := time.Since(begun); took != diskHangs || len(d.out) != 1 {
			t.Errorf("it took %s, %d events came out", took, len(d.out))
		}
		if err := d.album.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestAFullDiskCostsThePictureAlone lets the disk refuse for a while.
func TestAFullDiskCostsThePictureAlone(t *testing.T) {
	for _, lossless := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := newDarkroom(t, lossless, "line.crossed")
			d.live = decodetest.Live(t)
			full := true
			d.disk = func() error {
				if full {
					return syscall.ENOSPC
				}
				return nil
			}
			var run sync.WaitGroup
			run.Go(func() { d.album.Run(t.Context()) })
			d.Start()
			for n := range 6 {
				if full = n < 4; n > 3 {
					time.Sleep(diskTrouble) // and until then it is not called well
				}
				d.scene(t, n, occurrence(detect.LineCrossed, n))
				synctest.Wait()
			}
			d.Finish()
			d.album.Drain(t.Context())
			if got := named(d.out); !slices.Equal(got, []bool{false, false, false, false, true, true}) {
				t.Errorf("lossless %v: pictures are %v", lossless, got)
			}
			if c := d.counts(); c.Kept != 2 || c.GivenUp[pictureDisk] != 4 || !slices.Equal(d.trued, []string{"disk", detect.ReasonRecovered}) {
				t.Errorf("lossless %v: %+v, told %q", lossless, c, d.trued)
			}
			stop(t, &run)
		})
	}
}

func TestTrackNumber(t *testing.T) {
	for id, want := range map[string]uint64{"81dadb04f6ef-1-6": 6, "1700000000000000-12": 12, "e-1": 1, "": 0, "none": 0, "e-": 0} {
		if got := trackNumber(id); got != want {
			t.Errorf("%q is %d, want %d", id, got, want)
		}
	}
}
