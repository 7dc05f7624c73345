package decode

import (
	"image"
	"math/bits"
	"slices"
	"sync"
	"unsafe"

	"sightline/kernels"
	"sightline/kernels/cuda"
)

// Fetcher brings pictures on a device, and parts of them, to host memory. It keeps a
// stream and memory of the device and pinned memory, which it takes with the first
// picture. The zero value is ready. Safe for concurrent use: one comes after another.
type Fetcher struct {
	mu     sync.Mutex
	gpu    cuda.Device // nil: nothing is kept
	stream cuda.Stream
	pinned cuda.Pinned // nil: none yet
	room   cuda.Memory // where parts are cut to, nil: none yet
}

// Part returns a copy of a part of f, with memory of its own and one reference held by
// the caller: what Download's copy shows there, byte for byte. The part begins at even
// pixels and is within f, which is on a device and stays the caller's. It is cut there,
// by one kernel, and copied at once. It blocks until the picture is decoded and copied.
func (t *Fetcher) Part(f *Frame, part image.Rectangle) (*Frame, error) {
	crop := kernels.Crop{X: part.Min.X, Y: part.Min.Y, Width: part.Dx(), Height: part.Dy(), Format: kernels.NV12}
	data, err := t.bring(f, crop.Size(), func() error {
		if err := t.makeRoom(crop.Size()); err != nil {
			return err
		}
		launch, err := kernels.LaunchCut(f.picture(), crop, t.room.Address())
		if err == nil {
			err = t.stream.Launch(launch)
		}
		if err == nil {
			err = t.stream.Download(t.pinned.Bytes()[:crop.Size()], t.room.Address())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	cut := *f
	cut.Width, cut.Height, cut.Format = part.Dx(), part.Dy(), NV12
	return cut.hosted(data), nil
}

// Whole is Download without a stream and pageable memory for each.
func (t *Fetcher) Whole(f *Frame) (*Frame, error) {
	data, err := t.bring(f, f.size(), func() error { return copyPlanes(t.stream, f, t.pinned.Bytes()) })
	if err != nil {
		return nil, err
	}
	return f.hosted(data), nil
}

// Rows returns the luma of every step-th row of f from the first one on, as many as
// there are whole steps, without gaps: the bytes that Download's copy has there. It
// blocks as Part does; f stays the caller's.
func (t *Fetcher) Rows(f *Frame, step int) ([]byte, error) {
	luma, _ := f.rows()
	from := f.Planes[0].place()
	from.Pitch *= step
	data, err := t.bring(f, luma.width*(f.Height/step), func() error {
		to := cuda.Place{Host: unsafe.Pointer(&t.pinned.Bytes()[0]), Pitch: luma.width}
		return t.stream.Copy2D(cuda.Copy2D{To: to, From: from, Width: luma.width, Rows: f.Height / step})
	})
	if err == nil && f.Format == P010 {
		data = narrow(data)
	}
	return data, err
}

// bring returns the n bytes that put copies to pinned memory, behind f's decoding.
func (t *Fetcher) bring(f *Frame, n int, put func() error) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.prepare(f.GPU, n)
	if err == nil && f.Ready != nil {
		err = t.stream.Wait(f.Ready)
	}
	if err == nil {
		err = put()
		if syncErr := t.stream.Synchronize(); err == nil { // also after an error: some may be under way
			err = syncErr
		}
	}
	if err != nil {
		return nil, f.undelivered(err)
	}
	return slices.Clone(t.pinned.Bytes()[:n]), nil
}

// picture is a frame with two planes as the kernels see it.
func (f *Frame) picture() *kernels.Picture {
	p := &kernels.Picture{Format: kernels.NV12, Width: f.Width, Height: f.Height}
	if f.Format == P010 {
		p.Format = kernels.P010
	}
	for i, plane := range f.Planes[:2] {
		p.Planes[i], p.Strides[i] = plane.Data, plane.Stride
	}
	return p
}

// prepare has a stream, and pinned room for n bytes, of the device.
func (t *Fetcher) prepare(gpu cuda.Device, n int) (err error) {
	if t.gpu != gpu {
		t.release()
		if t.stream, err = gpu.NewStream(); err != nil {
			return err
		}
		t.gpu = gpu
	}
	if t.pinned != nil && len(t.pinned.Bytes()) >= n {
		return nil
	}
	if t.pinned != nil {
		_ = t.pinned.Free() // a loss is told by the device
		t.pinned = nil
	}
	pinned, err := gpu.Pinned(ample(n)) // seldom: pinning takes long
	if err == nil {
		t.pinned = pinned
	}
	return err
}

// makeRoom has n bytes on the device.
func (t *Fetcher) makeRoom(n int) error {
	if t.room != nil && t.room.Size() >= n {
		return nil
	}
	if t.room != nil {
		_ = t.room.Free()
		t.room = nil
	}
	room, err := t.gpu.Alloc("parts of pictures", ample(n))
	if err == nil {
		t.room = room
	}
	return err
}

// ample is n, rounded up so that little more is no reason to begin anew.
func ample(n int) int { return 1 << bits.Len(uint(max(n, 1)-1)) }

// Close gives back what is kept of the device; the next picture takes it anew. It must
// follow the last picture, and the loss of the device, which is not opened again before.
func (t *Fetcher) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release()
}

func (t *Fetcher) release() {
	if t.gpu == nil {
		return
	}
	_ = t.stream.Close() // a loss is told by the device
	if t.pinned != nil {
		_ = t.pinned.Free()
	}
	if t.room != nil {
		_ = t.room.Free()
	}
	t.gpu, t.stream, t.pinned, t.room = nil, nil, nil, nil
}
