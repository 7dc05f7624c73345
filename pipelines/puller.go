package pipelines

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sightline/detect"
	"sightline/ingest"
)

const (
	// stopPatience is how long a source may take to end before it is left behind.
	stopPatience = 1500 * time.Millisecond
	// mostAbandoned is how many sources of a stream may have been left behind
	// without having ended since, before no other is begun.
	mostAbandoned = 4
	// silencePatience is how long beyond its own time-outs a source may say
	// nothing at all; it covers a wait for the first keyframe.
	silencePatience = time.Minute
	// keyframePatience is how long pictures may come without one that decoding can
	// start with until that is told.
	keyframePatience = 1500 * time.Millisecond
)

var (
	errUnwatched = errors.New("nobody watches")
	errAbandoned = errors.New("the source was left behind")
	errHung      = errors.New("earlier connections have not ended yet")
	errSilent    = errors.New("the source is silent beyond its time-out")
)

// input is one address a stream can be read from.
type input struct {
	address string                        // fit for logs and events
	clean   func(string) string           // masks secrets in what a peer said; nil: there are none
	make    func() (ingest.Source, error) // another source of it, in place of one left behind

	mu     sync.Mutex
	source ingest.Source
	lost   ingest.Losses // by sources before it
}

func (in *input) current() ingest.Source {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.source
}

// renew takes another source, as one whose Run has not returned cannot be run.
func (in *input) renew() error {
	s, err := in.make()
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if r, ok := in.source.(ingest.LossReporter); ok {
		in.lost = in.lost.Plus(r.Losses())
	}
	in.source = s
	return nil
}

// losses is what was lost so far, and whether that can be.
func (in *input) losses() (ingest.Losses, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	r, ok := in.source.(ingest.LossReporter)
	if !ok {
		return in.lost, false
	}
	return in.lost.Plus(r.Losses()), true
}

// puller keeps the packets of one stream coming, from the first of its inputs that
// has any. Its methods but run may be called from any goroutine.
type puller struct {
	live    bool // a camera or publisher: tried again when it fails
	waits   bool // a publisher comes to it: it is ready again at once
	loops   bool // a file that is played over and over
	finite  bool // live, but read to its end when it ends without an error
	log     *slog.Logger
	inputs  []*input      // at least one
	timeout time.Duration // the source's own, for it to notice a silent peer; 0: it has none
	demand  *demand       // nil: always read

	receive func(ctx context.Context, p ingest.Packet) error
	ended   func(reason detect.ReasonInfo) // told of each connection's end
	trouble func(reason detect.ReasonInfo) // told of what is wrong with a connection that lasts
	use     func() uint64                  // grows while the packets are of use

	giveUp    atomic.Pointer[context.CancelCauseFunc]
	current   atomic.Int32  // of inputs
	attempt   atomic.Int64  // from 1, in a row
	connects  atomic.Uint64 // how often a source was run
	abandoned atomic.Uint64 // sources left behind so far
	hung      atomic.Int64  // of those, how many have not ended
}

// fail ends the connection under way for a reason found downstream, such as a
// codec that nobody decodes.
func (p *puller) fail(err *ingest.Error) {
	if cancel := p.giveUp.Load(); cancel != nil {
		(*cancel)(err)
	}
}

// source is what is read now, or was last.
func (p *puller) source() ingest.Source { return p.inputs[p.current.Load()].current() }

func (p *puller) requestKeyframe() {
	if r, ok := p.source().(ingest.KeyframeRequester); ok {
		r.RequestKeyframe()
	}
}

// connect runs one source once. A source that does not end when told to is left
// behind: its packets are refused from then on.
func (p *puller) connect(ctx context.Context, n, attempt int) error {
	if p.hung.Load() >= mostAbandoned {
		return &ingest.Error{Reason: ingest.ReasonFailed, Err: errHung}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.giveUp.Store(&cancel)
	p.current.Store(int32(n))
	p.attempt.Store(int64(attempt))
	p.connects.Add(1)

	in, d, done := p.inputs[n], &door{receive: p.receive}, make(chan error, 1)
	d.keyless = func() {
		p.trouble(p.describe(&ingest.Error{Reason: ingest.ReasonNoKeyframe, Err: ingest.ErrNoKeyframe}, attempt))
	}
	source := in.current()
	go func() {
		err := source.Run(ingest.OnWithheld(ctx, d.withheld), func(pkt ingest.Packet) error { return d.pass(ctx, pkt) })
		if leftBehind := d.finish(); leftBehind {
			p.hung.Add(-1)
		}
		done <- err
	}()
	err, ended := p.attend(ctx, cancel, d, done)
	if !ended {
		err = p.abandon(ctx, in, d, done)
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// attend waits until the source or ctx ends, and ends ctx where the source hangs
// or is not wanted anymore.
func (p *puller) attend(ctx context.Context, cancel context.CancelCauseFunc, d *door, done <-chan error) (err error, ended bool) {
	var silent, unwatched <-chan time.Time
	if p.timeout > 0 && !p.waits {
		t := time.NewTicker(p.timeout + silencePatience)
		defer t.Stop()
		silent = t.C
	}
	for {
		watched, changed := p.demand.now()
		if !watched && unwatched == nil {
			unwatched = time.After(linger)
		}
		select {
		case err := <-done:
			return err, true
		case <-ctx.Done():
			return nil, false
		case <-changed:
			unwatched = nil
		case <-unwatched:
			cancel(errUnwatched)
		case <-silent:
			if !d.heard.Swap(false) {
				cancel(&ingest.Error{Reason: ingest.ReasonTimeout, Err: errSilent})
			}
		}
	}
}

// abandon waits a little for a source that was told to end.
func (p *puller) abandon(ctx context.Context, in *input, d *door, done <-chan error) error {
	t := time.NewTimer(stopPatience)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
	}
	if !d.shut() {
		return <-done
	}
	p.hung.Add(1)
	p.abandoned.Add(1)
	cause := context.Cause(ctx)
	p.log.Warn("source did not end when told to and was left behind", slog.String("url", in.address), slog.Any("cause", cause))
	if !errors.Is(cause, context.Canceled) {
		if err := in.renew(); err != nil {
			return err
		}
	}
	return cause
}

// door is what a source's packets go through as long as it is listened to.
type door struct {
	receive func(ctx context.Context, p ingest.Packet) error
	keyless func()      // told once where pictures come, but no keyframe
	heard   atomic.Bool // of the source, since somebody last asked

	mu     sync.Mutex
	since  time.Time // pictures are held back since then
	told   bool      // or no need to
	closed bool
	ended  bool
}

func (d *door) pass(ctx context.Context, p ingest.Packet) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errAbandoned
	}
	d.heard.Store(true)
	d.told = true
	return d.receive(ctx, p)
}

// withheld is told of pictures that come before the first keyframe.
func (d *door) withheld() {
	d.heard.Store(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.told || d.closed:
	case d.since.IsZero():
		d.since = time.Now()
	case time.Since(d.since) >= keyframePatience:
		d.told = true
		d.keyless()
	}
}

// shut lets nothing more pass. It returns false when the source has ended.
func (d *door) shut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return !d.ended
}

// finish notes that the source has ended, and tells whether it was left behind.
func (d *door) finish() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	return d.closed
}

func (p *puller) status() InputStatus {
	n := int(p.current.Load())
	s := InputStatus{URL: p.inputs[n].address, Index: n, Connects: p.connects.Load(), Abandoned: p.abandoned.Load()}
	for _, in := range p.inputs {
		if lost, ok := in.losses(); ok {
			if s.Losses == nil {
				s.Losses = &ingest.Losses{}
			}
			*s.Losses = s.Losses.Plus(lost)
		}
	}
	return s
}
