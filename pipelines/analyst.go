package pipelines

import (
	"errors"
	"slices"
	"sync"
	"time"

	"sightline/detect"
	"sightline/kernels/cuda"
	"sightline/pipelines/snapshots"
)

// analysis is what rules make of a stream; *rules.Stream is one.
type analysis interface {
	Online(epoch string, at time.Time) []detect.Event
	Apply(s detect.Scene) []detect.Event
	Advance(at time.Time) []detect.Event
	Degraded(reason detect.ReasonInfo, at time.Time) []detect.Event
	Offline(reason detect.ReasonInfo, at time.Time) []detect.Event
	Account(l detect.Ledger, at time.Time) []detect.Event
	Runs(m detect.Model)
}

// control is something that happens on a stream besides frames, in its place
// among them.
type control struct {
	epoch    string             // a new epoch begins
	online   *detect.ReasonInfo // how it came about, nil for a file
	end      *detect.ReasonInfo // the connection ended
	degraded *detect.ReasonInfo // it delivers, but not well
	model    *detect.Model      // another network, engine or precision finds what comes from now on
	at       time.Time          // zero: when the last frame was
}

// analyst turns one stream's results into events, in frame order however they
// overtook one another. Nobody who hands it something waits.
type analyst struct {
	live       bool // dated by the clock where no frame does
	lossless   bool // tells nothing that depends on the clock
	confidence float64
	analysis   analysis
	tracker    func() detect.Tracker // a new one for each epoch
	sampler    Sampler
	ledger     *ledger
	status     *state
	emit       func([]detect.Event) // blocks where a lossless sink is full
	shoot      *photographer        // nil: events get no pictures
	only       []string             // classes that are analyzed; others are only blurred. nil: all that were found
	release    func()               // a row is done with
	settle     func()               // before the last account of a lossless stream: waits until the sinks have taken its events
	sinks      func() map[string]detect.SinkLedger
	warn       func(msg string, err error)

	mu      sync.Mutex
	arrived []item
	closed  bool
	last    uint64 // number of the last item there will be, once closed
	wake    chan struct{}

	current detect.Tracker
	at      time.Time // of the last frame
	pending map[uint64]item
	next    uint64
}

type item struct {
	seq     uint64
	row     *row
	control *control
}

// idleAdvance is how long a live stream may show nothing before windows are
// closed by the clock, which then is that much behind: pictures that the network
// held up must still find their window open.
const idleAdvance = 5 * time.Second

// accountEvery is how often a stream says what became of everything; a lossless
// one does so only at its end.
const accountEvery = time.Minute

func (a *analyst) prepare() *analyst {
	a.wake, a.pending, a.next = make(chan struct{}, 1), map[uint64]item{}, 1
	return a
}

// deliver takes an inferred row; it never blocks.
func (a *analyst) deliver(r *row) { a.add(item{seq: r.seq, row: r}) }

// control takes news of the stream; it never blocks.
func (a *analyst) control(seq uint64, c control) { a.add(item{seq: seq, control: &c}) }

// close says that nothing follows the item numbered last.
func (a *analyst) close(last uint64) {
	a.mu.Lock()
	a.closed, a.last = true, last
	a.mu.Unlock()
	a.signal()
}

func (a *analyst) add(i item) {
	a.mu.Lock()
	a.arrived = append(a.arrived, i)
	a.mu.Unlock()
	a.signal()
}

// backlog is how many results may wait before a live stream is not inferred
// anymore: who takes its events, or its tracker, hangs.
const backlog = 64

// behind tells whether as many results wait.
func (a *analyst) behind() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.arrived) >= backlog
}

func (a *analyst) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run works until everything announced by close was done.
func (a *analyst) run() {
	idle, account := time.NewTicker(idleAdvance), time.NewTicker(accountEvery)
	defer idle.Stop()
	defer account.Stop()
	if !a.live {
		idle.Stop()
	}
	if a.lossless {
		account.Stop()
	}
	busy := false
	for !a.finished() {
		select {
		case <-a.wake:
			busy = true
			a.drain()
		case <-account.C:
			a.accountFor(a.clock())
		case now := <-idle.C:
			if !busy && a.ledger.underWay() == 0 {
				a.emit(a.analysis.Advance(now.UTC().Add(-idleAdvance)))
			}
			busy = false
		}
	}
	a.settle()
	a.accountFor(a.clock())
}

func (a *analyst) finished() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed && a.next > a.last
}

// clock is the time of things that no frame dates. A file's is that of its last
// frame, if there was one: it was not taken now.
func (a *analyst) clock() time.Time {
	if a.live || a.at.IsZero() {
		return time.Now().UTC()
	}
	return a.at
}

// drain handles what has arrived, as far as nothing before it is missing.
func (a *analyst) drain() {
	a.mu.Lock()
	arrived := a.arrived
	a.arrived = nil
	a.mu.Unlock()
	for _, i := range arrived {
		a.pending[i.seq] = i
	}
	for {
		i, ok := a.pending[a.next]
		if !ok {
			return
		}
		delete(a.pending, a.next)
		a.handle(i)
		a.mu.Lock()
		a.next++
		a.mu.Unlock()
	}
}

func (a *analyst) handle(i item) {
	switch {
	case i.row != nil:
		a.row(i.row)
	case i.control.end != nil:
		at := i.control.at
		if at.IsZero() {
			at = a.clock()
		}
		a.emit(a.analysis.Offline(*i.control.end, at))
	case i.control.model != nil:
		a.analysis.Runs(*i.control.model)
	case i.control.degraded != nil:
		a.emit(a.analysis.Degraded(*i.control.degraded, i.control.at))
	default:
		a.current = a.tracker()
		a.at = i.control.at
		events := a.analysis.Online(i.control.epoch, i.control.at)
		for n := range events {
			if events[n].Type == detect.StreamOnline {
				events[n].Data.Reason = i.control.online
			}
		}
		a.emit(events)
	}
}

func (a *analyst) row(r *row) {
	defer a.release()
	defer a.shoot.release(r)
	if r.err != nil {
		r.look.lost()
		if errors.Is(r.err, cuda.ErrLost) {
			a.ledger.skip(gpuLost)
			return
		}
		a.ledger.skip("error")
		a.warn("frame could not be inferred", r.err)
		return
	}
	a.ledger.infer()
	a.at = r.meta.captured
	a.status.inferred(a.at)
	r.look.found(r.dets)
	dets := a.analyzed(r.dets)
	tracks := a.current.Update(a.at, detect.Rect{W: 1, H: 1}, dets)
	a.sampler.Result(tracks)
	events := a.analysis.Apply(detect.Scene{
		At: a.at, Frame: r.frame, Clock: r.meta.clock, Timing: r.meta.timing(),
		Confidence: a.confidence, Detections: dets, Tracks: tracks,
	})
	if a.shoot == nil {
		a.emit(events)
		return
	}
	a.shoot.Take(snapshots.Shot{Frame: r.picture, Scene: true, Dets: r.dets, Tracks: tracks, Events: events})
	r.picture = nil // the photographer's now
}

// analyzed is what was found of the classes that were asked for.
func (a *analyst) analyzed(dets []detect.Detection) []detect.Detection {
	if a.only == nil {
		return dets
	}
	return slices.DeleteFunc(slices.Clone(dets), func(d detect.Detection) bool { return !slices.Contains(a.only, d.Class) })
}

// accountFor says what became of everything so far.
func (a *analyst) accountFor(at time.Time) {
	l := a.ledger.snapshot()
	l.Sinks = a.sinks()
	a.emit(a.analysis.Account(l, at))
}

// timing is how long after capture a live frame was received, decoded, inferred.
func (m frameMeta) timing() *detect.Timing {
	if m.received.IsZero() {
		return nil
	}
	ms := func(t time.Time) float64 { return float64(t.Sub(m.captured).Microseconds()) / 1e3 }
	return &detect.Timing{ReceivedMs: ms(m.received), DecodedMs: ms(m.decoded), InferredMs: ms(m.inferred)}
}
