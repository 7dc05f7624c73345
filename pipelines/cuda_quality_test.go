//go:build cuda

package pipelines

import (
	"errors"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/kernels/cuda"
	"sightline/kernels/emu"
	"sightline/pipelines/spec"
)

// TestCUDALooksAtRows: a look at a picture on the GPU brings the rows it takes and no
// more, unless somebody has the whole picture brought, of which there is one copy then.
func TestCUDALooksAtRows(t *testing.T) {
	emu.Need(t)
	emu.KeepsNothing(t)
	gpu, err := cuda.Open(cuda.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const width, height = 1920, 1080
	memory, err := gpu.Alloc("pictures", width*height*3/2)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := gpu.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stream.Fill(memory.Address(), 90, memory.Size()), stream.Synchronize()); err != nil {
		t.Fatal(err)
	}
	s, _ := newTestStream(t, true, nil, &fakeDecoder{})
	if s.quality, err = newQuality(spec.Quality{Watch: []string{"frozen", "black"}, For: time.Second}); err != nil {
		t.Fatal(err)
	}
	f := &decode.Frame{Width: width, Height: height, Format: decode.NV12, Memory: decode.CUDA, GPU: gpu}
	for i, at := range []uint64{memory.Address(), memory.Address() + width*height} {
		f.Planes[i] = decode.Plane{Data: *(*unsafe.Pointer)(unsafe.Pointer(&at)), Stride: width}
	}
	came := func(do func()) int64 {
		before := emu.Counts().ToHost
		do()
		return emu.Counts().ToHost - before
	}
	if n := came(func() { s.inspect(f) }); n != width*(height/3) {
		t.Errorf("%d bytes came for a look", n)
	}
	f.PTS = time.Second
	if n := came(func() { s.hostCopy(f); s.inspect(f); s.hostCopy(f) }); n != width*height*3/2 {
		t.Errorf("%d bytes came for a look at a picture that others want", n)
	}
	s.forgetCopy()
	for second := 2; second < 8; second++ {
		f.PTS, f.Keyframe = time.Duration(second)*time.Second, true
		s.inspect(f)
	}
	if got := s.status.snapshot().Degraded; len(got) != 1 || got[0] != "frozen" {
		t.Errorf("of a picture that does not change it says %v", got)
	}
	s.quality.Close()
	s.fetcher.Close()
	if err := errors.Join(stream.Close(), memory.Free(), gpu.Close()); err != nil {
		t.Error(err)
	}
}
