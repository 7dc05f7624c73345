package decode

import (
	"fmt"
	"image"
	"math/bits"
	"slices"
	"sync"

	"sightline/kernels/cuda"
)

// Fetcher brings parts of pictures on a device to host memory. It keeps a stream and
// pinned memory of the device, which it takes with the first picture. The zero value is
// ready. Safe for concurrent use: one part comes after another.
type Fetcher struct {
	mu     sync.Mutex
	gpu    cuda.Device // nil: nothing is kept
	stream cuda.Stream
	pinned cuda.Pinned // nil: none yet
}

// Part returns a copy of a part of f, with memory of its own and one reference held by
// the caller: what Download's copy shows there, byte for byte. The part begins at even
// pixels and is within f, which is on a device and stays the caller's. It blocks until
// the picture is decoded and copied.
func (t *Fetcher) Part(f *Frame, part image.Rectangle) (*Frame, error) {
	if part.Empty() || !part.In(image.Rect(0, 0, f.Width, f.Height)) || part.Min.X%2+part.Min.Y%2 != 0 {
		return nil, f.undelivered(fmt.Errorf("%v begins at no even pixel, or is not within it", part))
	}
	cut := *f
	cut.Width, cut.Height = part.Dx(), part.Dy()
	sample := 1
	if f.Format == P010 {
		sample = 2
	}
	for i, y := range []int{part.Min.Y, part.Min.Y / 2} { // a pair of chroma is as wide as two pixels
		at := uintptr(f.Planes[i].Data) + uintptr(y*f.Planes[i].Stride+part.Min.X*sample)
		cut.Planes[i].Data = devicePointer(uint64(at))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	data, err := t.fetch(&cut)
	if err != nil {
		return nil, f.undelivered(err)
	}
	return cut.hosted(data), nil
}

// fetch returns a copy of a frame's planes.
func (t *Fetcher) fetch(f *Frame) ([]byte, error) {
	n := f.size()
	if err := t.prepare(f.GPU, n); err != nil {
		return nil, err
	}
	data := t.pinned.Bytes()[:n]
	err := bring(t.stream, f, data)
	if syncErr := t.stream.Synchronize(); err == nil { // also after an error: luma may be under way
		err = syncErr
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(data), nil
}

// prepare has a stream, and room for n bytes, of the device.
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
	pinned, err := gpu.Pinned(1 << bits.Len(uint(n-1))) // seldom: pinning takes long
	if err == nil {
		t.pinned = pinned
	}
	return err
}

// Close gives back what is kept of the device; Part takes it anew. It must follow the
// last Part, and the loss of the device, which is not opened again before.
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
	t.gpu, t.stream, t.pinned = nil, nil, nil
}
