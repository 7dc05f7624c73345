package onnx

import (
	"fmt"
	"unsafe"

	"sightline/decode"
	"sightline/detect"
	"sightline/kernels"
)

// Limits of what one picture gives.
const (
	maxOverlap = 0.5 // intersection over union from which two boxes are one object
	maxBoxes   = 300
)

// Batch is one run of a Session over up to Rows pictures. Its rows are written,
// then it is run, then its detections are read; Close gives it back. Write and
// Detections may be called concurrently for different rows, Run and Close not
// with anything else. The engine's objects and memory belong to the batch alone,
// so that batches run concurrently.
type Batch struct {
	session *Session
	stage   *stage
	memory  *block
	outputs []output
	offsets []int // where each output's rows begin in memory; the input is at 0
	input   int   // bytes of an input row
	rows    []row
	limit   int // rows that the holder asked for
	runs    map[span]request
}

// span is which rows a request covers.
type span struct{ first, rows int }

// row is one picture's place in a batch.
type row struct {
	writer        *Writer
	letterbox     kernels.Letterbox
	width, height int
	boxes         []kernels.Box // reused from picture to picture
}

func newBatch(s *Session, st *stage) (*Batch, error) {
	b := &Batch{
		session: s, stage: st, outputs: s.spec.family.outputs(st.shape),
		input: s.spec.Input.slot(st.shape).Size(), rows: make([]row, s.cfg.MaxBatch), runs: map[span]request{},
	}
	const align = 64
	end := (b.input*len(b.rows) + align - 1) / align * align
	for _, o := range b.outputs {
		b.offsets = append(b.offsets, end)
		end += (o.size()*4*len(b.rows) + align - 1) / align * align
	}
	var err error
	b.memory, err = newBlock(end)
	return b, err
}

// Open returns an empty batch of rows rows for a size that is ready. It does not
// block and may be called while others run.
func (s *Session) Open(shape Shape, rows int) (*Batch, error) {
	if rows < 1 || rows > s.cfg.MaxBatch {
		return nil, fmt.Errorf("open a batch: %d rows are not within 1 and %d", rows, s.cfg.MaxBatch)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("open a batch: %w", errClosed)
	}
	st := s.find(shape)
	if st == nil {
		return nil, fmt.Errorf("open a batch: input size %s is not compiled", shape)
	}
	var b *Batch
	if last := len(st.idle) - 1; last >= 0 {
		b, st.idle = st.idle[last], st.idle[:last]
	} else {
		var err error
		if b, err = newBatch(s, st); err != nil {
			return nil, fmt.Errorf("open a batch: %w", err)
		}
	}
	b.limit = rows
	s.open.Add(1)
	return b, nil
}

// Close gives the batch back to its session. It must not be used afterwards.
func (b *Batch) Close() {
	for i := range b.rows {
		b.rows[i].writer = nil
	}
	s := b.session
	s.mu.Lock()
	b.stage.idle = append(b.stage.idle, b)
	s.mu.Unlock()
	s.open.Done()
}

func (b *Batch) destroy() {
	for _, r := range b.runs {
		r.Close()
	}
	b.memory.free()
}

// Shape is the input size of the batch, and Rows how many pictures it takes.
func (b *Batch) Shape() Shape { return b.stage.shape }

// Rows is how many pictures the batch takes.
func (b *Batch) Rows() int { return b.limit }

// Write puts a frame in host memory into a row: scaled, letterboxed and converted
// straight into the engine's input. The frame may be released afterwards. A row
// may be written again before Run.
func (b *Batch) Write(row int, w *Writer, f *decode.Frame) error {
	if row < 0 || row >= b.limit {
		return fmt.Errorf("write a frame: row %d of %d", row, b.limit)
	}
	if f.Memory != decode.Host {
		return fmt.Errorf("write a frame: it is not in host memory (kind %d)", f.Memory)
	}
	pre, err := w.preprocess(b.stage.shape)
	if err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	r := &b.rows[row]
	r.letterbox, err = pre.Run(unsafe.Pointer(&b.memory.bytes[row*b.input]), pictureOf(f))
	if err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	r.writer, r.width, r.height = w, f.Width, f.Height
	return nil
}

// pictureOf is a frame as the kernels see it.
func pictureOf(f *decode.Frame) *kernels.Picture {
	p := kernels.Picture{
		Format: format(f.Format), Width: f.Width, Height: f.Height,
		BT709: f.Color.Matrix == decode.BT709, FullRange: f.Color.FullRange, ChromaLeft: f.Color.ChromaLeft,
	}
	for i, plane := range f.Planes {
		p.Planes[i], p.Strides[i] = plane.Data, plane.Stride
	}
	return &p
}

func format(f decode.PixelFormat) kernels.Format {
	if f == decode.NV12 {
		return kernels.NV12
	}
	return kernels.I420
}

// Run computes the first rows rows, all of which must be written. It blocks until
// the outputs are there, on the calling thread, and cannot be cancelled. A row's
// result does not depend on the others'.
func (b *Batch) Run(rows int) error {
	if rows < 1 || rows > b.limit {
		return fmt.Errorf("run a batch: %d rows of %d", rows, b.limit)
	}
	for i := range rows {
		if b.rows[i].writer == nil {
			return fmt.Errorf("run a batch of %d: row %d was not written", rows, i)
		}
	}
	return b.run(rows)
}

func (b *Batch) run(rows int) error {
	for first := 0; first < rows; {
		n := min(len(b.stage.programs), rows-first)
		r, err := b.request(span{first, n})
		if err == nil {
			err = r.Run()
		}
		if err != nil {
			return fmt.Errorf("run a batch of %d: %w", rows, err)
		}
		first += n
	}
	return nil
}

// request returns the request for a span of rows, made at its first use.
func (b *Batch) request(s span) (request, error) {
	if r, ok := b.runs[s]; ok {
		return r, nil
	}
	var outs []unsafe.Pointer
	for i, o := range b.outputs {
		outs = append(outs, unsafe.Pointer(&b.memory.bytes[b.offsets[i]+s.first*o.size()*4]))
	}
	p := b.stage.programs[s.rows-1]
	r, err := p.request(b.session.spec, b.stage.shape, s.rows, unsafe.Pointer(&b.memory.bytes[s.first*b.input]), outs)
	if err == nil {
		b.runs[s] = r
	}
	return r, err
}

// warm makes and runs the first requests, so that errors and first-time work
// come before any frame.
func (b *Batch) warm() error {
	for n := range b.stage.programs {
		r, err := b.request(span{0, n + 1})
		if err == nil {
			err = r.Run()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// values are the outputs of one row, in the batch's memory.
func (b *Batch) values(row int) [][]float32 {
	var all [][]float32
	for i, o := range b.outputs {
		start := b.offsets[i] + row*o.size()*4
		all = append(all, unsafe.Slice((*float32)(unsafe.Pointer(&b.memory.bytes[start])), o.size()))
	}
	return all
}

// Detections are what the network found in a row after Run: boxes in 0..1 of the
// frame, not clipped, best first, of the writer's classes and at or above its
// threshold, overlapping ones suppressed. The slice is the caller's.
func (b *Batch) Detections(row int) ([]detect.Detection, error) {
	r := &b.rows[row]
	if r.writer == nil {
		return nil, fmt.Errorf("read detections: row %d was not written", row)
	}
	spec := b.session.spec
	found, err := spec.family.decode(b.values(row), b.stage.shape, r.writer.wanted, r.writer.threshold, r.boxes[:0])
	if err != nil {
		return nil, err
	}
	r.boxes = found
	kept, err := kernels.NMS(found, maxOverlap, r.writer.groups, maxBoxes)
	if err != nil {
		return nil, err
	}
	out := make([]detect.Detection, len(kept))
	l, w, h := r.letterbox, float64(r.width), float64(r.height)
	for i, k := range kept {
		x1, y1 := float64(k.X1-l.PadX)/float64(l.ScaleX)/w, float64(k.Y1-l.PadY)/float64(l.ScaleY)/h
		x2, y2 := float64(k.X2-l.PadX)/float64(l.ScaleX)/w, float64(k.Y2-l.PadY)/float64(l.ScaleY)/h
		out[i] = detect.Detection{
			Class: spec.Labels[k.Class], Score: float64(k.Score), Box: detect.Rect{X: x1, Y: y1, W: x2 - x1, H: y2 - y1},
		}
	}
	return out, nil
}
