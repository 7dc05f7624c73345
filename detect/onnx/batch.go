package onnx

import (
	"fmt"

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
	slots   slots
	rows    []row
	limit   int // rows that the holder asked for
}

// row is one picture's place in a batch.
type row struct {
	writer        *Writer
	letterbox     kernels.Letterbox
	width, height int
	computed      bool // since it was written
}

func newBatch(s *Session, st *stage) (*Batch, error) {
	m, err := st.plan.slots()
	if err != nil {
		return nil, err
	}
	return &Batch{session: s, stage: st, slots: m, rows: make([]row, s.cfg.MaxBatch)}, nil
}

// Open returns an empty batch of rows rows for a size that is ready. It may be called
// while others run. Where more are out than ever before it makes one, which on a GPU
// allocates, and may take milliseconds: nothing else of the session waits for that,
// unless it records CUDA graphs.
func (s *Session) Open(shape Shape, rows int) (*Batch, error) {
	if rows < 1 || rows > s.cfg.MaxBatch {
		return nil, fmt.Errorf("open a batch: %d rows are not within 1 and %d", rows, s.cfg.MaxBatch)
	}
	b, st, err := s.idle(shape)
	if err == nil && b == nil {
		if b, err = newBatch(s, st); err == nil && s.Graphs() > 0 {
			if err = b.slots.warm(); err != nil {
				b.slots.Close()
			}
		}
		if err != nil {
			s.open.Done()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open a batch: %w", err)
	}
	b.limit = rows
	return b, nil
}

// idle takes a batch that is there, or nil where one has to be made of the stage; the
// session counts it as open.
func (s *Session) idle(shape Shape) (*Batch, *stage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errClosed
	}
	st := s.find(shape)
	if st == nil {
		return nil, nil, fmt.Errorf("input size %s is not compiled", shape)
	}
	s.open.Add(1)
	last := len(st.idle) - 1
	if last < 0 {
		return nil, st, nil
	}
	b := st.idle[last]
	st.idle = st.idle[:last]
	return b, st, nil
}

// Close gives the batch back to its session. It must not be used afterwards.
func (b *Batch) Close() {
	b.slots.settle()
	for i := range b.rows {
		b.rows[i] = row{}
	}
	s := b.session
	s.mu.Lock()
	b.stage.idle = append(b.stage.idle, b)
	s.mu.Unlock()
	s.open.Done()
}

// Shape is the input size of the batch, and Rows how many pictures it takes.
func (b *Batch) Shape() Shape { return b.stage.shape }

// Rows is how many pictures the batch takes.
func (b *Batch) Rows() int { return b.limit }

// Write puts a frame into a row: scaled, letterboxed and converted straight into
// the engine's input. A session on the CPU takes frames in host memory, one on a
// GPU also those in that GPU's; there Write does not wait for the picture to be
// converted, and the batch retains the frame until it is. The caller may release
// it afterwards. A row may be written again before Run.
func (b *Batch) Write(at int, w *Writer, f *decode.Frame) error {
	if at < 0 || at >= b.limit {
		return fmt.Errorf("write a frame: row %d of %d", at, b.limit)
	}
	letterbox, err := b.slots.write(at, w, f)
	if err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	b.rows[at] = row{writer: w, letterbox: letterbox, width: f.Width, height: f.Height}
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
	switch f {
	case decode.NV12:
		return kernels.NV12
	case decode.P010:
		return kernels.P010
	}
	return kernels.I420
}

// Run computes the first rows rows, all of which must be written. It blocks until
// the outputs are there, on the calling thread, and cannot be cancelled. A row's
// result does not depend on the others'. After the loss of its GPU it fails at
// once, with an error that wraps cuda.ErrLost.
func (b *Batch) Run(rows int) error {
	if rows < 1 || rows > b.limit {
		return fmt.Errorf("run a batch: %d rows of %d", rows, b.limit)
	}
	for i := range rows {
		if b.rows[i].writer == nil {
			return fmt.Errorf("run a batch of %d: row %d was not written", rows, i)
		}
	}
	err := b.slots.run(b.rows[:rows])
	for i := range rows {
		b.rows[i].computed = err == nil
	}
	if err != nil {
		return fmt.Errorf("run a batch of %d: %w", rows, err)
	}
	return nil
}

// Detections are what the network found in a row after Run: boxes in 0..1 of the
// frame, not clipped, best first, of the writer's classes and at or above its
// threshold, overlapping ones suppressed. The slice is the caller's.
func (b *Batch) Detections(row int) ([]detect.Detection, error) {
	if row < 0 || row >= b.limit || !b.rows[row].computed {
		return nil, fmt.Errorf("read detections: row %d was not computed", row)
	}
	r := &b.rows[row]
	kept, err := b.slots.boxes(row, r.writer)
	if err != nil {
		return nil, err
	}
	labels := b.session.spec.Labels
	out := make([]detect.Detection, len(kept))
	l, w, h := r.letterbox, float64(r.width), float64(r.height)
	for i, k := range kept {
		x1, y1 := float64(k.X1-l.PadX)/float64(l.ScaleX)/w, float64(k.Y1-l.PadY)/float64(l.ScaleY)/h
		x2, y2 := float64(k.X2-l.PadX)/float64(l.ScaleX)/w, float64(k.Y2-l.PadY)/float64(l.ScaleY)/h
		out[i] = detect.Detection{
			Class: labels[k.Class], Score: float64(k.Score), Box: detect.Rect{X: x1, Y: y1, W: x2 - x1, H: y2 - y1},
		}
	}
	return out, nil
}
