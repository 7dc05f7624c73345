package mqtt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"sightline/detect"
	"sightline/sink"
)

// Sink publishes to one broker over one connection, which it makes when it is first
// needed and again when it failed.
type Sink struct {
	cfg      Config
	clientID string
	topic    sink.Template
	log      *slog.Logger

	mu      sync.Mutex // between Publish, Close and the timer
	session *session   // nil: none
	idle    *time.Timer
	careful bool // one event at a time: the broker has put one off
	closed  bool
}

var (
	_ sink.Sink   = (*Sink)(nil)
	_ sink.Router = (*Sink)(nil)
)

// New makes the sink of a valid cfg. It reads the files of TLS and opens nothing else.
func New(cfg Config, log *slog.Logger) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	if cfg.encrypted() {
		if _, err := cfg.TLS.Client(); err != nil {
			return nil, fmt.Errorf("mqtt: %w", err)
		}
	}
	topic, err := sink.ParseTemplate(cfg.Topic)
	if err != nil {
		return nil, fmt.Errorf("mqtt: topic: %w", err)
	}
	s := &Sink{cfg: cfg, clientID: cfg.ClientID, topic: topic, log: log}
	if s.clientID == "" {
		s.clientID = "sightline-" + strings.ToLower(rand.Text()[:10])
	}
	s.idle = time.AfterFunc(time.Hour, s.keepAlive)
	s.idle.Stop()
	return s, nil
}

// Route is the event's topic. It is safe for concurrent use.
func (s *Sink) Route(ev *detect.Event) sink.Route {
	return sink.Route{Topic: s.topic.Expand(ev, cleanLevel)}
}

// Publish sends the events in their order, with several in flight, and returns when
// each is acknowledged or refused, the broker has been silent for the timeout, or ctx
// ended. What is unanswered then is named as failed and the connection given up. Where
// the broker puts one event off and takes a later one of the same topic, which only
// MQTT 5 can, both are named, and the events come one at a time until all are taken.
func (s *Sink) Publish(ctx context.Context, events []sink.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("mqtt: %s: the sink is closed", s.cfg.URL)
	}
	if err := ctx.Err(); err != nil {
		return s.wrap(err)
	}
	if len(events) == 0 {
		return nil
	}
	s.idle.Stop()
	if err := s.connect(ctx); err != nil {
		return s.wrap(err)
	}
	s.session.use(ctx)
	w := s.window(events)
	err := w.run(ctx)
	s.session.release()
	if err != nil {
		s.drop(false)
	} else {
		s.idle.Reset(s.pause())
	}
	s.careful = w.deferred
	return s.wrap(w.outcome(err))
}

// connect makes sure of a connection.
func (s *Sink) connect(ctx context.Context) error {
	if s.session != nil && !s.session.alive() {
		s.drop(false)
	}
	if s.session != nil {
		return nil
	}
	session, err := s.cfg.dial(ctx, s.clientID)
	if err != nil {
		return &sink.Passing{Err: err}
	}
	s.session = session
	return nil
}

// pause is how long the connection may be silent: the broker may want to hear of us
// earlier than we would.
func (s *Sink) pause() time.Duration {
	every := s.cfg.KeepAlive
	if n := s.session.limits.keepAlive; n > 0 {
		every = min(every, time.Duration(n)*time.Second)
	}
	return every * 3 / 4
}

// keepAlive is called by the timer of an idle connection.
func (s *Sink) keepAlive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil || s.closed || time.Since(s.session.used) < s.pause()/2 {
		return // a Publish came first, and has set the timer anew
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(s.cfg.Timeout, 2*time.Second))
	defer cancel()
	s.session.use(ctx)
	err := s.session.ping()
	s.session.release()
	if err != nil {
		s.log.Debug("idle connection lost: it is made again for the next event", "broker", s.cfg.URL, "error", err)
		s.drop(false)
		return
	}
	s.idle.Reset(s.pause())
}

func (s *Sink) drop(polite bool) error {
	if s.session == nil {
		return nil
	}
	err := s.session.close(polite)
	s.session = nil
	return err
}

// Close ends the connection. It may be called again.
func (s *Sink) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle.Stop()
	s.closed = true
	return s.wrap(s.drop(true))
}

// wrap says which broker an error is of.
func (s *Sink) wrap(err error) error {
	if err == nil {
		return nil
	}
	if partial, ok := errors.AsType[*sink.PartialError](err); ok {
		partial.Err = fmt.Errorf("mqtt: %s: %w", s.cfg.URL, partial.Err)
		return partial
	}
	return fmt.Errorf("mqtt: %s: %w", s.cfg.URL, err)
}

// Takes tells whether the format has a counterpart for the type of event.
func (s *Sink) Takes(t detect.Type) bool { return s.cfg.Format == nil || s.cfg.Format.Takes(t) }
