package pipelines

import (
	"errors"
	"slices"
	"sync"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/onnx"
)

// batch is one run of a network over several frames; *onnx.Batch is one.
type batch interface {
	Write(row int, w *onnx.Writer, f *decode.Frame) error
	Run(rows int) error
	Detections(row int) ([]detect.Detection, error)
	Close()
}

// openBatchFunc returns an empty batch of so many rows. It may have to make it, which on
// a GPU takes a while.
type openBatchFunc func(shape onnx.Shape, rows int) (batch, error)

func opener(s *onnx.Session) openBatchFunc {
	return func(shape onnx.Shape, rows int) (batch, error) { return s.Open(shape, rows) }
}

// row is one frame on its way through a network.
type row struct {
	lane  *lane
	seq   uint64
	frame detect.FrameInfo
	meta  frameMeta
	dets  []detect.Detection
	err   error

	picture *decode.Frame // a reference of the photographer's, nil where none is held
	look    *look         // of the network that does not work, nil where none is due
}

// frameMeta is what is kept of a frame after its pixels are released.
type frameMeta struct {
	captured, received, decoded, inferred time.Time
	clock                                 detect.ClockInfo
}

// lane is one stream's way through the batcher: where its results go, and its
// row that waits, if any.
type lane struct {
	live    bool
	writer  *onnx.Writer
	deliver func(*row) // must not block
	replace func(*row) // told of a row that a newer frame took over; nil for lossless lanes
	seq     uint64     // of the next thing that happens on this lane
	batch   *openBatch // holds this lane's waiting row
	index   int
}

// next numbers what happens on a lane, so that results that overtake one another
// are put back in order.
func (l *lane) next() uint64 {
	l.seq++
	return l.seq
}

// fence keeps later frames from taking over a row that waits now.
func (l *lane) fence() { l.batch = nil }

// openBatch is a batch that still takes rows.
type openBatch struct {
	batch   batch
	shape   onnx.Shape
	rows    []*row
	writers int
	failed  error // a row holds nothing because of this, so that none can run
	sealed  bool
	due     bool        // its oldest row has waited long enough; at once where there is no deadline
	timer   *time.Timer // makes it due
}

// errClosed says that a batcher takes no more rows: its network moved elsewhere.
var errClosed = errors.New("the network moved")

// batcher fills batches with rows of many streams and runs them. Batches wait in
// the order they were opened; a live lane has at most one row waiting, which a
// newer frame may take over. So no stream starves another, and memory is bounded
// by the number of streams.
//
// On the CPU a batch runs as soon as a worker is free: more rows would gain nothing.
// On a GPU they do, so it runs when it is full or its oldest row has waited for the
// deadline; and as the work is the device's, it takes no core.
type batcher struct {
	opened   openBatchFunc
	gate     *gate
	rows     int           // most rows in a batch
	onGPU    bool          // it works beside the cores
	deadline time.Duration // 0: none

	mu     sync.Mutex
	cond   *sync.Cond
	open   []*openBatch
	making map[onnx.Shape]bool // a batch is being opened, while nothing is locked
	closed bool
}

func newBatcher(open openBatchFunc, g *gate, rows int) *batcher {
	b := &batcher{opened: open, gate: g, rows: max(1, rows), making: map[onnx.Shape]bool{}}
	b.cond = sync.NewCond(&b.mu)
	return b
}

// put writes f into a row for r's lane; the caller keeps f. One goroutine a lane,
// which holds a core meanwhile unless the pixels are on a GPU. A frame that cannot be
// written is delivered with the error; put itself fails only where no row was claimed.
func (b *batcher) put(r *row, f *decode.Frame, shape onnx.Shape) error {
	ob, index, err := b.claim(r, shape)
	if err != nil {
		return err
	}
	var empty error
	if err = ob.batch.Write(index, r.lane.writer, f); err != nil {
		// The other rows can only run if this one holds something.
		empty = ob.batch.Write(index, r.lane.writer, blank())
		err = errors.Join(err, empty)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r.err = err
	ob.failed = errors.Join(ob.failed, empty)
	ob.writers--
	b.cond.Broadcast() // also for who waits for a batch to be full
	return nil
}

// blank is a small black picture.
func blank() *decode.Frame {
	const side = 16
	plane := make([]byte, side*side)
	p := decode.Plane{Data: unsafe.Pointer(unsafe.SliceData(plane)), Stride: side}
	return decode.NewFrame(decode.Frame{
		Width: side, Height: side, Format: decode.I420, Memory: decode.Host, Planes: [3]decode.Plane{p, p, p},
		Color: decode.Color{Matrix: decode.BT601},
	}, func() {})
}

// claim finds the next row and marks its batch as being written.
func (b *batcher) claim(r *row, shape onnx.Shape) (*openBatch, int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, 0, errClosed
	}
	l := r.lane
	if ob := l.batch; l.live && ob != nil && !ob.sealed && ob.shape == shape {
		old := ob.rows[l.index]
		r.seq = old.seq
		ob.rows[l.index] = r
		ob.writers++
		l.replace(old)
		return ob, l.index, nil
	}
	ob, err := b.vacant(shape)
	if err != nil {
		return nil, 0, err
	}
	r.seq = l.next()
	ob.rows = append(ob.rows, r)
	ob.writers++
	l.batch, l.index = ob, len(ob.rows)-1
	return ob, l.index, nil
}

// vacant is the batch that takes the next row: it waits for who opens one of the shape,
// or opens one, unlocked meanwhile, so that rows of others come in and batches run.
func (b *batcher) vacant(shape onnx.Shape) (*openBatch, error) {
	for b.last(shape) == nil && b.making[shape] && !b.closed {
		b.cond.Wait()
	}
	if b.closed {
		return nil, errClosed
	}
	if ob := b.last(shape); ob != nil {
		return ob, nil
	}
	b.making[shape] = true
	b.mu.Unlock()
	made, err := b.opened(shape, b.rows)
	b.mu.Lock()
	delete(b.making, shape)
	b.cond.Broadcast()
	if err == nil && b.closed {
		made.Close()
		err = errClosed
	}
	if err != nil {
		return nil, err
	}
	ob := &openBatch{batch: made, shape: shape, due: b.deadline == 0}
	if b.deadline > 0 {
		ob.timer = time.AfterFunc(b.deadline, func() { b.expire(ob) })
	}
	b.open = append(b.open, ob)
	return ob, nil
}

func (b *batcher) last(shape onnx.Shape) *openBatch {
	for _, ob := range b.open {
		if ob.shape == shape && len(ob.rows) < b.rows {
			return ob
		}
	}
	return nil
}

// expire makes a batch due.
func (b *batcher) expire(ob *openBatch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ob.due = true
	b.cond.Broadcast()
}

// work runs batches until close; as many goroutines call it as the session has
// workers. A run is not canceled: what was written is run.
func (b *batcher) work() {
	for b.waitForBatch() {
		w := b.begin()
		ob := b.seal()
		if ob == nil { // another worker was faster
			b.gate.leave(w)
			continue
		}
		err := ob.failed
		if err == nil {
			err = ob.batch.Run(len(ob.rows))
		}
		b.gate.leave(w)
		inferred := time.Now()
		for i, r := range ob.rows {
			if r.err == nil {
				r.err = err
			}
			if r.err == nil {
				r.dets, r.err = ob.batch.Detections(i)
			}
			if !r.meta.received.IsZero() {
				r.meta.inferred = inferred
			}
			r.lane.deliver(r)
		}
		ob.batch.Close()
	}
}

func (b *batcher) begin() work {
	if b.onGPU {
		return b.gate.aside(workInfer)
	}
	return b.gate.enter(workInfer, time.Time{})
}

// waitForBatch blocks until a batch may run; false means the batcher is closed and
// empty.
func (b *batcher) waitForBatch() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.ready() < 0 {
		if b.closed {
			return false
		}
		b.cond.Wait()
	}
	return true
}

// ready is the place of the batch to run next, -1 while there is none: the oldest that
// is due or full.
func (b *batcher) ready() int {
	for i, ob := range b.open {
		if ob.due || len(ob.rows) == b.rows || b.closed {
			return i
		}
	}
	return -1
}

// seal takes the batch to run next and waits for its writers.
func (b *batcher) seal() *openBatch {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.ready()
	if i < 0 {
		return nil
	}
	ob := b.open[i]
	b.open = slices.Delete(b.open, i, i+1)
	ob.sealed = true
	if ob.timer != nil {
		ob.timer.Stop()
	}
	for ob.writers > 0 {
		b.cond.Wait()
	}
	return ob
}

// close lets the workers finish what is open and return; no row is taken anymore.
func (b *batcher) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cond.Broadcast()
}
