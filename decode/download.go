package decode

import (
	"fmt"
	"unsafe"

	"sightline/kernels/cuda"
)

// Download returns f in host memory, with one reference held by the caller: a copy
// with memory of its own, or f itself, retained, where it is there already. It
// blocks until the picture is decoded and copied (milliseconds). P010 becomes NV12
// of 8 bits, rounded. f stays the caller's.
func Download(f *Frame) (*Frame, error) {
	if f.Memory == Host {
		return f.Retain(), nil
	}
	data := make([]byte, f.size())
	if err := fetch(f, data); err != nil {
		return nil, f.undelivered(err)
	}
	return f.hosted(data), nil
}

func (f *Frame) undelivered(err error) error {
	return fmt.Errorf("bring picture %d of %q to host memory: %w", f.Index, f.Stream, err)
}

// size is the bytes of a frame's two planes without gaps.
func (f *Frame) size() int {
	luma, chroma := f.rows()
	return luma.width*luma.count + chroma.width*chroma.count
}

// hosted is f with its two planes in data, which it takes over.
func (f *Frame) hosted(data []byte) *Frame {
	luma, chroma := f.rows()
	if f.Format == P010 {
		data = narrow(data)
		luma.width, chroma.width = luma.width/2, chroma.width/2
	}
	out := *f
	out.Memory, out.Format, out.GPU, out.Ready = Host, NV12, nil, nil
	out.Planes = [3]Plane{
		{Data: unsafe.Pointer(&data[0]), Stride: luma.width},
		{Data: unsafe.Pointer(&data[luma.width*luma.count]), Stride: chroma.width},
	}
	return NewFrame(out, func() {})
}

// fetch copies a frame's two planes, without gaps.
func fetch(f *Frame, data []byte) (err error) {
	stream, err := f.GPU.NewStream()
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := stream.Close(); err == nil {
			err = closeErr
		}
	}()
	if f.Ready != nil {
		if err := stream.Wait(f.Ready); err != nil {
			return err
		}
	}
	return copyPlanes(stream, f, data)
}

// copyPlanes puts a copy of a frame's two planes into the stream, to data, without gaps.
func copyPlanes(stream cuda.Stream, f *Frame, data []byte) error {
	luma, chroma := f.rows()
	for i, r := range []rows{luma, chroma} {
		err := stream.Copy2D(cuda.Copy2D{
			To:   cuda.Place{Host: unsafe.Pointer(&data[0]), Pitch: r.width},
			From: f.Planes[i].place(), Width: r.width, Rows: r.count,
		})
		if err != nil {
			return err
		}
		data = data[r.width*r.count:]
	}
	return nil
}

// narrow rounds samples of 16 bits, little endian, to 8, in place.
func narrow(data []byte) []byte {
	n := len(data) / 2
	for i := range n {
		v := uint32(data[2*i]) | uint32(data[2*i+1])<<8
		data[i] = byte(min(v+0x80, 0xffff) >> 8)
	}
	return data[:n]
}
