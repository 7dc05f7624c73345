package pipelines

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"sightline/decode/decodetest"
	"sightline/detect"
	"sightline/pipelines/snapshots"
	"sightline/sink/snapshot"
)

// onePhotographer is one with an album of its own, which nobody runs.
func onePhotographer(t testing.TB, lossless bool) *snapshots.Photographer {
	t.Helper()
	album, err := snapshots.New(snapshots.Config{
		Config: snapshot.Config{Path: t.TempDir(), Quality: 85, Margin: .1, Max: 1 << 30, MaxAge: time.Hour},
		Types:  []detect.Type{detect.ObjectEnded, detect.LineCrossed}, Tell: func(detect.ReasonInfo) {},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { album.Close() })
	return album.Photographer(snapshots.Stream{
		Name: "gate", Lossless: lossless, Core: func() func() { return func() {} }, Emit: func([]detect.Event) {},
		Sinks: func() map[string]detect.SinkLedger { return nil },
	})
}

// TestRowsHandOnTheirPictures lets the third row take over the place of the second.
func TestRowsHandOnTheirPictures(t *testing.T) {
	live := decodetest.Live(t)
	p := &photographer{Photographer: onePhotographer(t, false)}
	rows := make([]*row, 4)
	for n := range rows {
		f := decodetest.NewFrame(live, 64, 64, uint64(n), decodetest.Flat)
		rows[n] = &row{}
		p.show(rows[n], f)
		if n == 2 {
			p.replaced(rows[1])
		}
		f.Release()
	}
	held := []bool{rows[0].picture != nil, rows[1].picture != nil, rows[2].picture != nil, rows[3].picture != nil}
	if !slices.Equal(held, []bool{true, false, true, false}) || live.Frames() != mostHeld {
		t.Errorf("held are %v, %d frames are out", held, live.Frames())
	}
	for _, r := range rows {
		p.release(r)
		p.release(r)
	}
	if n := live.Frames(); n != 0 {
		t.Errorf("%d frames are out after all were given back", n)
	}
}

// TestRowsWithoutAPhotographerKeepNothing is a pipeline without snapshots.
func TestRowsWithoutAPhotographerKeepNothing(t *testing.T) {
	live := decodetest.Live(t)
	f := decodetest.NewFrame(live, 64, 64, 1, decodetest.Flat)
	var p *photographer
	r := &row{}
	p.show(r, f)
	if f.Release(); r.picture != nil || live.Frames() != 0 {
		t.Error("a frame is held for nobody")
	}
	p.release(r)
	p.start()
	p.leaveDevice()
	if p.finish(); p.behind() {
		t.Error("something waits for nobody")
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
			shoot := onePhotographer(b, true)
			fake := &eventful{}
			a := (&analyst{
				analysis: fake, tracker: func() detect.Tracker { return f }, sampler: quiet{}, ledger: newLedger(), status: &state{},
				emit: func([]detect.Event) {}, release: func() {}, settle: func() {}, sinks: func() map[string]detect.SinkLedger { return nil }, warn: func(string, error) {},
			}).prepare()
			a.current = f
			if c.on {
				a.shoot = &photographer{Photographer: shoot}
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
					fake.next = []detect.Event{{
						Type: detect.LineCrossed, ID: fmt.Sprintf("5f1d7e2a-6f0c-5b1e-9d9c-%012d", n), Time: time.Unix(int64(n), 0),
						Data: detect.Data{Object: &detect.Object{TrackID: "e-1", Class: "person", BBox: detect.Rect{X: .3, Y: .3, W: .3, H: .3}}},
					}}
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
