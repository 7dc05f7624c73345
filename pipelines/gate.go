package pipelines

import (
	"container/heap"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Classes of native work, most urgent first: what is nearest to an event goes
// before what would only make more work for it.
const (
	workSnapshot = iota
	workInfer
	workPreprocess
	workLiveDecode
	workShadow
	workFileDecode
	workClasses
)

// gate hands the machine's cores to native work, one piece each, most urgent
// first and earliest due within a class. Without it N decoders and the engine's
// workers share the cores evenly, inference falls behind, and what was decoded is
// thrown away; with it nothing runs that would not finish in time anyway.
//
// Work is milliseconds long, so waiting for a core takes no context.
type gate struct {
	mu      sync.Mutex
	free    int
	spare   int // of free: beyond the cores
	arrived uint64
	waiting waiters
	busy    [workClasses]time.Duration // spent inside, by class
	clock   func() time.Duration       // what the calling thread has used of a core
	idle    time.Duration              // cores had nothing to do, added up over them
	since   time.Time                  // idle is up to then
}

// newGate is a gate to so many cores. It lets spare more pieces of work in, which
// keep the cores busy while work is handed over: one is worth a twentieth of the
// throughput.
func newGate(cores, spare int, clock func() time.Duration) *gate {
	return &gate{free: max(1, cores) + spare, spare: spare, clock: clock, since: time.Now()}
}

// idled is how long cores have had nothing to do, added up over the cores.
func (g *gate) idled() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watch()
	return g.idle
}

// watch brings idle up to now; it is called before free changes.
func (g *gate) watch() {
	now := time.Now()
	g.idle += now.Sub(g.since) * time.Duration(max(0, g.free-g.spare))
	g.since = now
}

// threadTime is the processor time of the calling thread, 0 where the system does
// not tell.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// enter blocks until a core is free for work of that class, due at that time.
// leave must follow on every path, with what enter returned.
func (g *gate) enter(class int, due time.Time) work {
	g.mu.Lock()
	if g.free > 0 {
		g.watch()
		g.free--
		g.mu.Unlock()
		return g.begin(class)
	}
	g.arrived++
	w := &waiter{class: class, due: due, arrived: g.arrived, ready: make(chan struct{})}
	heap.Push(&g.waiting, w)
	g.mu.Unlock()
	<-w.ready
	return g.begin(class)
}

// aside notes work that a device does while its caller waits for it: it takes no core,
// so it waits for none. leave must follow as after enter.
func (g *gate) aside(class int) work {
	w := g.begin(class)
	w.aside = true
	return w
}

// work is one piece of native work being done. A decoder works on its caller's
// thread, whose clock measures it: so its goroutine keeps the thread meanwhile. An
// engine works on a thread of its own while its caller waits: for it the time that
// passes is taken.
type work struct {
	class int
	aside bool          // it holds no core
	since time.Duration // of the thread
	began time.Time
}

func (g *gate) begin(class int) work {
	runtime.LockOSThread()
	return work{class: class, since: g.clock(), began: time.Now()}
}

// leave hands the core to the most urgent waiter, and returns what the work took.
func (g *gate) leave(w work) (used time.Duration) {
	used = g.clock() - w.since
	runtime.UnlockOSThread()
	if w.class == workInfer || w.class == workShadow {
		used = time.Since(w.began)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy[w.class] += used
	switch {
	case w.aside:
		return used
	case len(g.waiting) == 0:
		g.watch()
		g.free++
		return used
	}
	close(heap.Pop(&g.waiting).(*waiter).ready)
	return used
}

// spent is the processor time of each kind of work; of inference it is an upper
// bound, as other programs may have held its core.
func (g *gate) spent() (decode, preprocess, infer time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy[workLiveDecode] + g.busy[workFileDecode], g.busy[workPreprocess], g.busy[workInfer]
}

type waiter struct {
	class   int
	due     time.Time
	arrived uint64
	ready   chan struct{}
}

type waiters []*waiter

func (w waiters) Len() int      { return len(w) }
func (w waiters) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waiters) Push(x any)   { *w = append(*w, x.(*waiter)) }
func (w waiters) Less(i, j int) bool {
	a, b := w[i], w[j]
	if a.class != b.class {
		return a.class < b.class
	}
	if !a.due.Equal(b.due) {
		return a.due.Before(b.due)
	}
	return a.arrived < b.arrived
}

func (w *waiters) Pop() any {
	old := *w
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	return last
}
