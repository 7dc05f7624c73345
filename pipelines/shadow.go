package pipelines

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/optimize"
	"sightline/pipelines/agreement"
)

// disagreement is what a stream is told to be whose optimized network does not see
// what the original sees anymore.
const disagreement = "disagreement"

// shadow keeps two networks for one stream, an optimized one and its original, and
// decides which of them works. The other one looks at a few of the pictures too, after
// everything else that wants the processor; what both find is compared, and when they
// do not agree anymore the original takes over from the next picture on. The tracker,
// its ids and the rules do not notice but for the boxes. A nil shadow does nothing.
//
// At pace fastest every look that is due is made and waited for, so that the same
// pictures give the same events; any other stream never waits, and a look that finds
// the one before unfinished is skipped.
type shadow struct {
	stream     *stream  // set before it starts
	member     *member  // where the optimized network is made in the background, else nil
	original   *network // of the two
	mode       string   // of the optimized network
	confidence float64
	offered    atomic.Pointer[network] // optimized meanwhile, not yet in use
	want       atomic.Bool             // the optimized one is to work, where there is one
	inUse      atomic.Bool             // it does
	looks      chan *look              // at most one
	running    sync.WaitGroup

	// The decoding goroutine's own.
	other   *network // what does not work, nil until there are two
	working bool     // the optimized one works
	started bool     // and has before
	n       uint64   // inferences
	pending *look    // being made
	owed    bool     // one was skipped

	mu      sync.Mutex
	verdict agreement.Verdict
	counts  LookCounts
	told    detect.ReasonInfo // of the last change
	since   time.Time         // of that, on the clock
	warned  bool              // that a look failed
}

// LookCounts is what became of the looks that were due.
type LookCounts struct {
	Done    uint64 `json:"done"`
	Skipped uint64 `json:"skipped"` // the processor had no time, or a newer picture replaced this one
	Failed  uint64 `json:"failed"`
}

// newShadow is for a stream that the original works for, and an optimized network of
// this mode. every 0 never looks.
func newShadow(mode string, every int, budget, confidence float64) *shadow {
	return &shadow{mode: mode, confidence: confidence, looks: make(chan *look, 1), verdict: agreement.Verdict{Budget: budget, Every: every}}
}

// begin says that the stream begins with the optimized network: n is the original.
func (w *shadow) begin(n *network) {
	w.other, w.original, w.working, w.started = n, n, true, true
	w.want.Store(true)
	w.inUse.Store(true)
}

// attach gives it the stream, which begins with net.
func (w *shadow) attach(s *stream, net *network) {
	if w == nil {
		return
	}
	w.stream = s
	if w.original == nil {
		w.original = net
	}
}

// offer gives it an optimized network to use from the next picture on. Once, from any
// goroutine.
func (w *shadow) offer(n *network) {
	w.want.Store(true)
	w.offered.Store(n)
}

// start begins what finish ends.
func (w *shadow) start() {
	if w != nil {
		w.running.Go(w.run)
	}
}

// finish waits for what is under way and gives up the other network. No picture may
// come anymore.
func (w *shadow) finish() {
	if w == nil {
		return
	}
	close(w.looks)
	w.running.Wait()
	if w.other != nil {
		w.other.shapes.compiling.Wait()
	}
}

// close frees the other network's writer, and one that never came into use.
func (w *shadow) close() {
	if w == nil {
		return
	}
	for _, n := range []*network{w.other, w.offered.Load()} {
		if n != nil && n.writer != nil {
			n.writer.Close()
		}
	}
}

// turn lets the network work that is to, from the picture f on. The decoding goroutine's, as are show and wait.
func (w *shadow) turn(f *decode.Frame) {
	if w == nil {
		return
	}
	w.member.take(f)
	if n := w.offered.Swap(nil); n != nil {
		w.other = n
	}
	if w.other == nil || w.want.Load() == w.working {
		return
	}
	w.working = !w.working
	w.inUse.Store(w.working)
	s := w.stream
	s.net, w.other = w.other, s.net
	if _, _, err := s.net.follow(); err != nil {
		s.warnings.warn(s.log, "stream cannot use its network", err)
	}
	s.lane.fence() // a row that waits is the other network's
	s.employ(s.net)
	w.tell(f)
}

// tell says which network works from now on.
func (w *shadow) tell(f *decode.Frame) {
	s := w.stream
	w.mu.Lock()
	told := w.told
	w.since = time.Now().UTC()
	w.mu.Unlock()
	switch {
	case !w.working:
		s.status.wrong(disagreement, true)
		s.log.Warn("the original network works again", slog.String("reason", told.Message))
		s.degrade(told, f.Captured)
	case w.started:
		s.status.wrong(disagreement, false)
		s.log.Info("the optimized network works again", slog.String("reason", told.Message))
		s.degrade(detect.ReasonInfo{Code: detect.ReasonRecovered, Message: disagreement}, f.Captured)
	default:
		s.log.Info("the optimized network works", slog.Any("model", s.net.model))
	}
	w.started = true
}

// show lets the network that does not work see f, which r is made of, where a look is
// due. The caller holds a core.
func (w *shadow) show(r *row, f *decode.Frame) {
	if w == nil || w.other == nil || w.verdict.Every == 0 {
		return
	}
	w.n++
	w.mu.Lock()
	defer w.mu.Unlock()
	due := w.verdict.Due(w.n)
	switch {
	case !due && !w.owed:
		return
	case w.busy() && !due:
		return
	case w.busy():
		w.counts.Skipped++
		w.owed = true
		return
	}
	w.owed = false
	l, err := newLook(w.other, f)
	if err != nil {
		w.failed(err)
		return
	}
	l.working = w.working
	r.look, w.pending = l, l
	w.looks <- l // there is room: the one before is settled
}

// busy tells whether the last look is still being made.
func (w *shadow) busy() bool {
	if w.pending == nil {
		return false
	}
	select {
	case <-w.pending.settled:
		w.pending = nil // not lost: it was judged
		return false
	default:
		return true
	}
}

// wait is for a stream that must give the same events each time: it waits until the
// look at its last picture was judged. The caller holds no core.
func (w *shadow) wait() {
	if w != nil && w.stream.lossless && w.pending != nil {
		<-w.pending.settled
	}
}

// run makes the looks.
func (w *shadow) run() {
	for l := range w.looks {
		other, err := l.run(w.stream.gate)
		live, ok := <-l.live
		w.mu.Lock()
		switch {
		case err != nil:
			w.failed(err)
		case !ok, l.working == w.verdict.Fallen(): // or the two are about to change places
			w.counts.Skipped++
		default:
			w.judge(live, other, l)
		}
		w.mu.Unlock()
		close(l.settled)
	}
}

func (w *shadow) judge(live, other []detect.Detection, l *look) {
	w.counts.Done++
	v := &w.verdict
	original, optimized := other, live
	if v.Fallen() {
		original, optimized = live, other
	}
	if !v.Look(optimize.Compare(original, optimized, w.confidence), l.at) {
		return
	}
	w.told = detect.ReasonInfo{Code: disagreement, Message: v.Reason()}
	w.want.Store(!v.Fallen())
}

// failed counts a look that could not be made; the first one is told.
func (w *shadow) failed(err error) {
	w.counts.Failed++
	if !w.warned {
		w.stream.log.Warn("the network that watches the other one cannot look", slog.Any("error", err))
	}
	w.warned = true
}
