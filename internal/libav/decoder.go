package libav

/*
#include <stdlib.h>
#include "decoder.h"
*/
import "C"

import (
	"cmp"
	"errors"
	"io"
	"math"
	"runtime"
	"unsafe"
)

// DecoderOptions says how to open a decoder.
type DecoderOptions struct {
	Codec         string // FFmpeg's name of the format: h264, hevc, vp8, …
	Extradata     []byte // out-of-band configuration, or nil
	Width, Height int    // what a container says of pictures; 0 unknown
	Tag           uint32 // the container's code of the format; 0 unknown
	BitsPerSample int    // of raw and old formats; 0 unknown
	PixelFormat   string // of raw video; "" unknown
	Threads       int    // at least 1
	FrameThreads  bool   // decode several pictures at once, at the price of as many pictures' delay
	LowDelay      bool
	Device        string // vaapi, qsv or cuda: decode there and bring the pictures back; "" in software
	CUDA          *CUDA  // with Device cuda: leave the pictures there; nil brings them back

	// Bounds: a picture larger than MaxPixels is refused, and so is one for
	// which there is no room, because MaxPictures of its kind or MaxBytes in all
	// are held by the decoder and by those who took its pictures. 0 is no bound.
	MaxPixels   int64
	MaxPictures int
	MaxBytes    int64
	Memory      *Memory // counts the pictures; nil counts none
}

// Memory counts the bytes of pictures that its decoders have allocated: those
// handed out, those kept for reference, and free ones kept for the next. FFmpeg's
// AV1 decoder has memory of its own, which is not counted, and a device's is not.
// It is safe for concurrent use.
type Memory struct{ p *C.sl_memory }

// NewMemory returns a count of zero. Its native part goes with the last picture
// and the last reference to it.
func NewMemory() *Memory {
	m := &Memory{C.sl_memory_new()}
	if m.p == nil {
		panic("libav: out of memory")
	}
	runtime.AddCleanup(m, func(p *C.sl_memory) { C.sl_memory_unref(p) }, m.p)
	return m
}

// Bytes is how many are held now.
func (m *Memory) Bytes() int64 {
	n := int64(C.sl_memory_bytes(m.p))
	runtime.KeepAlive(m)
	return n
}

// CUDA says where pictures stay on a device. Context and Stream must outlive the
// decoder and its frames; what FFmpeg does with a picture is in Stream's order.
type CUDA struct {
	Context, Stream unsafe.Pointer // a CUcontext and a CUstream of it
	Held            int            // how many pictures are to be held while decoding goes on; see Decoder.Held
}

// Decoder decodes one stream.
type Decoder struct {
	p      *C.sl_decoder
	out    *C.sl_output
	memory *Memory
}

// OpenDecoder opens a decoder; ErrNoDecoder when there is none (for the device, if
// one is named), ErrNoDevice where the device is missing. Close frees it.
func OpenDecoder(o DecoderOptions) (*Decoder, error) {
	quiet()
	if len(o.Extradata) > math.MaxInt32/2 {
		return nil, ErrInvalidData
	}
	if o.Memory == nil {
		o.Memory = NewMemory()
	}
	options := C.sl_decoder_options{
		name: C.CString(o.Codec), pixel_format: C.CString(o.PixelFormat), hwaccel: C.CString(o.Device),
		extra: (*C.uint8_t)(C.CBytes(o.Extradata)), extra_size: C.int(len(o.Extradata)),
		width: C.int(o.Width), height: C.int(o.Height), bits: C.int(o.BitsPerSample), tag: C.uint32_t(o.Tag),
		threads: C.int(o.Threads), frame_threads: flag(o.FrameThreads), low_delay: flag(o.LowDelay),
		max_pixels: C.int64_t(bound(o.MaxPixels)), max_pictures: C.int(bound(int64(o.MaxPictures))), max_bytes: C.int64_t(bound(o.MaxBytes)),
		memory: o.Memory.p,
	}
	if o.CUDA != nil {
		options.cuda_context, options.cuda_stream, options.cuda_held = o.CUDA.Context, o.CUDA.Stream, C.int(o.CUDA.Held)
	}
	defer C.free(unsafe.Pointer(options.name))
	defer C.free(unsafe.Pointer(options.pixel_format))
	defer C.free(unsafe.Pointer(options.hwaccel))
	defer C.free(unsafe.Pointer(options.extra))
	d := &Decoder{memory: o.Memory}
	if err := check(C.sl_decoder_open(&d.p, &options)); err != nil {
		return nil, err
	}
	d.out = C.sl_decoder_output(d.p)
	return d, nil
}

// bound turns 0 into the size that FFmpeg itself keeps to.
func bound(n int64) int64 { return cmp.Or(n, math.MaxInt32) }

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// Name is FFmpeg's name of the decoder in use.
func (d *Decoder) Name() string { return C.GoString(C.sl_decoder_name(d.p)) }

// FrameThreads tells whether pictures are decoded side by side, so that an error
// may be about an earlier packet.
func (d *Decoder) FrameThreads() bool { return C.sl_decoder_frame_threads(d.p) != 0 }

// OnDevice tells whether the last picture was decoded by the device.
func (d *Decoder) OnDevice() bool { return C.sl_decoder_on_device(d.p) != 0 }

// DeviceFailed tells whether FFmpeg decodes in software because the device gave it no
// decoder, though the pictures' format is one it is asked for: it may have no room.
func (d *Decoder) DeviceFailed() bool { return C.sl_decoder_device_failed(d.p) != 0 }

// Surfaces is how many pictures the device has for this decoder, handed out or not,
// and how many bytes they take; 0 where they do not stay there.
func (d *Decoder) Surfaces() (count int, bytes int64) {
	var n C.int64_t
	count = int(C.sl_decoder_surfaces(d.p, &n))
	return count, int64(n)
}

// Held is how many pictures that stay on a device may be held while decoding goes on:
// as many as were asked for, unless the stream refers to so many that they are
// fewer. It is known when the first picture is.
func (d *Decoder) Held() int { return int(C.sl_decoder_held(d.p)) }

// HasNVDEC tells whether the library that CUDA devices decode with is installed
// (libnvcuvid.so.1). FFmpeg itself does not say why it does without.
func HasNVDEC() bool { return C.sl_cuda_decodes() != 0 }

// SkipFilter is which pictures go without the codec's loop filter.
type SkipFilter uint8

// Levels.
const (
	SkipFilterNone SkipFilter = iota
	SkipFilterNonref
	SkipFilterAll
)

// SetSkipFilter takes effect with the next packet, where the codec can.
func (d *Decoder) SetSkipFilter(s SkipFilter) { C.sl_decoder_skip_filter(d.p, C.int(s)) }

// None is the answer of Missing and Concealed where there is nothing to tell.
const None = math.MaxInt64

// Missing is the lowest id of a packet of which the last call has found that it
// refers to a picture that never came (H.264 and H.265 only), or None.
func (d *Decoder) Missing() int64 { return int64(d.out.missing) }

// Concealed is the id of the last packet where its picture could not be decoded in
// all its parts, as far as that is known before the picture comes out (H.264
// without frame threads only), or None.
func (d *Decoder) Concealed() int64 { return int64(d.out.concealed) }

// Decode hands over one packet and appends the pictures that became ready, in
// presentation order, to frames; the caller frees each. id comes back in the info of the
// packet's picture. data is copied. Frames may come with an error, which is
// ErrNoMemory where a bound was met.
func (d *Decoder) Decode(data []byte, id int64, frames []Frame) ([]Frame, error) {
	if len(data) == 0 {
		return frames, errors.New("empty packet")
	}
	if len(data) > math.MaxInt32/2 {
		return frames, errors.New("packet too large")
	}
	code := C.sl_decoder_decode(d.p, (*C.uint8_t)(unsafe.SliceData(data)), C.int(len(data)), C.int64_t(id))
	return d.collect(code, frames)
}

// Drain appends the pictures held back; the error is the first of those that
// could not be decoded. Reset must follow before the next Decode.
func (d *Decoder) Drain(frames []Frame) ([]Frame, error) {
	var first error
	for range maxDrainErrors {
		var err error
		frames, err = d.collect(C.sl_decoder_drain(d.p), frames)
		if err == io.EOF {
			return frames, first
		}
		if first == nil {
			first = err
		}
	}
	return frames, first
}

// maxDrainErrors is more than any decoder holds back.
const maxDrainErrors = 64

// collect takes the pictures of the last call and fetches those that did not fit
// it. What those bring to light is kept together.
func (d *Decoder) collect(code C.int, frames []Frame) ([]Frame, error) {
	missing, full := C.int64_t(None), false
	for {
		full = full || d.out.full != 0
		missing = min(missing, d.out.missing)
		for _, f := range d.out.frames[:d.out.n] {
			frames = append(frames, Frame{f})
		}
		if code != 1 {
			d.out.missing = missing
			if full {
				return frames, ErrNoMemory
			}
			return frames, check(code)
		}
		code = C.sl_decoder_receive(d.p)
	}
}

// Reset forgets everything but the configuration, for a start at a keyframe.
func (d *Decoder) Reset() { C.sl_decoder_reset(d.p) }

// Close frees the decoder. Frames stay valid.
func (d *Decoder) Close() {
	C.sl_decoder_free(d.p)
	d.p, d.out = nil, nil
}
