package onnx

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"sightline/decode"
	"sightline/kernels"
	"sightline/kernels/cuda"
)

// passage is a picture on its way into a row: until the kernel has read it, its
// memory must stay. It is safe for concurrent use.
type passage struct {
	mu    sync.Mutex
	event cuda.Event    // nil once it is over
	frame *decode.Frame // a reference that is held meanwhile, nil where none is
}

// over tells whether the picture was read, waiting for it if it must. After a loss
// nothing is read any more, and the error says so.
func (p *passage) over(wait bool) (bool, error) {
	if p == nil {
		return true, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event == nil {
		return true, nil
	}
	done, err := true, error(nil)
	if wait {
		err = p.event.Wait()
	} else {
		done, err = p.event.Done()
	}
	if err == nil && !done {
		return false, nil
	}
	err = errors.Join(err, p.event.Close())
	p.event = nil
	if p.frame != nil {
		p.frame.Release()
		p.frame = nil
	}
	return true, err
}

// MaxHeld is how many of a stream's pictures may wait for their kernels: a decoder
// has few surfaces.
const MaxHeld = 2

// held are the pictures of one stream that a GPU may still read. It is safe for
// concurrent use.
type held struct {
	mu  sync.Mutex
	all []*passage
}

// admit waits until there is room for one more.
func (h *held) admit() error { return h.keep(MaxHeld - 1) }

func (h *held) add(p *passage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, p)
}

// close waits until none is read any more.
func (h *held) close() error { return h.keep(0) }

// keep drops those that were read, and waits for the oldest while there are more than n.
func (h *held) keep(n int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	h.all = slices.DeleteFunc(h.all, func(p *passage) bool {
		over, err := p.over(false)
		errs = append(errs, err)
		return over
	})
	for len(h.all) > n {
		_, err := h.all[0].over(true)
		errs = append(errs, err)
		h.all = slices.Delete(h.all, 0, 1)
	}
	return errors.Join(errs...)
}

// staging is where a frame from host memory is put on its way to the GPU.
type staging struct {
	pinned cuda.Pinned
	device cuda.Memory
}

// fit makes room for so many bytes. What was there is not used any more.
func (s *staging) fit(device cuda.Device, owner string, bytes int) error {
	if s.device != nil && s.device.Size() >= bytes {
		return nil
	}
	if err := s.free(); err != nil {
		return err
	}
	own := newShare(device, owner)
	pinned, err := own.pinned(bytes)
	if err != nil {
		return err
	}
	memory, err := own.alloc(bytes)
	if err != nil {
		return errors.Join(err, own.free())
	}
	s.pinned, s.device = pinned, memory
	return nil
}

func (s *staging) free() error {
	if s.device == nil {
		return nil
	}
	err := errors.Join(s.device.Free(), s.pinned.Free())
	*s = staging{}
	return err
}

// planeSizes are the bytes of a row and the rows of each plane of a frame in host memory.
func planeSizes(f *decode.Frame) (all [3][2]int, err error) {
	w, h := (f.Width+1)/2, (f.Height+1)/2
	switch f.Format {
	case decode.I420:
		all = [3][2]int{{f.Width, f.Height}, {w, h}, {w, h}}
	case decode.NV12:
		all = [3][2]int{{f.Width, f.Height}, {2 * w, h}}
	default:
		return all, fmt.Errorf("its format %d is none of host memory's", f.Format)
	}
	for i, size := range all {
		if p := f.Planes[i]; size[0] > 0 && (p.Data == nil || p.Stride < size[0]) {
			return all, fmt.Errorf("plane %d is missing, or its stride %d does not hold rows of %d", i, p.Stride, size[0])
		}
	}
	return all, nil
}

// copyIn puts the planes of a frame from host memory side by side into pinned memory,
// and returns the picture as it will be at address.
func copyIn(dst []byte, f *decode.Frame, sizes [3][2]int, address uint64) *kernels.Picture {
	p := pictureOf(f)
	at := 0
	for i, size := range sizes {
		p.Planes[i], p.Strides[i] = devicePointer(address+uint64(at)), size[0]
		for y := range size[1] {
			row := unsafe.Slice((*byte)(unsafe.Add(f.Planes[i].Data, y*f.Planes[i].Stride)), size[0])
			at += copy(dst[at:], row)
		}
	}
	return p
}

// devicePointer is an address on a device in the form that frames and pictures have
// for it. The host must not follow it.
func devicePointer(address uint64) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), address) }
