package decode

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"sightline/ingest"
	"sightline/internal/libav"
)

// decoder decodes with FFmpeg. Its frames refer to FFmpeg's own buffers.
type decoder struct {
	config Config
	av     *libav.Decoder // nil before the first packet and while none fits
	scaler *libav.Scaler
	frames []libav.Frame // reused between calls

	codec     ingest.Codec
	extradata []byte
	container ingest.Container
	epoch     string
	numbers   *numbering // of epoch; nil before the first packet
	stale     bool       // FFmpeg still holds pictures of the epoch before
	window    window

	lastID  uint64
	keyID   uint64 // of the latest keyframe given to FFmpeg, 0 while one is awaited
	damaged bool   // what follows refers to pictures that are missing or damaged
	// lead is the time of a keyframe that ended damage, else 0: pictures shown
	// before it, though decoded after it, may refer to what was lost.
	lead time.Duration
}

// Decode implements Decoder.
func (d *decoder) Decode(p ingest.Packet, emit func(*Frame) error) error {
	if d.stale || d.numbers != nil && p.Epoch != d.epoch || d.changed(p) {
		// An error about a picture that was inside is no error about p.
		if _, err := d.drain(emit); err != nil {
			return err
		}
	}
	id := d.enter(p)
	if d.changed(p) {
		d.shut()
	}
	if d.keyID == 0 && !p.Keyframe {
		return fmt.Errorf("decode %s: %w", p.Codec, ErrNoKeyframe)
	}
	if err := d.open(p); err != nil {
		return err
	}
	d.watch(p, id)
	frames, err := d.av.Decode(p.Data, int64(id), d.frames[:0])
	if err != nil {
		err = fmt.Errorf("decode %s: %w", p.Codec, err)
		d.failed(p, id)
	} else if len(frames) == 0 && hidden(p) {
		d.window.remove(id)
	}
	convErr, emitErr := d.emitAll(frames, emit)
	if emitErr != nil {
		return emitErr
	}
	return errors.Join(err, convErr)
}

// Skip implements Decoder.
func (d *decoder) Skip(p ingest.Packet) {
	d.enter(p)
	d.damaged = d.damaged || !p.Disposable
}

// Flush implements Decoder.
func (d *decoder) Flush(emit func(*Frame) error) error {
	err, emitErr := d.drain(emit)
	if emitErr != nil {
		return emitErr
	}
	return err
}

// Pending implements Decoder.
func (d *decoder) Pending() int { return d.window.pending() }

// Close implements Decoder.
func (d *decoder) Close() error {
	d.shut()
	d.scaler.Close()
	return nil
}

// changed tells whether p needs another decoder than the one that is open.
func (d *decoder) changed(p ingest.Packet) bool {
	return d.av != nil && (p.Codec != d.codec || container(p) != d.container || !bytes.Equal(p.Extradata, d.extradata))
}

func container(p ingest.Packet) ingest.Container {
	if p.Container == nil {
		return ingest.Container{}
	}
	return *p.Container
}

// enter follows p's epoch, counts p's picture and gives it an id.
func (d *decoder) enter(p ingest.Packet) (id uint64) {
	if d.numbers == nil || p.Epoch != d.epoch {
		d.stale = d.window.pending() > 0
		d.epoch, d.numbers = p.Epoch, &numbering{}
		d.await()
	}
	d.lastID++
	if !hidden(p) {
		d.numbers.enter(picture{p.PTS, d.lastID})
	}
	return d.lastID
}

// await makes the decoder wait for a keyframe.
func (d *decoder) await() { d.keyID, d.damaged, d.lead = 0, true, 0 }

// open opens a decoder for p where none is open.
func (d *decoder) open(p ingest.Packet) error {
	if d.av != nil {
		return nil
	}
	c := container(p)
	av, err := libav.OpenDecoder(libav.DecoderOptions{
		Codec: string(p.Codec), Extradata: p.Extradata, Width: c.Width, Height: c.Height, Tag: c.Tag,
		BitsPerSample: c.BitsPerSample, PixelFormat: c.PixelFormat, Threads: d.config.Threads,
		FrameThreads: !d.config.Live && d.config.Threads > 1, LowDelay: d.config.Live,
		SkipLoopFilter: d.config.SkipLoopFilter,
	})
	if errors.Is(err, libav.ErrNoDecoder) {
		return fmt.Errorf("decode: %w %q", ErrUnsupported, p.Codec)
	}
	if err != nil {
		return fmt.Errorf("open %s decoder: %w", p.Codec, err)
	}
	d.av, d.codec, d.extradata, d.container = av, p.Codec, p.Extradata, c
	d.config.Logger.Debug("decoder opened", "stream", p.Stream, "codec", p.Codec, "decoder", av.Name(), "threads", d.config.Threads)
	return nil
}

// shut closes FFmpeg's decoder; pictures it holds are given up.
func (d *decoder) shut() {
	if d.av != nil {
		d.av.Close()
		d.av = nil
	}
	d.window.clear()
	d.await()
}

// watch notes what p means for the damage of pictures, and remembers p until its
// picture comes out.
func (d *decoder) watch(p ingest.Packet, id uint64) {
	d.damaged = d.damaged || p.Break
	if p.Keyframe {
		d.lead = 0
		if d.damaged {
			d.lead = p.PTS
		}
		d.keyID, d.damaged = id, false
	}
	d.window.add(entry{
		id: id, packet: p, numbers: d.numbers, group: d.keyID,
		damaged: d.damaged || p.PTS < d.lead,
	})
}

// failed notes that FFmpeg refused a packet.
func (d *decoder) failed(p ingest.Packet, id uint64) {
	if d.av.FrameThreads() {
		// It was this packet or one of those before it: all are suspect.
		d.window.owed++
		d.window.damage(0, d.keyID)
		d.damaged = true
		return
	}
	d.window.remove(id)
	d.damaged = d.damaged || !p.Disposable
}

// drain emits what FFmpeg holds back and makes it ready for another start.
func (d *decoder) drain(emit func(*Frame) error) (err, emitErr error) {
	d.stale = false
	if d.av == nil {
		return nil, nil
	}
	frames, err := d.av.Drain(d.frames[:0])
	if err != nil {
		err = fmt.Errorf("decode %s: %w", d.codec, err)
	}
	convErr, emitErr := d.emitAll(frames, emit)
	d.av.Reset()
	d.window.clear()
	d.await()
	return errors.Join(err, convErr), emitErr
}

// emitAll hands pictures out until emit fails, and frees the rest.
func (d *decoder) emitAll(frames []libav.Frame, emit func(*Frame) error) (err, emitErr error) {
	d.frames = frames
	for i, f := range frames {
		out, convErr := d.frame(f)
		if convErr != nil {
			err = convErr
		}
		if out == nil {
			continue
		}
		if emitErr = emit(out); emitErr != nil {
			for _, rest := range frames[i+1:] {
				rest.Free()
			}
			break
		}
	}
	clear(d.frames)
	return err, emitErr
}

// frame makes a Frame that owns f; nil for a picture whose packet was given up.
func (d *decoder) frame(f libav.Frame) (*Frame, error) {
	info := f.Info()
	e, ok := d.window.take(uint64(info.ID))
	if !ok {
		f.Free()
		return nil, nil
	}
	p := e.packet
	if info.Damaged && !p.Disposable {
		d.window.damage(e.id, e.group)
		d.damaged = d.damaged || e.group == d.keyID
	}
	color := colorOf(info, p.Codec)
	f, color, err := d.adapt(f, color, p.Rotation/90&3)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", p.Codec, err)
	}
	damaged := e.damaged || info.Damaged
	info = f.Info()
	pts, captured := e.numbers.clock(p.PTS, p.Captured)
	out := Frame{
		Stream: p.Stream, Epoch: p.Epoch, Index: e.numbers.number(picture{p.PTS, e.id}), PTS: pts,
		Captured: captured, Received: p.Received, Clock: p.Clock,
		Width: info.Width, Height: info.Height, Format: I420, Color: color, Memory: Host,
		Keyframe: p.Keyframe, Damaged: damaged,
	}
	if info.Format == libav.NV12 {
		out.Format = NV12
	}
	for i := range out.Planes {
		if info.Planes[i] != nil {
			out.Planes[i] = Plane{Data: info.Planes[i], Stride: info.Strides[i]}
		}
	}
	if !p.Received.IsZero() {
		out.Decoded = time.Now().UTC()
	}
	return d.config.Frames.New(out, f.Free), nil
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
