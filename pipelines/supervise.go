package pipelines

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"sightline/detect"
	"sightline/ingest"
)

// Pauses between attempts to reach a live source: doubled each time, with
// jitter, and short for the first minutes, when most cameras come back.
const (
	backoffFirst = 100 * time.Millisecond
	backoffEarly = time.Second
	backoffLate  = 30 * time.Second
	earlyPeriod  = 10 * time.Minute
)

// backoff is the pause after the nth failure in a row (from 1), offlineFor after
// the first of them. jitter is in 0..1.
func backoff(n int, offlineFor time.Duration, jitter float64) time.Duration {
	limit := backoffEarly
	if offlineFor > earlyPeriod {
		limit = backoffLate
	}
	d := backoffFirst << min(n-1, 20)
	if d <= 0 || d > limit {
		d = limit
	}
	return time.Duration(float64(d) * (0.5 + jitter/2))
}

// supervise runs the stream's source until ctx ends or, for a file, until it
// ended. A live source is run again for ever, alone: only pictures that were
// decoded make its pauses short again, so that a camera whose stream is of no use
// is left in peace. It returns why a file failed.
func (s *stream) supervise(ctx context.Context) error {
	var offlineSince time.Time
	for attempt := 1; ; attempt++ {
		before := s.ledger.pictures()
		err := s.connect(ctx)
		if ctx.Err() != nil {
			s.queue.end(detect.ReasonInfo{Code: shutdown})
			return nil
		}
		if s.ledger.pictures() > before {
			attempt, offlineSince = 1, time.Time{}
		}
		if offlineSince.IsZero() {
			offlineSince = time.Now()
		}
		s.queue.end(describe(err, attempt))
		if !s.live {
			return err
		}
		if s.waits && !permanent(err) {
			continue // the next publisher may be at the door
		}
		if !pause(ctx, backoff(attempt, time.Since(offlineSince), rand.Float64())) {
			s.queue.end(detect.ReasonInfo{Code: shutdown})
			return nil
		}
	}
}

// connect runs the source once.
func (s *stream) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.giveUp.Store(&cancel)
	err := s.source.Run(ctx, func(p ingest.Packet) error { return s.receive(ctx, p) })
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// receive takes one packet from the source.
func (s *stream) receive(ctx context.Context, p ingest.Packet) error {
	s.ledger.receive()
	if p.Received.IsZero() && !s.lossless {
		p.Received = time.Now() // a file played as if it were a camera
	}
	s.status.packet(p)
	s.watch.packet(p)
	return s.queue.put(ctx, p)
}

func permanent(err error) bool {
	var e *ingest.Error
	return errors.As(err, &e) && e.Permanent
}

func describe(err error, attempt int) detect.ReasonInfo {
	r := detect.ReasonInfo{Code: string(ingest.ReasonOf(err))}
	if err != nil {
		r.Message, r.Attempt = err.Error(), attempt
	}
	return r
}

// pause waits d and returns false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// fail ends the connection under way for a reason found downstream, such as a
// codec that nobody decodes.
func (s *stream) fail(err *ingest.Error) {
	if cancel := s.giveUp.Load(); cancel != nil {
		(*cancel)(err)
	}
}
