package av

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"sightline/ingest"
	"sightline/internal/libav"
)

// maxErrors is how many packets in a row may be unreadable before the connection
// is given up.
const maxErrors = 1000

var (
	errNoVideo = errors.New("no picture comes")
	errDamage  = errors.New("nothing but damage")
	errEnded   = errors.New("the sender ended the stream")
)

// Pull reads live video through FFmpeg, which holds at most 32 MiB of a picture
// that is not complete, and what the protocol's receive buffer has.
type Pull struct {
	Stream string
	Where  string // the address, fit for logs and errors
	Input  libav.Input
	// ReadTimeout is how long the sender may be silent, and how long no picture may
	// come, while connecting and later.
	ReadTimeout time.Duration
	// KeyframeTimeout is how long pictures may come without one that decoding can
	// start with.
	KeyframeTimeout time.Duration
	Listen          bool // opening takes until a sender comes, however long
	Log             *slog.Logger
}

// OpenError is that a stream could not be opened: what FFmpeg's error means
// depends on the protocol.
type OpenError struct{ Err error }

func (e *OpenError) Error() string { return e.Err.Error() }
func (e *OpenError) Unwrap() error { return e.Err }

// Run is one connection and one epoch, with the contract of ingest.Source. It
// fails with *ingest.Error, or with *OpenError before anything was read.
func (p Pull) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	in := p.Input
	if !p.Listen {
		in.Timeout = p.ReadTimeout
	}
	d, err := libav.Open(ctx, in)
	if cause := ctx.Err(); err != nil && cause != nil {
		return cause
	}
	if err != nil {
		return &OpenError{err}
	}
	defer d.Close()
	d.SetTimeout(p.ReadTimeout)
	c := &connection{Pull: p, demuxer: d, epoch: ingest.LiveEpoch(), chosen: -1, began: time.Now()}
	c.seen = c.began
	defer func() {
		if c.live != nil {
			p.Log.Info("stream disconnected", "stream", p.Stream, "url", p.Where, "epoch", c.epoch, "units_withheld", c.live.Withheld())
		}
	}()
	for {
		if err := c.step(ctx, emit); err != nil {
			return err
		}
	}
}

// connection is one Run of a Pull.
type connection struct {
	Pull
	demuxer *libav.Demuxer
	epoch   string
	live    *Live
	chosen  int // the stream that is read, -1 not known yet
	began   time.Time
	seen    time.Time // when the last picture came
	errors  int       // in a row
	lost    bool
}

// step reads one packet.
func (c *connection) step(ctx context.Context, emit func(ingest.Packet) error) error {
	var in libav.Packet
	err := c.demuxer.Read(&in)
	now := time.Now()
	switch {
	case errors.Is(err, libav.ErrInvalidData) && c.errors < maxErrors:
		c.errors++
		c.lost = true
		return nil
	case err != nil:
		return c.failed(ctx, err)
	}
	c.errors = 0
	if c.chosen < 0 {
		if err := c.choose(in.Stream); err != nil {
			return err
		}
	}
	if in.Stream != c.chosen {
		if now.Sub(c.seen) > c.ReadTimeout {
			return Fail(c.Where, ingest.ReasonTimeout, errNoVideo)
		}
		return nil
	}
	if !c.live.Running() && now.Sub(c.began) > c.KeyframeTimeout {
		return Fail(c.Where, ingest.ReasonNoKeyframe, ingest.ErrNoKeyframe)
	}
	if in.Extradata != nil && c.live.Configure(bytes.Clone(in.Extradata)) != nil {
		c.lost = true
	}
	if err := c.live.Push(c.unit(in, now), emit); err != nil {
		return err
	}
	if !c.live.Running() {
		ingest.Withheld(ctx)
	}
	c.seen = time.Now() // emit may have taken long
	return nil
}

// unit gives a packet without times those of its arrival.
func (c *connection) unit(in libav.Packet, now time.Time) Unit {
	pts, dts := in.PTS, in.DTS
	if pts == libav.NoTime {
		pts = dts
	}
	if pts == libav.NoTime {
		pts = int64(now.Sub(c.began))
	}
	if dts == libav.NoTime {
		dts = pts
	}
	u := Unit{
		Data: in.Data, PTS: time.Duration(pts), DTS: time.Duration(dts), Duration: in.Duration,
		Keyframe: in.Keyframe, Disposable: in.Disposable, Lost: c.lost || in.Corrupt, Arrival: now,
	}
	c.lost = false
	return u
}

// choose takes the first stream of video that a packet comes of.
func (c *connection) choose(stream int) error {
	for _, s := range c.demuxer.Video() {
		if s.Index != stream || s.Picture {
			continue
		}
		if s.Codec == "none" {
			return Fail(c.Where, ingest.ReasonUnsupportedCodec, fmt.Errorf("the sender's video is of a kind that FFmpeg does not know (%#x)", s.Tag))
		}
		live, err := NewLive(c.Stream, c.epoch, FormatOf(s))
		if err != nil {
			return Fail(c.Where, ingest.ReasonDamaged, err)
		}
		c.live, c.chosen = live, stream
		c.demuxer.Select(stream)
		c.Log.Info("stream connected", "stream", c.Stream, "url", c.Where, "codec", s.Codec, "epoch", c.epoch)
	}
	return nil
}

func (c *connection) failed(ctx context.Context, err error) error {
	switch cause := ctx.Err(); {
	case cause != nil:
		return cause
	case err == io.EOF:
		return Fail(c.Where, ingest.ReasonEnded, errEnded)
	case errors.Is(err, libav.ErrTimeout):
		return Fail(c.Where, ingest.ReasonTimeout, fmt.Errorf("nothing came for %v", c.ReadTimeout))
	case errors.Is(err, libav.ErrInvalidData):
		return Fail(c.Where, ingest.ReasonDamaged, errDamage)
	case errors.Is(err, libav.ErrTooLarge):
		return Fail(c.Where, ingest.ReasonDamaged, err)
	}
	return Fail(c.Where, ingest.ReasonEnded, fmt.Errorf("read: %w", err))
}

// FormatOf is the format of a stream that FFmpeg reads.
func FormatOf(s libav.Stream) Format {
	f := Format{
		Codec: ingest.Codec(s.Codec), Config: s.Extradata, IntraOnly: s.IntraOnly, Rotation: 90 * s.Quarters,
	}
	_, f.Container = OutOfBand(s, nil)
	return f
}

// inBand tells whether a codec's pictures say all that decoding needs.
func inBand(codec ingest.Codec) bool {
	switch codec {
	case ingest.H264, ingest.H265, ingest.VP8, ingest.VP9, ingest.MJPEG:
		return true
	}
	return false
}

// OutOfBand is what packets carry of a stream's configuration, which may have
// changed from s to extra: nothing for codecs that say everything themselves.
func OutOfBand(s libav.Stream, extra []byte) ([]byte, *ingest.Container) {
	switch codec := ingest.Codec(s.Codec); {
	case inBand(codec):
		return nil, nil
	case codec == ingest.AV1:
		return extra, nil
	}
	return extra, &ingest.Container{
		Width: s.Width, Height: s.Height, Tag: s.Tag, BitsPerSample: s.BitsPerSample, PixelFormat: s.PixelFormat,
	}
}
