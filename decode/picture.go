package decode

import (
	"fmt"
	"time"

	"sightline/ingest"
	"sightline/internal/libav"
)

// frame makes a Frame that owns f; nil for a picture whose packet was given up.
func (d *decoder) frame(f libav.Frame) (*Frame, error) {
	info := f.Info()
	e, ok := d.window.take(uint64(info.ID))
	if !ok {
		d.free(f)
		return nil, nil
	}
	p := e.packet
	// What H.264 decoding begins with is known better here than FFmpeg tells.
	d.dirty = d.dirty || info.Concealed
	bad := info.Concealed || info.Corrupt && p.Codec != ingest.H264
	if bad && !p.Disposable {
		d.window.damage(e.id, e.group)
		if e.group == d.trust.group {
			d.trust.damaged = true
			d.trust.refreshing = d.trust.refreshing && !info.Concealed
		}
	}
	if d.crowded(info) {
		d.free(f)
		return nil, nil
	}
	color := colorOf(info, p.Codec)
	f, color, err := d.adapt(f, color, p.Rotation/90&3)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", p.Codec, err)
	}
	info = f.Info()
	pts, captured, own := e.numbers.clock(p.PTS, p.Captured)
	d.measure(info.Width, info.Height)
	out := Frame{
		Stream: p.Stream, Epoch: p.Epoch, Index: e.numbers.number(picture{p.PTS, e.id}), PTS: pts,
		Captured: captured, Received: p.Received, Clock: p.Clock,
		Width: info.Width, Height: info.Height, Format: I420, Color: color, Memory: Host,
		Keyframe: p.Keyframe, Damaged: e.damaged || bad || !own,
	}
	switch info.Format {
	case libav.NV12:
		out.Format = NV12
	case libav.P010:
		out.Format = P010
	}
	for i := range out.Planes {
		if info.Planes[i] != nil {
			out.Planes[i] = Plane{Data: info.Planes[i], Stride: info.Strides[i]}
		}
	}
	free := f.Free
	if info.Device {
		if free, err = d.home.Load().keep(&out, f); err != nil {
			return nil, fmt.Errorf("decode %s: %w", p.Codec, err)
		}
	}
	if !p.Received.IsZero() {
		out.Decoded = time.Now().UTC()
	}
	return d.config.Frames.New(out, free), nil
}

// crowded tells whether a picture stays behind because too many are out on the
// device. Of what is drained, and where no picture may be missing, there will be a
// copy instead.
func (d *decoder) crowded(info libav.FrameInfo) bool {
	if !info.Device || !d.config.Live || d.draining {
		return false
	}
	if h := d.home.Load(); h.held.Load() < h.most {
		return false
	}
	d.tell(func(i *Info) { i.Refused++ })
	return true
}

// adapt takes f and returns it, or a copy that is upright and in a format that
// frames may have.
func (d *decoder) adapt(f libav.Frame, color Color, quarters int) (libav.Frame, Color, error) {
	info := f.Info()
	if info.Format == libav.Other || quarters != 0 && info.Format != libav.I420 {
		matrix := libav.BT601
		if color.Matrix == BT709 {
			matrix = libav.BT709
		}
		converted, err := d.scaler.Convert(f, matrix)
		f.Free()
		if err != nil {
			return libav.Frame{}, color, fmt.Errorf("convert %s: %w", info.FormatName, err)
		}
		f, color.FullRange = converted, converted.Info().FullRange
	}
	if quarters == 0 {
		return f, color, nil
	}
	turned, err := f.Turn(quarters)
	f.Free()
	if err != nil {
		return libav.Frame{}, color, fmt.Errorf("turn: %w", err)
	}
	color.ChromaLeft = false // left has become another side; the middle is nearest
	return turned, color, nil
}
