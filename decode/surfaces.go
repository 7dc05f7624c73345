package decode

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"sightline/ingest"
	"sightline/internal/libav"
	"sightline/kernels/cuda"
)

// MaxHeld is how many frames of one decoder may be out on a device while it goes on,
// where Config.Held says nothing: they are the surfaces that it decodes into, which
// are few. A live decoder does not hand out another one (Info.Refused counts them);
// others hand out a copy.
const MaxHeld = 8

// surfaces are what one of FFmpeg's decoders has on a device. The stream closes
// when the decoder is closed and its last frame was given back.
type surfaces struct {
	gpu    cuda.Device
	stream cuda.Stream
	most   int64        // frames that may be out
	refs   atomic.Int64 // frames, and the decoder while it is open
	held   atomic.Int64 // frames
}

func newSurfaces(gpu cuda.Device, most int) (*surfaces, error) {
	stream, err := gpu.NewStream()
	if err != nil {
		return nil, err
	}
	s := &surfaces{gpu: gpu, stream: stream, most: int64(most)}
	s.refs.Store(1)
	return s, nil
}

func (s *surfaces) native() *libav.CUDA {
	return &libav.CUDA{Context: s.gpu.Context(), Stream: s.stream.Handle(), Held: int(s.most)}
}

func (s *surfaces) release() {
	if s != nil && s.refs.Add(-1) == 0 {
		_ = s.stream.Close() // a loss is told by the device
	}
}

// keep completes a frame whose picture f is on the device, and takes f over. Once
// as many as may be are out it is a copy.
func (s *surfaces) keep(out *Frame, f libav.Frame) (free func(), err error) {
	if s.held.Load() < s.most {
		free, err = s.place(out, f)
	} else if free, err = s.copied(out); err == nil {
		cuda.Beside(f.Free)
		return free, nil
	}
	if err != nil {
		cuda.Beside(f.Free)
	}
	return free, err
}

// place completes a frame whose picture stays on the device, and returns what frees it.
func (s *surfaces) place(out *Frame, f libav.Frame) (free func(), err error) {
	if out.Ready, err = s.stream.Record(); err != nil {
		return nil, err
	}
	out.Memory, out.GPU = CUDA, s.gpu
	s.refs.Add(1)
	s.held.Add(1)
	ready := out.Ready
	return func() {
		cuda.Beside(f.Free)
		_ = ready.Close() // a loss is told by the device
		s.held.Add(-1)
		s.release()
	}, nil
}

// copied completes a frame with a copy of its picture, in memory of its own.
func (s *surfaces) copied(out *Frame) (free func(), err error) {
	out.Memory, out.GPU = CUDA, s.gpu
	memory, err := duplicate(s.gpu, s.stream, out)
	if err != nil {
		return nil, err
	}
	if err = s.stream.Synchronize(); err == nil {
		out.Ready, err = s.stream.Record()
	}
	if err != nil {
		_ = memory.Free() // the first error says more
		return nil, err
	}
	s.refs.Add(1)
	ready := out.Ready
	return func() {
		_, _ = ready.Close(), memory.Free() // a loss is told by the device
		s.release()
	}, nil
}

// pitch is what rows of copies are a multiple of, in bytes.
const pitch = 256

// duplicate puts a copy of f's planes into the stream, in new memory that f then
// refers to instead.
func duplicate(gpu cuda.Device, stream cuda.Stream, f *Frame) (cuda.Memory, error) {
	luma, chroma := f.rows()
	stride := (max(luma.width, chroma.width) + pitch - 1) / pitch * pitch
	memory, err := gpu.Alloc("pictures", stride*(luma.count+chroma.count))
	if err != nil {
		return nil, err
	}
	at := memory.Address()
	for i, r := range []rows{luma, chroma} {
		err := stream.Copy2D(cuda.Copy2D{
			To:    cuda.Place{Address: at, Pitch: stride},
			From:  f.Planes[i].place(),
			Width: r.width, Rows: r.count,
		})
		if err != nil {
			_, _ = stream.Synchronize(), memory.Free() // the first error says more; luma may be under way
			return nil, err
		}
		f.Planes[i] = Plane{Data: devicePointer(at), Stride: stride}
		at += uint64(stride * r.count)
	}
	return memory, nil
}

// rows are the visible bytes of a plane.
type rows struct{ width, count int }

// rows of a frame with two planes.
func (f *Frame) rows() (luma, chroma rows) {
	bytes := 1
	if f.Format == P010 {
		bytes = 2
	}
	return rows{f.Width * bytes, f.Height}, rows{(f.Width + 1) / 2 * 2 * bytes, (f.Height + 1) / 2}
}

// place is where a plane lies on its device.
func (p Plane) place() cuda.Place {
	return cuda.Place{Address: uint64(uintptr(p.Data)), Pitch: p.Stride}
}

// devicePointer carries an address on a device, which is nowhere in Go's memory.
func devicePointer(address uint64) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}

// Mover is a Decoder that can be given another device while it runs. Decoders that
// New returns are Movers.
type Mover interface {
	// SetGPU says where pictures stay from the next keyframe on; nil is nowhere, and
	// software decodes. It replaces Config.GPU, as after a device was lost and opened
	// anew. Frames that are out stay where they are. What the decoder has on a device
	// that is lost it gives up at once, with the pictures inside. The goroutine that
	// decodes calls it.
	SetGPU(cuda.Device)
}

// SetGPU implements Mover.
func (d *decoder) SetGPU(gpu cuda.Device) {
	if h := d.home.Load(); h != nil && h.gpu.Err() != nil {
		d.shut()
		d.tell(func(i *Info) {
			i.Note, i.HWAccel, i.Surfaces, i.SurfaceBytes = "cuda: "+h.gpu.Err().Error(), "", 0, 0
		})
	}
	d.config.GPU, d.moving, d.retry = gpu, true, retry{}
}

// move leaves the device for the one that SetGPU named, where p can be decoded
// without what came before, and software for a device that refused and is tried again.
func (d *decoder) move(p ingest.Packet, s start, emit func(*Frame) error) error {
	again := d.retry.due(p, s)
	if !(d.moving && p.Keyframe && (s.kind == closed || s.kind == open)) && !again || d.av == nil {
		return nil
	}
	if again {
		d.moving, d.retry.at = true, time.Time{}
		d.tell(func(i *Info) { i.Retries++ })
	}
	if _, err := d.drain(emit); err != nil {
		return err
	}
	d.shut()
	return nil
}

// settle takes note of the device that SetGPU named, where no decoder is open.
func (d *decoder) settle() {
	switch {
	case !d.moving:
	case d.config.GPU == nil:
		d.moving, d.devices, d.retry = false, nil, retry{}
	default:
		d.moving, d.devices = false, devices[d.config.HWAccel]
	}
}

// fault takes an error of FFmpeg's and tells it from a loss of the device.
func (d *decoder) fault(err error) error {
	if h := d.home.Load(); h != nil && err != nil {
		return h.gpu.Fault(err)
	}
	return err
}

// lost looks whether the device is; then software takes over at the next keyframe,
// and pictures inside are given up.
func (d *decoder) lost(p ingest.Packet) error {
	h := d.home.Load()
	if h == nil || h.gpu.Err() == nil {
		return nil
	}
	err := h.gpu.Err()
	d.shut()
	d.giveUpDevices(p, "cuda: "+err.Error(), false)
	return fmt.Errorf("decode %s: %w", p.Codec, err)
}
