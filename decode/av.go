package decode

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"sightline/ingest"
	"sightline/internal/libav"
)

// avDecoder is what is used of FFmpeg's decoder.
type avDecoder interface {
	Decode(data []byte, id int64, frames []libav.Frame) ([]libav.Frame, error)
	Drain(frames []libav.Frame) ([]libav.Frame, error)
	Missing() int64
	Concealed() int64
	OnDevice() bool
	DeviceFailed() bool
	Surfaces() (count int, bytes int64)
	Held() int
	FrameThreads() bool
	SetSkipFilter(libav.SkipFilter)
	Name() string
	Reset()
	Close()
}

// decoder decodes with FFmpeg. Its frames refer to FFmpeg's own buffers.
type decoder struct {
	config   Config
	av       avDecoder // nil before the first packet and while none fits
	openAV   func(libav.DecoderOptions) (avDecoder, error)
	scaler   *libav.Scaler
	frames   []libav.Frame // reused between calls
	memory   *libav.Memory
	info     atomic.Pointer[Info]
	filter   FilterSkip
	keysOnly bool
	devices  []string // to be tried, best first
	device   string   // of the open decoder, "" in software
	trial    trial    // it has yet to show a picture
	retry    retry    // of the device that refused
	// home is where the open decoder's pictures stay, nil in host memory.
	home   atomic.Pointer[surfaces]
	moving bool // to another device, at the next keyframe
	// dirty says that FFmpeg met an error. It may have left something behind that
	// spoils what comes next, even an IDR picture (coefficients of a macroblock, in
	// H.264), so that at the next beginning another one takes its place.
	dirty    bool
	draining bool // no packet is decoded before what comes out is looked at
	taken    int  // packets it was given

	codec     ingest.Codec
	extradata []byte
	container ingest.Container
	epoch     string
	numbers   *numbering // of epoch; nil before the first packet
	stale     bool       // FFmpeg still holds pictures of the epoch before
	window    window
	lastID    uint64
	trust     trust
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
	s, err := d.begin(p)
	if err == nil {
		err = d.move(p, s, emit)
	}
	if err != nil {
		return err
	}
	if err := d.renew(p.Codec, s, emit); err != nil {
		return err
	}
	if err := d.open(p); err != nil {
		return err
	}
	doubtful := d.trust.enter(p, s, id)
	d.window.add(entry{id: id, packet: p, numbers: d.numbers, group: d.trust.group, damaged: doubtful})
	frames, err := d.decode(p, id)
	if err != nil && d.late(p, s) {
		if frames, err = d.again(p, s, id, frames, emit); err != nil && d.av == nil {
			return err
		}
	}
	if err != nil {
		err = d.failed(p, id, err)
	} else if len(frames) == 0 && hidden(p) {
		d.window.remove(id)
	}
	convErr, emitErr := d.emitAll(frames, emit)
	if emitErr != nil {
		return emitErr
	}
	if d.keysOnly && d.window.pending() > 0 {
		drainErr, emitErr := d.drain(emit)
		if emitErr != nil {
			return emitErr
		}
		err = errors.Join(err, drainErr)
	}
	if lost := d.lost(p); lost != nil {
		return lost
	}
	return errors.Join(err, convErr)
}

// begin looks how decoding can begin at p; an error where it cannot, nor goes on.
func (d *decoder) begin(p ingest.Packet) (s start, err error) {
	lost := d.lost(p)
	if d.changed(p) {
		d.shut()
	}
	if p.Break {
		d.trust.lose()
	}
	if p.Keyframe || d.trust.damaged {
		s = startOf(p)
	}
	switch {
	case d.trust.group != 0 || s.kind != nowhere:
		return s, nil
	case lost != nil:
		return s, lost
	}
	return s, fmt.Errorf("decode %s: %w", p.Codec, ErrNoKeyframe)
}

// renew gives what begins at s a decoder without memories.
func (d *decoder) renew(codec ingest.Codec, s start, emit func(*Frame) error) error {
	renew := d.dirty && s.kind != nowhere && (codec == ingest.H264 || d.trust.damaged || s.kind == closed)
	if renew || d.trust.renews(codec, s) {
		if _, err := d.drain(emit); err != nil {
			return err
		}
	}
	if renew {
		d.shut()
	}
	return nil
}

// late tells whether an error at a packet may be about what came before it: some
// decoders tell late, or stumble over what is left.
func (d *decoder) late(p ingest.Packet, s start) bool {
	return (s.kind == closed || s.kind == open) && d.taken > 1 && p.Codec != ingest.MJPEG && !d.av.FrameThreads()
}

// again decodes a packet that decoding can begin at with a new decoder, after what
// the old one has to show.
func (d *decoder) again(p ingest.Packet, s start, id uint64, frames []libav.Frame, emit func(*Frame) error) ([]libav.Frame, error) {
	d.window.remove(id)
	_, emitErr := d.emitAll(frames, emit)
	if emitErr == nil {
		_, emitErr = d.drain(emit)
	}
	d.shut()
	if emitErr != nil {
		return nil, emitErr
	}
	if err := d.open(p); err != nil {
		return nil, err
	}
	d.window.add(entry{id: id, packet: p, numbers: d.numbers, group: id, damaged: d.trust.enter(p, s, id)})
	return d.decode(p, id)
}

// decode gives a packet to FFmpeg and notes what it finds out about pictures.
func (d *decoder) decode(p ingest.Packet, id uint64) ([]libav.Frame, error) {
	d.taken++
	if d.trial.on {
		d.trial.add(p, id)
	}
	frames, err := d.av.Decode(p.Data, int64(id), d.frames[:0])
	err = d.fault(err)
	switch {
	case d.trial.on && (err != nil || len(frames) > 0):
		frames, err = d.judge(frames, err, false)
	case len(frames) > 0:
		d.watch(p)
	}
	d.note(p, id)
	return frames, err
}

// note takes down what FFmpeg found out about pictures with a packet.
func (d *decoder) note(p ingest.Packet, id uint64) {
	missing := d.av.Missing()
	if missing != libav.None {
		d.missing(uint64(missing))
	}
	if p.Codec == ingest.H264 {
		d.trust.begun(id, missing == int64(id) && !d.av.FrameThreads())
	}
	if concealed := d.av.Concealed(); concealed != libav.None {
		d.dirty = true
		d.spoil(uint64(concealed), true)
	}
}

// Skip implements Decoder.
func (d *decoder) Skip(p ingest.Packet) {
	d.enter(p)
	if p.Break || !p.Disposable {
		d.trust.lose()
	}
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
		d.trust.forget()
	}
	d.lastID++
	if !hidden(p) {
		d.numbers.enter(picture{p.PTS, d.lastID})
	}
	return d.lastID
}

// shut closes FFmpeg's decoder; pictures it holds are given up.
func (d *decoder) shut() {
	if d.av != nil {
		d.av.Close()
		d.av = nil
		d.home.Swap(nil).release()
	}
	d.window.clear()
	d.trust.await()
}

// failed notes that FFmpeg refused a packet, and says so in words.
func (d *decoder) failed(p ingest.Packet, id uint64, err error) error {
	if errors.Is(err, libav.ErrNoMemory) {
		err = fmt.Errorf("no room for another picture beside %d MiB held: %w", d.memory.Bytes()>>20, err)
	}
	d.dirty = true
	err = fmt.Errorf("decode %s: %w", p.Codec, err)
	if d.av.FrameThreads() {
		// It was this packet or one of those before it: all are suspect.
		d.window.owed++
		d.window.damage(0, d.trust.group)
		d.trust.lose()
		return err
	}
	d.window.remove(id)
	if !p.Disposable {
		d.trust.lose()
	}
	return err
}

// drain emits what FFmpeg holds back and makes it ready for another start.
func (d *decoder) drain(emit func(*Frame) error) (err, emitErr error) {
	d.stale = false
	if d.av == nil {
		return nil, nil
	}
	frames, err := d.av.Drain(d.frames[:0])
	err = d.fault(err)
	if len(d.trial.packets) > 0 && (err != nil || len(frames) > 0) {
		frames, err = d.judge(frames, err, true)
	}
	d.trial.packets = nil
	d.draining = true
	defer func() { d.draining = false }()
	if missing := d.av.Missing(); missing != libav.None {
		d.missing(uint64(missing))
	}
	if err != nil {
		err = fmt.Errorf("decode %s: %w", d.codec, err)
	}
	convErr, emitErr := d.emitAll(frames, emit)
	d.av.Reset()
	d.window.clear()
	d.trust.await()
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
			continue // not lost: the caller counts what goes in and does not come out
		}
		if emitErr = emit(out); emitErr != nil {
			for _, rest := range frames[i+1:] {
				d.free(rest)
			}
			break
		}
	}
	clear(d.frames)
	return err, emitErr
}
