package file

import (
	"bytes"
	"errors"
	"time"

	"sightline/ingest"
	"sightline/ingest/av"
	"sightline/internal/libav"
)

const (
	// maxErrors is how many packets in a row may be unreadable before the rest of
	// the file is given up.
	maxErrors = 1000
	// maxHeld is more pictures than are ever shown between two that others refer to.
	maxHeld = 32
)

var errDamage = errors.New("nothing but damage from here on")

// reader turns the packets of one pass into ingest's.
type reader struct {
	demuxer   *libav.Demuxer
	video     libav.Stream
	stream    string
	epoch     string
	start     time.Time
	times     *times
	convert   av.Converter
	extradata []byte
	container *ingest.Container
	lost      bool // something before the next packet was

	held  []unit // waiting for the presentation time of the first
	ready []unit
	err   error // why there is no more to read
}

// unit is a packet on its way: in has its times, out the rest.
type unit struct {
	in  libav.Packet
	out ingest.Packet
}

// configure takes a codec configuration, which may change in the file.
func (r *reader) configure(extra []byte) error {
	r.extradata, r.container = av.OutOfBand(r.video, extra)
	return r.convert.Configure(ingest.Codec(r.video.Codec), extra)
}

// next returns the next packet and when it is due; io.EOF at the end.
func (r *reader) next() (ingest.Packet, time.Duration, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return ingest.Packet{}, 0, r.err
		}
		u, err := r.read()
		if err != nil {
			r.err = err
			r.resolve(libav.NoTime)
			continue
		}
		r.order(u)
	}
	u := r.ready[0]
	r.ready = r.ready[1:]
	pts, dts := r.times.next(&u.in)
	u.out.PTS, u.out.Captured = pts, r.start.Add(pts)
	return u.out, dts, nil
}

// order holds u back while presentation times are missing. Where a container
// has only decoding times, a picture that others refer to is shown when the next
// such picture is decoded; FFmpeg leaves exactly those pictures' times out.
func (r *reader) order(u unit) {
	refers := u.in.PTS == libav.NoTime || u.in.PTS > u.in.DTS
	if len(r.held) > 0 && (refers || len(r.held) == maxHeld) {
		r.resolve(u.in.DTS)
	}
	missing := u.in.PTS == libav.NoTime && u.in.DTS != libav.NoTime && u.in.Picture < 0
	if missing || len(r.held) > 0 {
		r.held = append(r.held, u)
		return
	}
	r.ready = append(r.ready, u)
}

// resolve gives the first held picture its presentation time, NoTime being the
// end of the file, and lets the held go.
func (r *reader) resolve(at int64) {
	if len(r.held) == 0 {
		return
	}
	if r.times.frames == 0 {
		r.times.started = false // the file's start is that of decoding
	}
	if at == libav.NoTime {
		at = r.held[len(r.held)-1].in.DTS + int64(r.times.interval)
	}
	r.held[0].in.PTS = at
	r.ready = append(r.ready, r.held...)
	r.held = nil
}

// read fetches the next usable packet of the stream.
func (r *reader) read() (unit, error) {
	for range maxErrors {
		var in libav.Packet
		err := r.demuxer.Read(&in)
		if errors.Is(err, libav.ErrInvalidData) {
			r.lost = true
			continue
		}
		if err != nil {
			return unit{}, err
		}
		if in.Stream != r.video.Index {
			continue
		}
		if u, ok := r.unit(in); ok {
			return u, nil
		}
	}
	return unit{}, errDamage
}

// unit copies a packet into our form; not ok when nothing of it is usable.
func (r *reader) unit(in libav.Packet) (u unit, ok bool) {
	if in.Extradata != nil && r.configure(bytes.Clone(in.Extradata)) != nil {
		r.lost = true
	}
	data, err := r.convert.Convert(in.Data)
	r.lost = r.lost || err != nil || in.Corrupt
	in.Data, in.Extradata = nil, nil
	if len(data) == 0 {
		return unit{}, false
	}
	p := ingest.Packet{
		Stream: r.stream, Epoch: r.epoch, Codec: ingest.Codec(r.video.Codec), Extradata: r.extradata, Container: r.container,
		Duration: in.Duration, Clock: ingest.Clock{Source: ingest.ClockFile}, Rotation: 90 * r.video.Quarters,
		Break: r.lost,
	}
	r.lost = false
	key, disposable := r.convert.Inspect(data, r.video.IntraOnly || in.Keyframe, in.Disposable)
	p.Keyframe = in.Keyframe || key
	p.Disposable = disposable && !p.Keyframe
	p.Data = r.convert.Complete(data, p.Keyframe)
	return unit{in, p}, true
}
