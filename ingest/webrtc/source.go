package webrtc

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"sightline/ingest"
)

var (
	errBusy       = errors.New("somebody already publishes this stream")
	errNotRunning = errors.New("the stream does not run at the moment, try again")
	errOwn        = errors.New("no session can be set up")
	errLeft       = errors.New("the publisher left")
	errNeverCame  = errors.New("the publisher sent nothing")
)

// Source is one stream that is published to us. Run waits for a publisher, for
// as long as it takes, and reads it until it leaves; ServeHTTP is where the
// publisher turns to.
type Source struct {
	config Config
	stream string
	log    *slog.Logger

	mu      sync.Mutex
	running *running // the Run in progress, nil when there is none
	current *session // the publisher's, nil while Run waits
}

// running is where a Run in progress is reached.
type running struct {
	offers chan offer
	done   chan struct{} // closed at its end
}

// offer is a publisher at the door.
type offer struct {
	sdp    string
	answer chan<- answered // has room for one
}

type answered struct {
	id, sdp string
	err     error
}

// New makes the source of the stream with that name. It opens nothing.
func New(config Config, stream string, log *slog.Logger) *Source {
	return &Source{config: config, stream: stream, log: log}
}

// Run implements ingest.Source. A publisher that leaves, or falls silent, ends
// it with an error (ingest.ReasonEnded, ReasonTimeout); an offer that cannot be
// answered and a publisher that never gets through do not. Each call is one
// epoch: the start of the session in microseconds since 1970. A publisher that
// begins anew meets the next Run.
func (s *Source) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.config.Validate(); err != nil {
		return &ingest.Error{Reason: ingest.ReasonFailed, Permanent: true, Err: err}
	}
	here := &running{offers: make(chan offer), done: make(chan struct{})}
	if !s.begin(here) {
		return &ingest.Error{Reason: ingest.ReasonFailed, Err: errors.New("the stream already runs")}
	}
	defer s.finish(here)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case o := <-here.offers:
			if err := s.serve(ctx, o, emit); !errors.Is(err, errNeverCame) {
				return err
			}
		}
	}
}

// serve answers an offer and reads the session that follows. It returns
// errNeverCame when there was none.
func (s *Source) serve(ctx context.Context, o offer, emit func(ingest.Packet) error) error {
	epoch := strconv.FormatInt(time.Now().UnixMicro(), 10)
	session, answer, err := newSession(ctx, s, epoch, o.sdp)
	if err != nil {
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

// RequestKeyframe implements ingest.KeyframeRequester.
func (s *Source) RequestKeyframe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.wantKeyframe()
	}
}

// offer gives an offer to the Run in progress and returns its answer.
func (s *Source) offer(ctx context.Context, sdp string) (id, answer string, err error) {
	s.mu.Lock()
	there, busy := s.running, s.current != nil
	s.mu.Unlock()
	switch {
	case there == nil:
		return "", "", errNotRunning
	case busy:
		return "", "", errBusy
	}
	reply := make(chan answered, 1)
	wait := time.NewTimer(s.config.Timeout)
	defer wait.Stop()
	select {
	case there.offers <- offer{sdp, reply}:
		a := <-reply // soon: gathering addresses is bounded
		return a.id, a.sdp, a.err
	case <-there.done:
		return "", "", errNotRunning
	case <-wait.C: // another offer came first
		return "", "", errBusy
	case <-ctx.Done():
		return "", "", ctx.Err()
	}
}

// end asks the session with that id to end, and says whether it is there.
func (s *Source) end(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.current.id != id {
		return false
	}
	s.current.leave(errLeft)
	return true
}

// begin makes here the Run in progress, unless there is one.
func (s *Source) begin(here *running) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return false
	}
	s.running = here
	return true
}

func (s *Source) finish(here *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = nil
	close(here.done)
}

func (s *Source) set(current *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = current
}
