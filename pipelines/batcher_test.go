package pipelines

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/detect"
	"sightline/detect/onnx"
)

// fakeEngine makes batches that note what is written and run. The text of a
// detection's class says what its row held.
type fakeEngine struct {
	writeTime, runTime time.Duration
	openTime           time.Duration              // of a batch of wide pictures
	refuse             func(f *decode.Frame) bool // frames that cannot be written
	openErr            error

	mu       sync.Mutex
	runs     [][]string
	running  int
	parallel int // most runs at a time
	closed   int
	opened   int
}

type fakeBatch struct {
	engine  *fakeEngine
	shape   onnx.Shape
	mu      sync.Mutex
	rows    []string
	writing int
}

func (e *fakeEngine) open(shape onnx.Shape, rows int) (batch, error) {
	if e.openErr != nil {
		return nil, e.openErr
	}
	if shape == wide {
		time.Sleep(e.openTime)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opened++
	return &fakeBatch{engine: e, shape: shape, rows: make([]string, rows)}, nil
}

func (b *fakeBatch) Write(row int, _ *onnx.Writer, f *decode.Frame) error {
	b.mu.Lock()
	b.writing++
	b.mu.Unlock()
	time.Sleep(b.engine.writeTime)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing--
	if b.engine.refuse != nil && b.engine.refuse(f) {
		return errors.New("cannot be written")
	}
	b.rows[row] = fmt.Sprintf("%s%d", f.Epoch, f.Index)
	return nil
}

func (b *fakeBatch) Run(rows int) error {
	e := b.engine
	e.mu.Lock()
	e.running++
	e.parallel = max(e.parallel, e.running)
	e.mu.Unlock()
	b.mu.Lock()
	if b.writing > 0 {
		panic("a batch runs while it is written")
	}
	if slices.Contains(b.rows[:rows], "") {
		panic("a row is empty")
	}
	b.mu.Unlock()
	time.Sleep(e.runTime)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running--
	e.runs = append(e.runs, slices.Clone(b.rows[:rows]))
	return nil
}

func (b *fakeBatch) Detections(row int) ([]detect.Detection, error) {
	return []detect.Detection{{Class: b.rows[row]}}, nil
}

func (b *fakeBatch) Close() { b.engine.mu.Lock(); b.engine.closed++; b.engine.mu.Unlock() }

// fakeLane is a lane that notes what comes back.
type fakeLane struct {
	lane
	name string
	mu   sync.Mutex
	got  []string // "number=what"
	lost int
}

func newFakeLane(name string, live bool) *fakeLane {
	l := &fakeLane{name: name}
	l.lane = lane{live: live, deliver: l.take, replace: func(*row) { l.lost++ }}
	return l
}

func (l *fakeLane) take(r *row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what := "error"
	if r.err == nil {
		what = r.dets[0].Class
	}
	l.got = append(l.got, fmt.Sprintf("%d=%s", r.seq, what))
}

// put sends the frame with that number.
func (l *fakeLane) put(t *testing.T, b *batcher, index uint64, shape onnx.Shape) {
	t.Helper()
	f := decodetest.NewFrame(nil, 16, 16, index, decodetest.Flat)
	f.Epoch = l.name
	core := b.gate.enter(workPreprocess, time.Time{})
	defer b.gate.leave(core)
	if err := b.put(&row{lane: &l.lane}, f, shape); err != nil {
		t.Error(err)
	}
}

var small, wide = onnx.Shape{Width: 32, Height: 32}, onnx.Shape{Width: 64, Height: 32}

// working runs workers until the function it returns is called.
func working(b *batcher, workers int) (finish func()) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(b.work)
	}
	return func() { b.close(); wg.Wait() }
}

func TestANewerLiveFrameTakesOverTheWaitingRow(t *testing.T) {
	e := &fakeEngine{}
	b := newBatcher(e.open, newGate(1, 0, threadTime), 4)
	gate, file := newFakeLane("g", true), newFakeLane("f", false)
	for i := range uint64(3) { // nobody works yet
		gate.put(t, b, i+1, small)
		file.put(t, b, i+1, small)
	}
	gate.fence() // an epoch ends: what waits is its last
	gate.put(t, b, 9, small)
	working(b, 1)()
	if want := []string{"1=g3", "2=g9"}; !slices.Equal(gate.got, want) || gate.lost != 2 {
		t.Errorf("live: got %v, %d replaced; want %v and 2", gate.got, gate.lost, want)
	}
	if want := []string{"1=f1", "2=f2", "3=f3"}; !slices.Equal(file.got, want) {
		t.Errorf("file: got %v, want %v", file.got, want)
	}
	if e.opened != e.closed {
		t.Errorf("%d batches opened, %d closed", e.opened, e.closed)
	}
}

func TestBatchesRunInTheOrderTheyWereOpened(t *testing.T) {
	e := &fakeEngine{}
	b := newBatcher(e.open, newGate(1, 0, threadTime), 2)
	a, c := newFakeLane("a", false), newFakeLane("c", false)
	a.put(t, b, 1, small)
	c.put(t, b, 1, wide)
	a.put(t, b, 2, small)
	a.put(t, b, 3, small) // the first batch is full
	c.put(t, b, 2, wide)
	working(b, 1)()
	want := "[[a1 a2] [c1 c2] [a3]]"
	if got := fmt.Sprint(e.runs); got != want {
		t.Errorf("ran %s, want %s", got, want)
	}
}

// TestLanesAreServedAlike has ten cameras over capacity share the engine evenly.
func TestLanesAreServedAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{writeTime: time.Millisecond, runTime: 20 * time.Millisecond}
		b := newBatcher(e.open, newGate(2, 0, threadTime), 4)
		finish := working(b, 2)
		var lanes []*fakeLane
		var cameras sync.WaitGroup
		for i := range 10 {
			l := newFakeLane(string(rune('a'+i)), true)
			lanes = append(lanes, l)
			cameras.Go(func() {
				for k := range uint64(400) {
					l.put(t, b, k+1, small)
					time.Sleep(time.Duration(5+i) * time.Millisecond) // some are eager
				}
			})
		}
		cameras.Wait()
		finish()
		for _, l := range lanes {
			if len(l.got)+l.lost != 400 {
				t.Errorf("lane %s: %d came back and %d were replaced of 400", l.name, len(l.got), l.lost)
			}
		}
		least, most := len(lanes[9].got), len(lanes[0].got)
		if least < 80 || most > 2*least {
			t.Errorf("%d to %d results a lane", least, most)
		}
		if e.parallel != 2 {
			t.Errorf("%d batches ran at a time, want 2", e.parallel)
		}
	})
}

// TestSealingWaitsForWriters has many writers and workers on one core: with a
// batch sealed under a writer, the fake panics; with a core held too long,
// nothing ends.
func TestSealingWaitsForWriters(t *testing.T) {
	for _, cores := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			e := &fakeEngine{writeTime: 3 * time.Millisecond, runTime: 5 * time.Millisecond}
			b := newBatcher(e.open, newGate(cores, 0, threadTime), 3)
			finish := working(b, cores)
			var wg sync.WaitGroup
			for i := range 6 {
				l := newFakeLane(string(rune('a'+i)), i%2 == 0)
				wg.Go(func() {
					for k := range uint64(50) {
						l.put(t, b, k+1, small)
						time.Sleep(time.Duration(i) * time.Millisecond)
					}
				})
			}
			wg.Wait()
			finish()
			if e.opened != e.closed || e.parallel > cores {
				t.Errorf("%d cores: %d of %d batches closed, %d ran at a time", cores, e.closed, e.opened, e.parallel)
			}
		})
	}
}

// TestAFrameThatCannotBeWrittenHarmsNoOther puts a bad frame beside good ones.
func TestAFrameThatCannotBeWrittenHarmsNoOther(t *testing.T) {
	e := &fakeEngine{refuse: func(f *decode.Frame) bool { return f.Epoch == "bad" }}
	b := newBatcher(e.open, newGate(1, 0, threadTime), 4)
	bad, good := newFakeLane("bad", false), newFakeLane("good", false)
	good.put(t, b, 1, small)
	bad.put(t, b, 1, small)
	good.put(t, b, 2, small)
	working(b, 1)()
	if got := strings.Join(append(good.got, bad.got...), " "); got != "1=good1 2=good2 1=error" {
		t.Errorf("got %s", got)
	}
}

// TestABatchThatCannotBeOpenedTakesNoNumber keeps the analyst from waiting for
// a row that never comes.
func TestABatchThatCannotBeOpenedTakesNoNumber(t *testing.T) {
	e := &fakeEngine{openErr: errors.New("no memory")}
	b := newBatcher(e.open, newGate(1, 0, threadTime), 4)
	l := newFakeLane("a", false)
	if err := b.put(&row{lane: &l.lane}, decodetest.NewFrame(nil, 16, 16, 1, decodetest.Flat), small); err == nil {
		t.Error("no error")
	}
	e.openErr = nil
	l.put(t, b, 2, small)
	working(b, 1)()
	if !slices.Equal(l.got, []string{"1=a2"}) {
		t.Errorf("got %v", l.got)
	}
}
