package pipelines

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/detect/onnx"
	"sightline/ingest"
	"sightline/kernels/cuda"
	"sightline/pipelines/optimization"
	"sightline/pipelines/snapshots"
	"sightline/pipelines/spec"
)

// movedDecoder notes the devices it was moved to. Leaving one, it gives up a packet.
type movedDecoder struct {
	fakeDecoder
	moves []string
}

func (d *movedDecoder) SetGPU(device cuda.Device) {
	if device == nil {
		d.moves, d.inside = append(d.moves, "-"), nil
		return
	}
	d.moves = append(d.moves, device.Info().Name)
}

// TestAStreamFollowsItsDevice: it lets go of what was lost also where it looks only
// after something else is there, and does nothing where nothing changed.
func TestAStreamFollowsItsDevice(t *testing.T) {
	named := func(name string) cuda.Device { return fakeDevice{info: cuda.Info{Name: name}} }
	first, second, third := named("first"), named("second"), named("third")
	d := &movedDecoder{}
	s, _ := newTestStream(t, true, nil, &d.fakeDecoder)
	s.gpu = &gpu{device: first}
	s.decoder, s.device = d, first
	for _, c := range []struct {
		now      cuda.Device
		want     []string
		degraded bool
	}{
		{first, nil, false},
		{nil, []string{"-"}, true},
		{nil, nil, true},
		{second, []string{"second"}, false},
		{third, []string{"-", "third"}, false}, // the loss between was not seen
	} {
		d.moves, d.inside = nil, []ingest.Packet{{}}
		before := s.ledger.snapshot().Undecoded[gpuLost]
		s.gpu.device = c.now
		s.lookAtDevice()
		if !slices.Equal(d.moves, c.want) || slices.Contains(s.status.snapshot().Degraded, gpuLost) != c.degraded {
			t.Errorf("to %v: moved to %q, want %q; %v", c.now, d.moves, c.want, s.status.snapshot().Degraded)
		}
		left := uint64(0)
		if slices.Contains(c.want, "-") {
			left = 1
		}
		if got := s.ledger.snapshot().Undecoded[gpuLost] - before; got != left {
			t.Errorf("to %v: %d packets given up, want %d", fmt.Sprint(c.now), got, left)
		}
	}
}

// TestNoDevicePictureWaitsToBeLearnedFrom: one that is put aside may wait until the
// pipeline ends, and would keep a lost GPU from being opened again.
func TestNoDevicePictureWaitsToBeLearnedFrom(t *testing.T) {
	live := decodetest.Live(t)
	s := &stream{copy: decodetest.NewFrame(live, 16, 16, 1, decodetest.Flat)}
	st := &spec.Stream{Name: "gate"}
	st.Detect.Optimize = &spec.Optimize{Cache: t.TempDir(), Pictures: 2}
	makers := optimization.NewMakers(&spec.Pipeline{Streams: []spec.Stream{*st}}, nil, nil, slog.New(slog.DiscardHandler))
	maker, err := makers.For(st, "m.onnx", &onnx.Spec{}, "none")
	if err != nil {
		t.Fatal(err)
	}
	m := &member{maker: maker, shadow: &shadow{stream: s}}
	f := decodetest.NewFrame(live, 16, 16, 1, decodetest.Flat)
	f.Memory = decode.CUDA
	m.take(f)
	m.take(f) // no room
	f.Release()
	if n := live.Frames(); n != 1 {
		t.Errorf("%d frames are held: the device's too", n)
	}
	s.forgetCopy()
	if n := live.Frames(); n != 1 {
		t.Errorf("%d frames wait", n)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	makers.Run(ended)
	if n := live.Frames(); n != 0 {
		t.Errorf("%d frames are left", n)
	}
}

// TestSurfacesSuffice: fewer than are held together would have pictures refused.
func TestSurfacesSuffice(t *testing.T) {
	for _, c := range []struct {
		asked, want int
		snapshots   *snapshots.Album
	}{{2, 3, nil}, {3, 3, nil}, {8, 8, nil}, {2, 5, &snapshots.Album{}}, {4, 5, &snapshots.Album{}}, {8, 8, &snapshots.Album{}}} {
		p, st := &Pipeline{snapshots: c.snapshots}, &spec.Stream{}
		st.Decode.Surfaces = c.asked
		if got := p.surfaces(st); got != c.want {
			t.Errorf("asked for %d, with snapshots %v: %d, want %d", c.asked, c.snapshots != nil, got, c.want)
		}
	}
}
