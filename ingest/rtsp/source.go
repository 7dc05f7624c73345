package rtsp

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"time"

	"sightline/ingest"
)

var (
	errNoKeyframe = errors.New("pictures come, but none that decoding can start with")
	errSilent     = errors.New("the camera sends nothing")
	errGoodbye    = errors.New("the camera ended the stream")
)

// Source reads one camera. A camera that ends its stream is an error with
// ingest.ReasonEnded: a live stream has no end of its own. An emit that blocks
// longer than the read timeout loses the connection.
type Source struct {
	config Config
	stream string
	log    *slog.Logger
}

// New makes the source of the stream with that name. It opens nothing; a config
// that does not pass Validate fails in Run.
func New(config Config, stream string, log *slog.Logger) *Source {
	return &Source{config: config, stream: stream, log: log}
}

// Run implements ingest.Source. Each call is one connection and one epoch: its
// start in microseconds since 1970.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	target, err := s.config.target()
	if err != nil {
		return &ingest.Error{Reason: ingest.ReasonFailed, Permanent: true, Err: err}
	}
	transport := s.config.Transport
	if transport == Auto {
		transport = TCP
	}
	err = s.connect(ctx, target, transport, emit)
	if s.config.Transport == Auto && refusesTCP(err) {
		s.log.Info("camera refuses TCP, using UDP", "stream", s.stream)
		err = s.connect(ctx, target, UDP, emit)
	}
	return err
}

// connect is one session from its first byte to its last.
func (s *Source) connect(ctx context.Context, target *url.URL, transport Transport, emit func(ingest.Packet) error) error {
	c := newSession(s, target, transport)
	if err := c.client.Start2(); err != nil {
		return failure(target, "start", ingest.ReasonFailed, err)
	}
	// Closing the client is what ends its blocking calls, so it happens beside
	// them as soon as ctx ends; both goroutines have ended before this returns.
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() {
		<-ctx.Done()
		close(c.closing)
		c.client.Close()
	})
	beside.Go(func() { c.ended <- c.client.Wait() })

	epoch := strconv.FormatInt(time.Now().UnixMicro(), 10)
	if err := c.open(epoch); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	s.log.Info("camera connected", "stream", s.stream, "url", redacted(target),
		"codec", c.track.codec, "transport", transport, "epoch", epoch)
	err := c.pump(ctx, emit)
	s.log.Info("camera disconnected", "stream", s.stream, "epoch", epoch,
		"units_dropped", c.receiver.Dropped(), "units_withheld", c.receiver.Withheld())
	return err
}

// pump hands packets to emit until the session or ctx ends.
func (c *session) pump(ctx context.Context, emit func(ingest.Packet) error) error {
	keyframe := time.NewTimer(c.config.KeyframeTimeout)
	defer keyframe.Stop()
	silence := time.NewTimer(c.config.ReadTimeout)
	defer silence.Stop()
	for {
		select {
		case p := <-c.packets:
			keyframe.Stop()
			c.heard.Store(false)
			if err := emit(p); err != nil {
				return err
			}
			silence.Reset(c.config.ReadTimeout)
		case <-silence.C:
			if c.heard.Swap(false) {
				silence.Reset(c.config.ReadTimeout)
				continue
			}
			return failure(c.target, "read", ingest.ReasonTimeout, errSilent)
		case <-keyframe.C:
			return failure(c.target, "read", ingest.ReasonNoKeyframe, errNoKeyframe)
		case <-c.goodbye:
			return failure(c.target, "read", ingest.ReasonEnded, errGoodbye)
		case err := <-c.ended:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return failure(c.target, "read", reasonOf(err), err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
