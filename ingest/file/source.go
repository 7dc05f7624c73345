package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"sightline/ingest"
	"sightline/internal/libav"
)

// maxErrors is how many packets in a row may be unreadable before the rest of
// the file is given up.
const maxErrors = 1000

// maxLate is how far behind its times a pass at realtime may fall before it goes
// on from where it is instead of hurrying.
const maxLate = time.Second

// Source reads one file. It implements ingest.Source.
type Source struct {
	config Config
	stream string
	log    *slog.Logger

	passes int           // begun so far: one epoch each
	played time.Duration // of all passes before this one
	due    time.Time     // when the next pass at realtime begins
}

// New returns a source that opens the file when it runs.
func New(c Config, stream string, log *slog.Logger) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("file source: %w", err)
	}
	return &Source{config: c, stream: stream, log: log}, nil
}

// Run implements ingest.Source. A file that is cut short is played as far as it
// goes, and then fails. Damage inside a file is passed over: the packet behind it
// has Break set. All errors are permanent.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	for {
		if err := s.pass(ctx, emit); err != nil {
			return err
		}
		if !s.config.Loop {
			return nil
		}
	}
}

// pass plays the file once.
func (s *Source) pass(ctx context.Context, emit func(ingest.Packet) error) error {
	v, err := open(ctx, s.config.Path)
	if err != nil {
		return err
	}
	defer v.Close()
	s.passes++
	r := &reader{
		video: v, stream: s.stream, epoch: fmt.Sprintf("%s-%d", v.digest, s.passes),
		start: v.start.Add(s.played), times: newTimes(v.stream),
	}
	if !s.config.Start.IsZero() {
		r.start = s.config.Start.UTC().Add(s.played)
	}
	if err := r.configure(v.stream.Extradata); err != nil {
		return fail(ingest.ReasonDamaged, "%s: %w", s.config.Path, err)
	}
	s.log.Debug("file opened", "stream", s.stream, "path", s.config.Path, "epoch", r.epoch, "codec", v.stream.Codec,
		"width", v.stream.Width, "height", v.stream.Height)
	defer func() { s.played += r.times.end }()
	pacer := &pacer{due: s.due}
	for {
		p, dts, err := r.next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return s.failed(ctx, err)
		}
		if s.config.Pace == Realtime {
			if err := pacer.wait(ctx, dts); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := emit(p); err != nil {
			return err
		}
	}
	s.due = pacer.at(r.times.end)
	if v.missing > 0 {
		return fail(ingest.ReasonDamaged, "%s: cut short: %d bytes are missing at its end", s.config.Path, v.missing)
	}
	if r.times.frames == 0 {
		return fail(ingest.ReasonDamaged, "%s: no picture in it", s.config.Path)
	}
	if s.config.Loop && s.config.Pace == Realtime {
		return pacer.wait(ctx, r.times.end)
	}
	return nil
}

func (s *Source) failed(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return fail(ingest.ReasonDamaged, "%s: read: %w", s.config.Path, err)
}

// reader turns the packets of one pass into ingest's.
type reader struct {
	video     *video
	stream    string
	epoch     string
	start     time.Time
	times     *times
	convert   converter
	extradata []byte
	lost      bool // something before the next packet was
}

// configure takes a codec configuration, which may change in the file.
func (r *reader) configure(extra []byte) error {
	codec := ingest.Codec(r.video.stream.Codec)
	switch codec {
	case ingest.H264, ingest.H265, ingest.VP8, ingest.VP9, ingest.MJPEG:
		r.extradata = nil
	default:
		r.extradata = extra
	}
	return r.convert.configure(codec, extra)
}

// next returns the next packet and when it is due.
func (r *reader) next(ctx context.Context) (ingest.Packet, time.Duration, error) {
	for range maxErrors {
		var in libav.Packet
		err := r.video.demuxer.Read(&in)
		if errors.Is(err, libav.ErrInvalidData) {
			r.lost = true
			continue
		}
		if err != nil {
			return ingest.Packet{}, 0, err
		}
		if in.Stream != r.video.stream.Index {
			continue
		}
		if p, dts, ok := r.packet(&in); ok {
			return p, dts, nil
		}
	}
	return ingest.Packet{}, 0, libav.ErrInvalidData
}

// packet makes an ingest.Packet; not ok when nothing of it is usable.
func (r *reader) packet(in *libav.Packet) (p ingest.Packet, dts time.Duration, ok bool) {
	if in.Extradata != nil && r.configure(append([]byte(nil), in.Extradata...)) != nil {
		r.lost = true
	}
	pts, dts := r.times.next(in)
	data, err := r.convert.convert(in.Data)
	r.lost = r.lost || err != nil || in.Corrupt
	if len(data) == 0 {
		return ingest.Packet{}, 0, false
	}
	p = ingest.Packet{
		Stream: r.stream, Epoch: r.epoch, Codec: ingest.Codec(r.video.stream.Codec), Extradata: r.extradata,
		PTS: pts, Duration: in.Duration, Captured: r.start.Add(pts), Clock: ingest.Clock{Source: ingest.ClockFile},
		Keyframe: in.Keyframe, Break: r.lost, Disposable: in.Disposable,
	}
	r.lost = false
	key := false
	switch {
	case p.Codec == ingest.H264:
		key, p.Disposable = ingest.InspectH264(data)
	case p.Codec == ingest.H265:
		key, p.Disposable = ingest.InspectH265(data)
	case r.video.stream.IntraOnly:
		key, p.Disposable = true, true
	}
	p.Keyframe = p.Keyframe || key
	if r.convert.nal {
		data = r.convert.sets.Complete(data, p.Keyframe)
	}
	p.Data = data
	return p, dts, true
}

// pacer holds packets back until they are due.
type pacer struct {
	due     time.Time // of decoding time first; zero: at once
	first   time.Duration
	started bool
}

// wait blocks until dts is due, or ctx ends.
func (p *pacer) wait(ctx context.Context, dts time.Duration) error {
	now := time.Now()
	if !p.started {
		p.started, p.first = true, dts
		if p.due.IsZero() {
			p.due = now
		}
	}
	left := p.at(dts).Sub(now)
	if left < -maxLate {
		p.due = p.due.Add(-left)
		return nil
	}
	if left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// at is when dts is due.
func (p *pacer) at(dts time.Duration) time.Time { return p.due.Add(dts - p.first) }
