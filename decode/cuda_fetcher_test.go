//go:build cuda

package decode_test

import (
	"bytes"
	"errors"
	"image"
	"math/rand/v2"
	"testing"
	"unsafe"

	"sightline/decode"
	"sightline/kernels/cuda"
	"sightline/kernels/emu"
)

// noise is a picture on the device of which no two places are alike. It is freed with
// its last reference.
func noise(t *testing.T, gpu cuda.Device, format decode.PixelFormat, width, height int) *decode.Frame {
	t.Helper()
	const stride = 768
	memory, err := gpu.Alloc("pictures", stride*2*height)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := gpu.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	data, source := make([]byte, memory.Size()), rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(source.Uint32())
	}
	if err := errors.Join(stream.Upload(memory.Address(), data), stream.Synchronize()); err != nil {
		t.Fatal(err)
	}
	f := decode.Frame{Width: width, Height: height, Format: format, Memory: decode.CUDA, GPU: gpu, Index: 7}
	if f.Ready, err = stream.Record(); err != nil {
		t.Fatal(err)
	}
	for i, at := range []uint64{memory.Address(), memory.Address() + uint64(stride*height)} {
		f.Planes[i] = decode.Plane{Data: *(*unsafe.Pointer)(unsafe.Pointer(&at)), Stride: stride}
	}
	return decode.NewFrame(f, func() {
		if err := errors.Join(f.Ready.Close(), stream.Close(), memory.Free()); err != nil {
			t.Error(err)
		}
	})
}

// samples are those of a part of a frame in host memory, plane by plane.
func samples(f *decode.Frame, part image.Rectangle) (out []byte) {
	half := image.Rect(part.Min.X, part.Min.Y/2, part.Min.X+(part.Dx()+1)/2*2, part.Min.Y/2+(part.Dy()+1)/2)
	for i, r := range []image.Rectangle{part, half} {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			out = append(out, unsafe.Slice((*byte)(unsafe.Add(f.Planes[i].Data, y*f.Planes[i].Stride+r.Min.X)), r.Dx())...)
		}
	}
	return out
}

// TestCUDAFetcher wants parts of pictures, and rows of luma, to be what whole copies show
// there, to the bit, and no more to be copied.
func TestCUDAFetcher(t *testing.T) {
	gpu := openGPU(t)
	var fetcher decode.Fetcher
	defer fetcher.Close()
	for _, format := range []decode.PixelFormat{decode.NV12, decode.P010} {
		f := noise(t, gpu, format, 321, 243)
		whole, err := decode.Download(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []image.Rectangle{
			image.Rect(0, 0, 1, 1), image.Rect(2, 4, 103, 77), image.Rect(320, 242, 321, 243), image.Rect(0, 0, 321, 243), image.Rect(64, 0, 80, 243),
		} {
			before := emu.Counts()
			got, err := fetcher.Part(f, part)
			if err != nil {
				t.Fatal(err)
			}
			if got.Memory != decode.Host || got.GPU != nil || got.Width != part.Dx() || got.Height != part.Dy() || got.Index != f.Index {
				t.Errorf("%v came as %+v", part, got)
			}
			want := samples(whole, part)
			if !bytes.Equal(samples(got, part.Sub(part.Min)), want) {
				t.Errorf("%v of format %d: other samples than the whole picture's", part, format)
			}
			after := emu.Counts()
			if n := after.ToHost - before.ToHost; n != int64(len(want)) || after.Launches-before.Launches != 1 {
				t.Errorf("%v: %d bytes were copied for %d, by %d kernels", part, n, len(want), after.Launches-before.Launches)
			}
			got.Release()
		}
		for _, part := range []image.Rectangle{image.Rect(1, 0, 5, 5), image.Rect(0, 3, 5, 5), image.Rect(300, 0, 322, 5), {}} {
			if _, err := fetcher.Part(f, part); err == nil {
				t.Errorf("%v was copied", part)
			}
		}
		again, err := fetcher.Whole(f)
		if err != nil {
			t.Fatal(err)
		}
		all := image.Rect(0, 0, 321, 243)
		if !bytes.Equal(samples(again, all), samples(whole, all)) || again.Index != f.Index {
			t.Errorf("format %d: the whole picture is another one", format)
		}
		again.Release()
		for _, step := range []int{1, 3, 10} {
			var want []byte
			for y := 0; y+step <= whole.Height; y += step {
				want = append(want, unsafe.Slice((*byte)(unsafe.Add(whole.Planes[0].Data, y*whole.Planes[0].Stride)), whole.Width)...)
			}
			if got, err := fetcher.Rows(f, step); err != nil || !bytes.Equal(got, want) {
				t.Errorf("format %d, every %dth row: %d bytes, %v", format, step, len(got), err)
			}
		}
		whole.Release()
		f.Release()
	}
}

// TestCUDAFetcherAfterLoss wants one that was closed to keep nothing of a lost device, and
// to serve the next.
func TestCUDAFetcherAfterLoss(t *testing.T) {
	emu.Need(t)
	emu.KeepsNothing(t)
	part := image.Rect(0, 0, 8, 8)
	var fetcher decode.Fetcher
	for range 2 {
		gpu, err := cuda.Open(cuda.Config{})
		if err != nil {
			t.Fatal(err)
		}
		f := noise(t, gpu, decode.NV12, 16, 16)
		got, err := fetcher.Part(f, part)
		if err != nil {
			t.Fatal(err)
		}
		got.Release()
		emu.Fail(emu.Device, 1)
		for range 2 { // the second has nothing left to work with
			if _, err := fetcher.Part(f, part); !errors.Is(err, cuda.ErrLost) {
				t.Errorf("on a lost device: %v", err)
			}
			fetcher.Close()
		}
		f.Release()
		emu.Restore(0)
		if err := gpu.Close(); err != nil {
			t.Error(err)
		}
	}
}
