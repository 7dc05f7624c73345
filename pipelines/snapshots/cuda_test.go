//go:build cuda

package snapshots

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/detect"
	"sightline/internal/testkit/gputest"
	"sightline/kernels/cuda"
	"sightline/kernels/emu"
)

// carpet is a picture on the device with something to see everywhere.
func carpet(t *testing.T, gpu cuda.Device, format decode.PixelFormat, index uint64) *decode.Frame {
	t.Helper()
	const width, height, stride = 641, 363, 1536
	memory, err := gpu.Alloc("pictures", stride*height*3/2+stride)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := gpu.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, memory.Size())
	for i := range data {
		data[i] = byte(i%stride*i/stride/7 + i/97*int(index))
	}
	if err := errors.Join(stream.Upload(memory.Address(), data), stream.Synchronize()); err != nil {
		t.Fatal(err)
	}
	f := decode.Frame{
		Stream: "gate", Epoch: "e", Index: index, Captured: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Width: width, Height: height, Format: format,
		Color: decode.Color{Matrix: decode.BT709}, Memory: decode.CUDA, GPU: gpu,
	}
	if f.Ready, err = stream.Record(); err != nil {
		t.Fatal(err)
	}
	for i, at := range []uint64{memory.Address(), memory.Address() + stride*height} {
		f.Planes[i] = decode.Plane{Data: *(*unsafe.Pointer)(unsafe.Pointer(&at)), Stride: stride}
	}
	return decode.NewFrame(f, func() {
		if err := errors.Join(f.Ready.Close(), stream.Close(), memory.Free()); err != nil {
			t.Error(err)
		}
	})
}

// crowded puts a frame with objects at boxes, each of which gives rise to events, before a
// photographer that is to blur what is before one of them.
func crowded(d *darkroom, f *decode.Frame, boxes []detect.Rect, types ...detect.Type) {
	var s Shot
	for i, box := range boxes {
		s.Tracks = append(s.Tracks, detect.Track{ID: uint64(i + 1), Class: "person", Score: .9, Box: box, Confirmed: true})
		for _, typ := range types {
			ev := occurrence(typ, len(d.out)+len(s.Events))
			ev.Data.Object.TrackID, ev.Data.Object.BBox = fmt.Sprintf("e-%d", i+1), box
			s.Events = append(s.Events, ev)
		}
	}
	s.Dets = []detect.Detection{{Class: "dog", Box: detect.Rect{X: .35, Y: .4, W: .1, H: .3}}}
	s.Frame, s.Scene = d.Hold(f), true
	d.Take(s)
}

// TestCUDAPicturesOfEvents wants the pictures of events, the best views among them, to be
// those of the same frames in host memory, byte for byte; and nothing to be copied from
// the device but what they show.
func TestCUDAPicturesOfEvents(t *testing.T) {
	gputest.Require(t)
	emu.KeepsNothing(t)
	gpu, err := cuda.Open(cuda.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := gpu.Close(); err != nil {
			t.Error(err)
		}
	}()
	boxes := []detect.Rect{{X: .3, Y: .3, W: .3, H: .3}, {X: -.1, Y: .9, W: .2, H: .3}, {X: .7, Y: .01, W: .29, H: .5}, {X: .5, Y: .5, W: .001, H: .001}}
	told := func(format decode.PixelFormat, move func(*decode.Frame) *decode.Frame) []detect.Event {
		d := newDarkroom(t, true, "line.crossed", "object.ended")
		for index := range uint64(3) {
			f := carpet(t, gpu, format, index+1)
			moved := move(f)
			if before := emu.Counts().ToHost; moved.Memory == decode.CUDA {
				crowded(d, moved, boxes, detect.StreamOnline)
				if n := emu.Counts().ToHost - before; emu.Active() && (n == 0 || index > 0 && n > int64(f.Width*f.Height)) {
					t.Errorf("%d bytes came to the host for a look at %d objects", n, len(boxes))
				}
			}
			crowded(d, moved, boxes, detect.LineCrossed)
			moved.Release()
			f.Release()
		}
		d.Tell(ended(len(d.out), len(boxes)))
		d.Finish()
		if got := d.counts(); got.Kept != uint64(4*len(boxes)) || len(got.GivenUp) != 0 {
			t.Errorf("format %d: %+v", format, got)
		}
		return slices.DeleteFunc(d.out, func(ev detect.Event) bool { return ev.Data.Media == nil })
	}
	for _, format := range []decode.PixelFormat{decode.NV12, decode.P010} {
		there := told(format, (*decode.Frame).Retain)
		here := told(format, func(f *decode.Frame) *decode.Frame {
			host, err := decode.Download(f)
			if err != nil {
				t.Fatal(err)
			}
			return host
		})
		if len(there) != len(here) {
			t.Fatalf("%d pictures of frames on the device, %d of frames in host memory", len(there), len(here))
		}
		for i := range here {
			if a, b := there[i].Data.Media.Snapshot, here[i].Data.Media.Snapshot; a.SHA256 != b.SHA256 || a.Region != b.Region || a.Frame != b.Frame {
				t.Errorf("format %d, %s: %+v, in host memory %+v", format, there[i].Type, a, b)
			}
		}
	}
}

// ended are the ends of n objects.
func ended(from, n int) (out []detect.Event) {
	for i := range n {
		ev := occurrence(detect.ObjectEnded, from+i)
		ev.Data.Object.TrackID = fmt.Sprintf("e-%d", i+1)
		out = append(out, ev)
	}
	return out
}

// TestCUDAPicturesOfALostDevice takes the device away between two frames: the second one's
// picture fails, and nothing keeps the device from being opened again.
func TestCUDAPicturesOfALostDevice(t *testing.T) {
	emu.Need(t)
	emu.KeepsNothing(t)
	gpu, err := cuda.Open(cuda.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d, box := newDarkroom(t, true, "line.crossed"), []detect.Rect{{X: .3, Y: .3, W: .3, H: .3}}
	f := carpet(t, gpu, decode.NV12, 1)
	crowded(d, f, box, detect.LineCrossed)
	emu.Fail(emu.Device, 1)
	crowded(d, f, box, detect.LineCrossed)
	d.LeaveDevice()
	f.Release()
	emu.Restore(0)
	if err := gpu.Close(); err != nil {
		t.Error(err)
	}
	if got := d.counts(); got.Kept != 1 || got.GivenUp[pictureFailed] != 1 || len(d.out) != 2 {
		t.Errorf("%+v of %d events", got, len(d.out))
	}
}
