package file

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"sightline/ingest"
)

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
		demuxer: v.demuxer, video: v.stream, stream: s.stream, epoch: fmt.Sprintf("%s-%d", v.digest, s.passes),
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
		p, dts, err := r.next()
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
	return ingest.Pause(ctx, left)
}

// at is when dts is due.
func (p *pacer) at(dts time.Duration) time.Time { return p.due.Add(dts - p.first) }
