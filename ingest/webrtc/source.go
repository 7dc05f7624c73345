package webrtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sightline/ingest"
)

var (
	errBusy       = errors.New("somebody publishes this stream, and it has no token by which to tell who may take over")
	errCrowded    = errors.New("too many want to publish this stream at once, try again")
	errNotRunning = errors.New("the stream does not run at the moment, try again")
	errOwn        = errors.New("no session can be set up")
	errLeft       = errors.New("the publisher left")
	errReplaced   = errors.New("another publisher took over")
	errNeverCame  = errors.New("the publisher sent nothing")
)

const (
	// mostWaiting is how many offers may wait for their turn.
	mostWaiting = 8
	// nextRun is how long an offer waits for a Run: as long as a supervisor takes
	// to begin the next one.
	nextRun = 2 * time.Second
	// quietTime is how long a publisher must have sent nothing before one without
	// a token may take its place. Who reloads a page comes back about that fast.
	quietTime = 2 * time.Second
)

// Source is one stream that is published to us. Run waits for a publisher, for
// as long as it takes, and reads it until it leaves; ServeHTTP is where the
// publisher turns to.
type Source struct {
	config Config
	stream string
	log    *slog.Logger

	offers  chan asked    // from a handler to the Run in progress
	turn    chan struct{} // room for one: the handler whose offer is next
	waiting chan struct{} // room for those who want a turn

	runs
}

// asked is an offer on its way to Run.
type asked struct {
	offer  offer
	answer chan<- answered // has room for one
}

type answered struct {
	id, sdp string
	err     error
}

// New makes the source of the stream with that name. It opens nothing.
func New(config Config, stream string, log *slog.Logger) *Source {
	if config.Ports == nil {
		config.Ports = loopback()
	}
	return &Source{
		config: config, stream: stream, log: log,
		offers: make(chan asked), turn: make(chan struct{}, 1), waiting: make(chan struct{}, mostWaiting),
	}
}

// Run implements ingest.Source. A publisher that leaves, falls silent or is
// replaced ends it with an error (ingest.ReasonEnded, ReasonTimeout); an offer
// that cannot be answered and a publisher that never gets through do not. Each
// call is one epoch: the start of the session in microseconds since 1970. A
// publisher that begins anew meets the next Run.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.config.Validate(); err != nil {
		return &ingest.Error{Reason: ingest.ReasonFailed, Permanent: true, Err: err}
	}
	if !s.begin() {
		return &ingest.Error{Reason: ingest.ReasonFailed, Err: errors.New("the stream already runs")}
	}
	defer s.finish()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case o := <-s.offers:
			if err := s.serve(ctx, o, emit); !errors.Is(err, errNeverCame) {
				return err
			}
		}
	}
}

// serve answers an offer and reads the session that follows. It returns
// errNeverCame when there was none.
func (s *Source) serve(ctx context.Context, o asked, emit func(ingest.Packet) error) error {
	epoch := ingest.LiveEpoch()
	session, answer, err := s.accept(ctx, epoch, o.offer)
	switch {
	case err != nil && ctx.Err() != nil:
		o.answer <- answered{err: errNotRunning}
		return ctx.Err()
	case err != nil:
		o.answer <- answered{err: err}
		s.log.Warn("offer refused", "stream", s.stream, "error", err)
		return errNeverCame
	}
	s.set(session)
	defer s.set(nil)
	o.answer <- answered{id: session.id, sdp: answer}
	s.log.Info("publisher accepted", "stream", s.stream, "epoch", epoch)
	err = session.run(ctx, emit)
	s.log.Info("publisher gone", "stream", s.stream, "epoch", epoch, "cause", err,
		"units_dropped", session.dropped(), "units_withheld", session.withheld())
	return err
}

// accept begins a session. All our candidates are in the answer.
func (s *Source) accept(ctx context.Context, epoch string, o offer) (*session, string, error) {
	peer, err := newPeer(s.config.Ports.Settings(), s.config.Timeout, o.video, o.sound)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", errOwn, err)
	}
	c := newSession(peer, setup{
		stream: s.stream, epoch: epoch, from: "publisher", ufrags: o.ufrags,
		timeout: s.config.Timeout, keyframeTimeout: s.config.KeyframeTimeout,
	})
	text, err := answer(ctx, peer, o.sdp, s.config.Timeout)
	if err != nil {
		peer.GracefulClose()
		return nil, "", err
	}
	return c, s.config.Ports.Announce(text), nil
}

// publish gives an offer to the Run in progress and returns its answer. Whoever
// publishes already has to leave first.
func (s *Source) publish(ctx context.Context, o offer) (id, sdp string, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", "", ctx.Err()
	}
	if c := s.session(); c != nil {
		// A token says who may: those who have it. Without one a stranger could
		// end a stream, so that only a publisher who is gone already is replaced.
		if s.config.Token == "" && !c.quiet(ctx, quietTime) {
			return "", "", errBusy
		}
		c.leave(errReplaced)
	}
	reply := make(chan answered, 1)
	wait := time.NewTimer(nextRun)
	defer wait.Stop()
	select {
	case s.offers <- asked{o, reply}:
		a := <-reply // soon: gathering addresses is bounded
		return a.id, a.sdp, a.err
	case <-wait.C:
		return "", "", errNotRunning
	case <-ctx.Done():
		return "", "", ctx.Err()
	}
}

// find returns the session with that id, nil when it is not there any more.
func (s *Source) find(id string) *session {
	if c := s.session(); c != nil && c.id == id {
		return c
	}
	return nil
}
