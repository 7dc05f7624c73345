package pipelines

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
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

// Why a stream goes offline that nothing is wrong with.
const (
	shutdown = "shutdown" // the pipeline ends
	idle     = "idle"     // nobody watches a stream on demand
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

// run keeps the packets coming until ctx ends or a source was read to its end. A
// live source is run again for ever, alone: only what proves to be of use makes
// its pauses short again, so that a camera whose stream is of no use is left in
// peace; and so is a file in a loop that has played before, whose share may be
// away. It returns why a source that is not tried again failed.
func (p *puller) run(ctx context.Context) error {
	var offlineSince time.Time
	worked := false
	for failures, try := 0, 0; ; {
		if !p.demand.wait(ctx) {
			p.ended(detect.ReasonInfo{Code: shutdown})
			return nil
		}
		began, before := time.Now(), p.use()
		err := p.connect(ctx, try%len(p.inputs), failures+1)
		if ctx.Err() != nil {
			p.ended(detect.ReasonInfo{Code: shutdown})
			return nil
		}
		try++
		if p.use() > before {
			failures, try, offlineSince = 0, 0, time.Time{}
			worked = true
		}
		if errors.Is(err, errUnwatched) {
			p.ended(detect.ReasonInfo{Code: idle})
			continue
		}
		failures++
		if offlineSince.IsZero() {
			offlineSince = time.Now()
		}
		p.ended(p.describe(err, failures))
		switch {
		case !p.live && !(p.loops && worked && err != nil), err == nil && p.finite:
			return err
		case p.waits && !permanent(err) && time.Since(began) >= backoffFirst:
			continue // the next publisher may be at the door
		}
		// What an attempt took counts: a camera that swallows packets is called again
		// as soon as that was noticed.
		due := backoff(failures, time.Since(offlineSince), rand.Float64()) - time.Since(began)
		if !pause(ctx, max(due, backoffFirst/2)) {
			p.ended(detect.ReasonInfo{Code: shutdown})
			return nil
		}
	}
}

// describe says why a connection ended, and of which address where there are
// several and the source does not say it itself.
func (p *puller) describe(err error, attempt int) detect.ReasonInfo {
	r, in := describe(err, attempt), p.inputs[p.current.Load()]
	if in.clean != nil {
		r.Message = in.clean(r.Message)
	}
	if len(p.inputs) > 1 && err != nil && !strings.Contains(r.Message, "://") {
		r.Message = in.address + ": " + r.Message
	}
	return r
}

// online says how the connection under way came about.
func (p *puller) online() *detect.ReasonInfo {
	r := &detect.ReasonInfo{Code: "connected", Attempt: int(p.attempt.Load())}
	if len(p.inputs) > 1 {
		n := p.current.Load()
		r.Message = p.inputs[n].address
		if n > 0 {
			r.Code = "fallback"
		}
	}
	return r
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
	return ingest.Pause(ctx, d) == nil
}

// receive takes one packet from the stream's source.
func (s *stream) receive(ctx context.Context, p ingest.Packet) error {
	s.ledger.receive()
	if p.Received.IsZero() && !s.lossless {
		p.Received = time.Now() // a file played as if it were a camera
	}
	s.status.packet(p)
	s.watch.packet(p)
	return s.queue.Put(ctx, p)
}
