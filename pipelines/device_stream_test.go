package pipelines

import (
	"fmt"
	"slices"
	"testing"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/kernels/cuda"
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
	m := &member{maker: &maker{pictures: make(chan *decode.Frame, 1)}, shadow: &shadow{stream: s}}
	f := decodetest.NewFrame(live, 16, 16, 1, decodetest.Flat)
	f.Memory = decode.CUDA
	m.take(f)
	m.take(f) // no room
	f.Release()
	s.forgetCopy()
	kept := <-m.maker.pictures
	if kept.Memory != decode.Host || live.Frames() != 1 {
		t.Errorf("memory of kind %v waits, %d frames are held", kept.Memory, live.Frames())
	}
	kept.Release()
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
