package decode

import (
	"sightline/internal/libav"
	"sightline/kernels/cuda"
)

// aside is one of FFmpeg's decoders on NVDEC. FFmpeg enters the context by itself, and
// allocates there when it comes to: beside CUDA graphs that networks record meanwhile.
type aside struct{ avDecoder }

func (a aside) Decode(data []byte, id int64, frames []libav.Frame) (out []libav.Frame, err error) {
	cuda.Beside(func() { out, err = a.avDecoder.Decode(data, id, frames) })
	return out, err
}

func (a aside) Drain(frames []libav.Frame) (out []libav.Frame, err error) {
	cuda.Beside(func() { out, err = a.avDecoder.Drain(frames) })
	return out, err
}

func (a aside) Reset() { cuda.Beside(a.avDecoder.Reset) }

func (a aside) Close() { cuda.Beside(a.avDecoder.Close) }

// free gives a picture back that nobody is handed; the last one of a decoder frees what
// that had on its device.
func (d *decoder) free(f libav.Frame) {
	if d.device == "cuda" {
		cuda.Beside(f.Free)
		return
	}
	f.Free()
}
