package pattern

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"sightline/ingest"
)

// raw is the codec of pictures that are not coded, as FFmpeg names it.
const raw ingest.Codec = "rawvideo"

// maxLate is how far behind its times a run may fall before it leaves pictures out
// instead of hurrying.
const maxLate = time.Second

// Source draws pictures without end. It implements ingest.Source.
type Source struct {
	config Config
	stream string
	log    *slog.Logger
}

// New returns a source that draws when it runs.
func New(c Config, stream string, log *slog.Logger) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	return &Source{config: c, stream: stream, log: log}, nil
}

// Run implements ingest.Source: raw pictures in I420, each a keyframe. It never
// ends by itself. Each call is one epoch: its start in microseconds since 1970.
// Picture i is the same in every run, but for its time of capture.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	start := time.Now()
	epoch := strconv.FormatInt(start.UnixMicro(), 10)
	c := newCanvas(s.config.Width, s.config.Height)
	form := &ingest.Container{Width: s.config.Width, Height: s.config.Height, PixelFormat: "yuv420p"}
	s.log.Debug("pattern begins", "stream", s.stream, "width", s.config.Width, "height", s.config.Height, "fps", s.config.FPS, "epoch", epoch)
	for i := int64(0); ; i++ {
		at := s.at(i)
		if late := time.Since(start.Add(at)); late > maxLate {
			i += int64(late.Seconds() * s.config.FPS) // a camera does not wait either
			at = s.at(i)
		}
		if err := ingest.Pause(ctx, time.Until(start.Add(at))); err != nil {
			return err
		}
		err := emit(ingest.Packet{
			Stream: s.stream, Epoch: epoch, Codec: raw, Container: form, Data: c.picture(i, at), PTS: at, Duration: s.at(i+1) - at,
			Captured: start.Add(at).UTC(), Received: time.Now().UTC(), Clock: ingest.Clock{Source: ingest.ClockArrival}, Keyframe: true,
		})
		if err != nil {
			return err
		}
	}
}

// at is the time of picture i.
func (s *Source) at(i int64) time.Duration {
	return time.Duration(float64(i) / s.config.FPS * float64(time.Second))
}
