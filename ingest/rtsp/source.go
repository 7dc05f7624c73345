package rtsp

import (
	"context"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"sightline/ingest"
)

// Source reads one camera. A camera that ends its stream is an error with
// ingest.ReasonEnded: a live stream has no end of its own. While emit blocks the
// camera waits too, and may drop the connection.
type Source struct {
	config Config
	stream string
	log    *slog.Logger

	mu      sync.Mutex
	current *session      // that plays
	lost    ingest.Losses // in sessions before it
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
	for i, transport := range s.config.Transport.tries() {
		if i > 0 {
			s.log.Info("camera refuses the transport, trying another", "stream", s.stream, "transport", transport)
		}
		err = s.connect(ctx, target, transport, emit)
		if !refusesTransport(err) {
			break
		}
	}
	return err
}

// RequestKeyframe implements ingest.KeyframeRequester. It does nothing where the
// camera's description does not say that it takes such requests.
func (s *Source) RequestKeyframe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.keyframes.want()
		s.current.requestKeyframe()
	}
}

// Losses implements ingest.LossReporter.
func (s *Source) Losses() ingest.Losses {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return s.lost
	}
	return s.lost.Plus(s.current.losses())
}

// set takes the session that plays now, nil for none.
func (s *Source) set(current *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.lost = s.lost.Plus(s.current.losses())
	}
	s.current = current
}

// connect is one session from its first byte to its last.
func (s *Source) connect(ctx context.Context, target *url.URL, transport Transport, emit func(ingest.Packet) error) error {
	c, err := newSession(s, target, transport)
	if err != nil {
		return err
	}
	if err := c.client.Start2(); err != nil {
		return failure(target, "start", ingest.ReasonFailed, err)
	}
	// Closing the client is what ends its blocking calls, so it happens beside
	// them as soon as ctx ends; all goroutines have ended before this returns.
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() {
		<-ctx.Done()
		c.leave()
	})
	beside.Go(func() { c.ended <- c.client.Wait() })
	// A camera may send pictures before it has answered that it will.
	beside.Go(func() { c.opened <- c.open() })
	return c.pump(ctx, emit)
}

// pump hands packets to emit until the session or ctx ends.
func (c *session) pump(ctx context.Context, emit func(ingest.Packet) error) error {
	patience := c.source.config.Timeout
	silence := time.NewTimer(patience)
	defer silence.Stop()
	var keyframe <-chan time.Time
	opened, seen, latest := c.opened, false, time.Now()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case err := <-opened:
			if err != nil {
				return c.cause(ctx, err)
			}
			opened = nil
			c.connected()
			defer c.disconnected()
			latest = time.Now()
			silence.Reset(patience)
			if !seen {
				keyframe = time.After(c.source.config.KeyframeTimeout)
			}
		case p := <-c.packets:
			seen, keyframe = true, nil
			c.heard.Store(false)
			if err := emit(p); err != nil {
				return err
			}
			latest = time.Now()
			if opened == nil {
				silence.Reset(patience)
			}
		case <-silence.C:
			if opened != nil {
				return failure(c.target, *c.stage.Load(), ingest.ReasonTimeout, errNoAnswer)
			} else if err := c.silent(seen, latest); err != nil {
				return err
			}
			silence.Reset(patience)
		case <-look.C:
			if opened == nil && !seen && c.receiver.Withheld() > 0 {
				ingest.Withheld(ctx)
			}
		case <-keyframe:
			if c.receiver.Withheld() > 0 {
				return failure(c.target, "read", ingest.ReasonNoKeyframe, ingest.ErrNoKeyframe)
			}
		case cause := <-c.over:
			return failure(c.target, "read", ingest.ReasonEnded, cause)
		case err := <-c.ended:
			return c.cause(ctx, c.whyEnded(opened, err))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// silent is why the session ends when no picture has come for the patience of the
// configuration, nil when it goes on: packets came, and the latest picture, or the
// start, is not that long ago.
func (c *session) silent(seen bool, latest time.Time) error {
	config := c.source.config
	switch {
	case !c.heard.Swap(false):
		return failure(c.target, "read", ingest.ReasonTimeout, c.faults.silence())
	case time.Since(latest) < max(config.Timeout, config.KeyframeTimeout):
		return nil
	case !seen && c.receiver.Withheld() > 0:
		return failure(c.target, "read", ingest.ReasonNoKeyframe, ingest.ErrNoKeyframe)
	}
	return failure(c.target, "read", ingest.ReasonDamaged, errNoPicture)
}

// whyEnded is why the client stopped by itself. If that was while opening, opening
// has failed, too, and knows more.
func (c *session) whyEnded(opened <-chan error, err error) error {
	if opened != nil {
		if err := <-opened; err != nil {
			return err
		}
	}
	return failure(c.target, "read", reasonOf(err), err)
}

// cause is why a session failed: its context, if that ended.
func (c *session) cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *session) connected() {
	c.source.set(c)
	c.source.log.Info("camera connected", "stream", c.source.stream, "url", ingest.Redacted(c.target),
		"codec", c.track.codec, "transport", c.transport, "epoch", c.epoch)
}

func (c *session) disconnected() {
	c.source.set(nil)
	c.source.log.Info("camera disconnected", "stream", c.source.stream, "epoch", c.epoch,
		"units_dropped", c.receiver.Dropped(), "units_withheld", c.receiver.Withheld())
}
