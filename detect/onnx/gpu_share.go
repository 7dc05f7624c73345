package onnx

import (
	"errors"
	"fmt"
	"unsafe"

	"sightline/kernels/cuda"
)

// share is what one part of a session has of a GPU; free gives all of it back, in
// the opposite order. Not for concurrent use.
type share struct {
	device cuda.Device
	owner  string // what its memory is counted under
	parts  []func() error
}

func newShare(device cuda.Device, owner string) *share { return &share{device: device, owner: owner} }

func (s *share) alloc(bytes int) (cuda.Memory, error) {
	m, err := s.device.Alloc(s.owner, bytes)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes on the GPU for %s: %w", bytes, s.owner, err)
	}
	s.parts = append(s.parts, m.Free)
	return m, nil
}

func (s *share) pinned(bytes int) (cuda.Pinned, error) {
	m, err := s.device.Pinned(bytes)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes of pinned memory for %s: %w", bytes, s.owner, err)
	}
	s.parts = append(s.parts, m.Free)
	return m, nil
}

func (s *share) stream() (cuda.Stream, error) {
	stream, err := s.device.NewStream()
	if err != nil {
		return nil, fmt.Errorf("make a CUDA stream for %s: %w", s.owner, err)
	}
	s.parts = append(s.parts, stream.Close)
	return stream, nil
}

func (s *share) free() error {
	var errs []error
	for i := len(s.parts) - 1; i >= 0; i-- {
		errs = append(errs, s.parts[i]())
	}
	s.parts = nil
	return errors.Join(errs...)
}

// bytesOf are the bytes of numbers, in place.
func bytesOf[T int32 | float32](values []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
}
