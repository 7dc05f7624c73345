package pipelines

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

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/detect"
	"sightline/pipelines/spec"
	"sightline/sink/snapshot"
)

// moodyStore is a store whose disk does as the test says.
type moodyStore struct {
	pictureStore
	put func(name string) error // before what the real one does; nil does nothing
}

func (m *moodyStore) Put(name string, jpeg []byte) error {
	if m.put != nil {
		if err := m.put(name); err != nil {
			return err
		}
	}
	return m.pictureStore.Put(name, jpeg)
}

// darkroom is one photographer with everything around it.
type darkroom struct {
	*photographer
	store *moodyStore
	live  *decode.Live
	dir   string

	mu    sync.Mutex
	out   []detect.Event
	at    []time.Time // when each was emitted
	trued []string    // troubles told
}

func newDarkroom(t testing.TB, lossless bool, types ...string) *darkroom {
	t.Helper()
	d := &darkroom{dir: filepath.Join(t.TempDir(), "snapshots")}
	p := &Pipeline{log: slog.New(slog.DiscardHandler), spec: &spec.Pipeline{}}
	album, err := p.newSnapshots(&spec.Snapshots{Path: d.dir, Types: types, Quality: 85, Margin: .1, Max: 1 << 30, MaxAge: time.Hour, Blur: []string{"dog"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { album.close() })
	d.store = &moodyStore{pictureStore: album.store}
	album.store = d.store
	for _, c := range []*condition{album.disk, album.far} {
		c.tell = func(r detect.ReasonInfo) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.trued = append(d.trued, r.Code)
		}
	}
	d.photographer = newPhotographer(album, "gate", lossless, newGate(2, 0, threadTime), func(events []detect.Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, ev := range events {
			d.out, d.at = append(d.out, ev), append(d.at, time.Now())
		}
	})
	return d
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
	f, r := d.picture(t, n), &row{}
	d.show(r, f)
	f.Release()
	d.take(shot{frame: r.picture, scene: true, events: events, tracks: []detect.Track{{ID: 1, Class: "person", Score: .9, Box: detect.Rect{X: .3, Y: .3, W: .3, H: .3}, Confirmed: true}}})
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
			run.Go(func() { d.album.run(t.Context()) })
			d.start()
			d.tell([]detect.Event{occurrence(detect.StreamOnline, 0)})
			for n := 1; n < 40; n += 3 {
				d.scene(t, n, occurrence(detect.Detections, n), occurrence(detect.LineCrossed, n+1))
				d.tell([]detect.Event{occurrence(detect.StreamDegraded, n+2)})
				synctest.Wait()
			}
			d.tell([]detect.Event{occurrence(detect.ObjectEnded, 40)})
			d.finish()
			d.album.drain(t.Context())
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
	rows := make([]*row, 4)
	show := func(n int) {
		f := d.picture(t, n)
		rows[n] = &row{}
		d.show(rows[n], f)
		if n == 2 {
			d.replaced(rows[1]) // it takes over the place of the row before
		}
		f.Release()
	}
	for n := range rows {
		show(n)
	}
	held := []bool{rows[0].picture != nil, rows[1].picture != nil, rows[2].picture != nil, rows[3].picture != nil}
	if !slices.Equal(held, []bool{true, false, true, false}) || d.live.Frames() != mostHeld {
		t.Errorf("held are %v, %d frames are out", held, d.live.Frames())
	}
	for _, r := range rows {
		d.release(r)
		d.release(r)
	}
	d.take(shot{scene: true, events: []detect.Event{occurrence(detect.LineCrossed, 1)}})
	d.start()
	d.finish()
	if c := d.counts(); c.GivenUp[pictureBusy] != 1 || d.out[0].DataRef != "" {
		t.Errorf("%+v", c)
	}
	device := decodetest.NewFrame(d.live, 16, 16, 1, decodetest.Flat)
	device.Memory = decode.CUDA
	r := &row{}
	d.show(r, device)
	device.Release()
	if r.picture != device || d.live.Frames() != 1 {
		t.Error("a frame in device memory is not held")
	}
	if d.release(r); d.live.Frames() != 0 {
		t.Error("a frame in device memory is held for good")
	}
	var none *photographer
	none.show(r, device)
	none.replaced(r)
	none.release(r)
	none.start()
	none.finish()
}

// TestASlowDiskHoldsUpOnlyOnce has a disk that does not answer for seconds: the
// first event waits for it half a second, later ones not at all, and what the disk
// takes too late is removed again.
func TestASlowDiskHoldsUpOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDarkroom(t, false, "line.crossed")
		d.live = decodetest.Live(t)
		answers := make(chan struct{})
		d.store.put = func(string) error { <-answers; return nil }
		var run sync.WaitGroup
		run.Go(func() { d.album.run(t.Context()) })
		d.start()
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
		d.finish()
		d.album.drain(t.Context())
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
		d.store.put = func(string) error { time.Sleep(diskPatience / 2); return nil }
		made := func() map[string]detect.SinkLedger {
			d.mu.Lock()
			defer d.mu.Unlock()
			return map[string]detect.SinkLedger{"events": {Made: uint64(len(d.out))}}
		}
		d.sinks = made
		var run sync.WaitGroup
		run.Go(func() { d.album.run(t.Context()) })
		d.start()
		d.scene(t, 1, occurrence(detect.LineCrossed, 1))
		account := occurrence(detect.Accounting, 2)
		account.Data = detect.Data{Accounting: &detect.Ledger{Sinks: made()}}
		d.tell([]detect.Event{account})
		d.finish()
		d.album.drain(t.Context())
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
		d.store.put = func(string) error { <-answers; return nil }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); d.album.run(ctx) }()
		d.start()
		d.scene(t, 1, occurrence(detect.LineCrossed, 1))
		d.finish()
		d.album.drain(ctx)
		cancel()
		begun := time.Now()
		<-ended
		if took := time.Since(begun); took != diskHangs || len(d.out) != 1 {
			t.Errorf("it took %s, %d events came out", took, len(d.out))
		}
		if err := d.album.close(); err != nil {
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
			d.store.put = func(string) error {
				if full {
					return syscall.ENOSPC
				}
				return nil
			}
			var run sync.WaitGroup
			run.Go(func() { d.album.run(t.Context()) })
			d.start()
			for n := range 6 {
				if full = n < 4; n > 3 {
					time.Sleep(diskTrouble) // and until then it is not called well
				}
				d.scene(t, n, occurrence(detect.LineCrossed, n))
				synctest.Wait()
			}
			d.finish()
			d.album.drain(t.Context())
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

// flock is a tracker that always has ten objects.
type flock struct{ tracks []detect.Track }

func (f flock) Update(time.Time, detect.Rect, []detect.Detection) []detect.Track { return f.tracks }

// BenchmarkInferredFrame is what the analyst spends on a frame with ten objects
// and nothing to tell, and with an event whose picture is cut and kept. Off is a
// pipeline without snapshots.
func BenchmarkInferredFrame(b *testing.B) {
	var f flock
	for i := range 10 {
		f.tracks = append(f.tracks, detect.Track{ID: uint64(i + 1), Class: "person", Score: .8, Confirmed: true, Box: detect.Rect{X: .05 + .08*float64(i), Y: .3, W: .07, H: .3}})
	}
	for _, c := range []struct {
		name      string
		on, event bool
	}{{"off", false, false}, {"on", true, false}, {"on, with an event", true, true}} {
		b.Run(c.name, func(b *testing.B) {
			d := newDarkroom(b, true, "object.ended", "line.crossed")
			fake := &eventful{}
			a := (&analyst{
				analysis: fake, tracker: func() detect.Tracker { return f }, sampler: quiet{}, ledger: newLedger(), status: &state{},
				emit: func([]detect.Event) {}, release: func() {}, settle: func() {}, sinks: func() map[string]detect.SinkLedger { return nil }, warn: func(string, error) {},
			}).prepare()
			a.current = f
			if c.on {
				a.shoot = d.photographer
			}
			frame := decodetest.NewFrame(nil, 1920, 1080, 1, decodetest.Gradient)
			defer frame.Release()
			frame.Epoch = "e"
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				r := &row{meta: frameMeta{captured: time.Unix(int64(n), 0)}}
				a.shoot.show(r, frame)
				if n++; c.event {
					fake.next = []detect.Event{occurrence(detect.LineCrossed, n)}
				}
				a.row(r)
			}
		})
	}
}

// eventful tells what it was given.
type eventful struct {
	fakeAnalysis
	next []detect.Event
}

func (e *eventful) Apply(detect.Scene) []detect.Event { return e.next }

var _ pictureStore = (*snapshot.Store)(nil)
