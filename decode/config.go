package decode

import (
	"errors"
	"fmt"
	"log/slog"

	"sightline/internal/libav"
	"sightline/kernels/cuda"
)

// Config says how to decode one stream.
type Config struct {
	Threads        int          // decoder threads, at least 1; 1 costs least per picture
	Live           bool         // stamp frames with the time they were decoded and hold back none for speed
	SkipLoopFilter bool         // begin with FilterSkipAll instead of FilterSkipNone
	HWAccel        string       // a device to decode on: none or "", auto, vaapi, qsv or cuda
	GPU            cuda.Device  // where pictures that cuda decodes stay; nil: they come to host memory, as all others do. It outlives the frames
	Held           int          // frames that may be out on GPU while the decoder goes on, fewer where the codec refers to many; 0: MaxHeld
	Logger         *slog.Logger // nil logs nothing
	Frames         *Live        // counts the frames handed out; nil counts none
}

// Defaults decode with one thread.
func Defaults() Config { return Config{Threads: 1} }

// maxThreads keeps the pictures in flight below what a window remembers.
const maxThreads = 32

// mostHeld is how many pictures every NVDEC decodes into, those that the codec refers
// to included: what those leave is less.
const mostHeld = 32

// Validate tells what is wrong with c.
func (c Config) Validate() error {
	if c.Threads < 1 || c.Threads > maxThreads {
		return fmt.Errorf("threads: %d is not in 1 to %d", c.Threads, maxThreads)
	}
	if c.Held < 0 || c.Held > mostHeld {
		return fmt.Errorf("held: %d is not in 0 to %d", c.Held, mostHeld)
	}
	if _, ok := devices[c.HWAccel]; !ok {
		return fmt.Errorf("hwaccel: %q is none of none, auto, vaapi, qsv, cuda", c.HWAccel)
	}
	return nil
}

// Errors that callers tell apart.
var (
	// ErrNoKeyframe is for packets before the first keyframe of an epoch: they were not decoded.
	ErrNoKeyframe = errors.New("no keyframe yet")
	// ErrUnsupported is for a codec that nothing here decodes; it is wrapped with the codec's name.
	ErrUnsupported = errors.New("unsupported codec")
)

// New returns a decoder that opens FFmpeg's when the first packet comes. The
// caller closes it.
func New(c Config) (Decoder, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	if c.Held == 0 {
		c.Held = MaxHeld
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	d := &decoder{
		config: c, scaler: &libav.Scaler{}, memory: libav.NewMemory(), devices: devices[c.HWAccel],
		openAV: func(o libav.DecoderOptions) (avDecoder, error) { return libav.OpenDecoder(o) },
	}
	if c.SkipLoopFilter {
		d.filter = FilterSkipAll
	}
	d.info.Store(&Info{})
	return d, nil
}
