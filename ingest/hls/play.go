package hls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"sightline/ingest"
	"sightline/ingest/av"
	"sightline/internal/libav"
)

const (
	// catchUp is how much faster than made a live stream is played while a newer
	// segment waits.
	catchUp = 1.25
	// maxLate is how far playing may fall behind before it goes on from where it is
	// instead of hurrying.
	maxLate = time.Second
	// maxPause bounds the wait for one picture, whatever its time says.
	maxPause = 10 * time.Second
	// maxErrors is how many packets in a row may be unreadable before the rest of a
	// segment is given up.
	maxErrors = 1000
	// maxEmpty is how many segments in a row may be without a picture.
	maxEmpty = 3
)

var (
	errNoVideo = errors.New("there is no video in the segments")
	errChanged = errors.New("the stream's codec changed")
)

// player turns segments into packets.
type player struct {
	stream, where, epoch string
	log                  *slog.Logger
	keyframeTimeout      time.Duration
	emit                 func(ingest.Packet) error
	waiting              func() bool // the next segment is there

	live   *av.Live
	codec  ingest.Codec
	header part
	began  time.Time
	empty  int // segments in a row
	lost   bool

	due    time.Time     // when the last unit was to be emitted
	shift  time.Duration // added to the segment's times, so that they go on over discontinuities
	last   time.Duration // decoding time of the last unit, shifted
	frame  time.Duration // how long it lasts
	played bool          // last and frame are known
	dates  dates
}

// play emits the pictures of one segment when they are due.
func (p *player) play(ctx context.Context, s piece) error {
	format := "mpegts"
	if s.header.uri != "" {
		format = "mov"
	}
	d, err := libav.Open(ctx, libav.Input{
		URL: "segment", Data: s.data, Format: format,
		Options: map[string]string{"ignore_editlist": "1"},
	})
	if cause := ctx.Err(); err != nil && cause != nil {
		return cause
	}
	p.empty++
	p.lost = p.lost || s.lost
	if err != nil {
		p.log.Debug("hls segment cannot be read", "stream", p.stream, "error", err)
	} else {
		err := p.units(ctx, d, s)
		d.Close()
		if err != nil {
			return err
		}
	}
	p.lost = p.lost || p.empty > 0 // as good as missing
	if p.empty == maxEmpty {
		return av.Fail(p.where, ingest.ReasonUnsupportedCodec, errNoVideo)
	}
	return nil
}

// units reads a segment's pictures. Damage ends a segment early, no more.
func (p *player) units(ctx context.Context, d *libav.Demuxer, s piece) error {
	chosen, bad, count := -1, 0, 0
	var first time.Duration
	for bad < maxErrors {
		var in libav.Packet
		err := d.Read(&in)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == io.EOF:
			return nil
		case err != nil:
			bad++
			p.lost = true
			continue
		}
		bad = 0
		if chosen < 0 {
			if chosen, err = p.choose(d, in.Stream, s); err != nil {
				return err
			}
		}
		if in.Stream != chosen || in.DTS == libav.NoTime && in.PTS == libav.NoTime {
			continue
		}
		u := unit(in)
		if count == 0 {
			first = u.DTS
			p.align(s, first)
			p.dates.segment(s, first+p.shift)
		}
		count++
		p.empty = 0
		if err := p.push(ctx, u, s, u.DTS-first); err != nil {
			return err
		}
	}
	return nil
}

func unit(in libav.Packet) av.Unit {
	pts, dts := in.PTS, in.DTS
	if pts == libav.NoTime {
		pts = dts
	}
	if dts == libav.NoTime {
		dts = pts
	}
	return av.Unit{
		Data: in.Data, PTS: time.Duration(pts), DTS: time.Duration(dts), Duration: in.Duration,
		Keyframe: in.Keyframe, Disposable: in.Disposable, Lost: in.Corrupt,
	}
}

// choose takes the first stream of video that a packet comes of, -1 for another.
func (p *player) choose(d *libav.Demuxer, stream int, s piece) (int, error) {
	for _, v := range d.Video() {
		if v.Index != stream || v.Picture {
			continue
		}
		format := av.FormatOf(v)
		switch {
		case v.Codec == "none":
			return -1, av.Fail(p.where, ingest.ReasonUnsupportedCodec, fmt.Errorf("video of a kind that FFmpeg does not know (%#x)", v.Tag))
		case p.live == nil:
			live, err := av.NewLive(p.stream, p.epoch, format)
			if err != nil {
				return -1, av.Fail(p.where, ingest.ReasonDamaged, err)
			}
			p.live, p.codec, p.header, p.began = live, format.Codec, s.header, time.Now()
			p.log.Info("stream connected", "stream", p.stream, "url", p.where, "codec", v.Codec, "epoch", p.epoch)
		case format.Codec != p.codec:
			return -1, av.Fail(p.where, ingest.ReasonEnded, errChanged)
		case s.header != p.header && len(format.Config) > 0:
			if err := p.live.Configure(format.Config); err != nil {
				return -1, av.Fail(p.where, ingest.ReasonDamaged, err)
			}
			p.header = s.header
		}
		d.Select(stream)
		return stream, nil
	}
	return -1, nil
}

// align makes times go on where a segment has nothing to do with the one before.
func (p *player) align(s piece, first time.Duration) {
	if s.discontinuity && p.played {
		p.shift = p.last + p.frame - first
	}
}

// push emits a unit that lies into the segment when it is due.
func (p *player) push(ctx context.Context, u av.Unit, s piece, into time.Duration) error {
	u.PTS += p.shift
	u.DTS += p.shift
	if err := p.pace(ctx, u.DTS, s.live); err != nil {
		return err
	}
	u.Arrival = time.Now() // for those behind us it comes when it is handed on
	// The segment was whole when its last picture was: the others were taken before.
	u.Due = s.arrival.Add(into - s.duration)
	if !s.live { // a recording arrives as it is played
		u.Due = u.Arrival
	}
	u.Captured, u.Clock = p.dates.at(u.PTS)
	u.Lost = u.Lost || p.lost
	p.lost = false
	if !p.live.Running() && time.Since(p.began) > p.keyframeTimeout {
		return av.Fail(p.where, ingest.ReasonNoKeyframe, ingest.ErrNoKeyframe)
	}
	if err := p.live.Push(u, p.emit); err != nil {
		return err
	}
	if !p.live.Running() {
		ingest.Withheld(ctx)
	}
	return nil
}

// pace waits until the unit with that decoding time is due.
func (p *player) pace(ctx context.Context, dts time.Duration, live bool) error {
	now := time.Now()
	step := min(max(dts-p.last, 0), maxPause)
	if !p.played {
		p.due, step = now, 0
	}
	if step > 0 {
		p.frame = step
	}
	p.last, p.played = dts, true
	if live && p.waiting() {
		step = time.Duration(float64(step) / catchUp)
	}
	p.due = p.due.Add(step)
	if now.Sub(p.due) > maxLate {
		p.due = now
	}
	return ingest.Pause(ctx, p.due.Sub(now))
}
