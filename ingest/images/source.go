package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"sightline/ingest"
)

const (
	// maxLate is how far behind its times a pass at realtime may fall before it
	// goes on from where it is instead of hurrying.
	maxLate = time.Second
	// maxNamed is how many unreadable pictures are named one by one.
	maxNamed = 20
)

// Source plays pictures. It implements ingest.Source.
type Source struct {
	config Config
	stream string
	log    *slog.Logger

	passes int           // begun so far: one epoch each
	played time.Duration // of all passes before this one
}

// New returns a source that looks for the pictures when it runs.
func New(c Config, stream string, log *slog.Logger) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("image source: %w", err)
	}
	return &Source{config: c, stream: stream, log: log}, nil
}

// Run implements ingest.Source. The n-th name, from 0, is the picture at n times
// Every. A picture that cannot be read, or is not all there, is named in the log
// and passed over: its place stays empty and the packet behind it has Break set.
// It is an error when nothing is left. All errors are permanent.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	due := time.Now()
	for {
		length, err := s.pass(ctx, due, emit)
		if err != nil || !s.config.Loop {
			return err
		}
		due = due.Add(length)
	}
}

// pass plays everything once, and says how long that is.
func (s *Source) pass(ctx context.Context, due time.Time, emit func(ingest.Packet) error) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	a, err := find(s.config.Path)
	if err != nil {
		return 0, err
	}
	s.passes++
	p := pass{Source: s, epoch: fmt.Sprintf("%s-%d", a.digest, s.passes), start: a.start.Add(s.played), due: due}
	if !s.config.Start.IsZero() {
		p.start = s.config.Start.UTC().Add(s.played)
	}
	length := time.Duration(len(a.paths)) * s.config.Every
	s.played += length
	s.log.Debug("pictures found", "stream", s.stream, "path", s.config.Path, "epoch", p.epoch, "count", len(a.paths))
	for i, path := range a.paths {
		if err := p.play(ctx, i, path, emit); err != nil {
			return 0, err
		}
	}
	if p.skipped > 0 {
		s.log.Warn("pictures were passed over", "stream", s.stream, "skipped", p.skipped, "count", len(a.paths))
	}
	if p.skipped == len(a.paths) {
		return 0, fail(ingest.ReasonDamaged, "%s: none of %d files is a whole picture: %w", s.config.Path, p.skipped, p.last)
	}
	if s.config.Loop && s.config.Pace == Realtime {
		err = p.wait(ctx, length)
	}
	return length, err
}

// pass is one time through all pictures.
type pass struct {
	*Source
	epoch   string
	start   time.Time
	due     time.Time // of the first picture, at realtime
	lost    bool
	played  int
	skipped int
	last    error // why one was skipped
}

// play emits picture i when it is due.
func (p *pass) play(ctx context.Context, i int, path string, emit func(ingest.Packet) error) error {
	at := time.Duration(i) * p.config.Every
	if p.config.Pace == Realtime {
		if err := p.wait(ctx, at); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	data, codec, err := load(path)
	if err != nil {
		p.lost = p.played > 0
		p.last = err
		if p.skipped++; p.skipped <= maxNamed {
			p.log.Warn("picture is passed over", "stream", p.stream, "error", err)
		}
		return nil
	}
	packet := ingest.Packet{
		Stream: p.stream, Epoch: p.epoch, Codec: codec, Data: data, PTS: at, Duration: p.config.Every,
		Captured: p.start.Add(at), Clock: ingest.Clock{Source: ingest.ClockFile}, Keyframe: true, Break: p.lost,
	}
	if codec == ingest.MJPEG {
		packet.Rotation = rotation(data)
	}
	p.lost = false
	p.played++
	return emit(packet)
}

// wait blocks until the time at is due, or ctx ends.
func (p *pass) wait(ctx context.Context, at time.Duration) error {
	left := time.Until(p.due.Add(at))
	if left < -maxLate {
		p.due = p.due.Add(-left)
	}
	if left <= 0 {
		return nil
	}
	return ingest.Pause(ctx, left)
}

// load reads a picture with room for padding behind it.
func load(path string) ([]byte, ingest.Codec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, "", err
	case !info.Mode().IsRegular():
		return nil, "", fmt.Errorf("%s: not a regular file", path)
	case info.Size() > ingest.MaxStill:
		return nil, "", fmt.Errorf("%s: larger than %d MiB", path, ingest.MaxStill>>20)
	}
	data := make([]byte, info.Size(), info.Size()+ingest.PacketPadding)
	if _, err := io.ReadFull(f, data); err != nil && !errors.Is(err, io.EOF) {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	codec, err := ingest.InspectStill(data)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return data, codec, nil
}
