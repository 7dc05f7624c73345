package pipelines

import (
	"cmp"
	"errors"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/onnx"
)

// look is one picture that both networks of a stream see.
type look struct {
	batch   *onnx.Batch // holds the picture for the one that does not work
	onGPU   bool
	working bool // the optimized network works, this is for the original
	at      time.Time
	live    chan []detect.Detection // what the one that works finds; closed without where that is never known
	settled chan struct{}           // closed when it was judged
}

// run lets the network see the picture, once nothing more urgent wants a core.
func (l *look) run(g *gate) ([]detect.Detection, error) {
	defer l.batch.Close()
	var w work
	if l.onGPU {
		w = g.aside(workShadow)
	} else {
		w = g.enter(workShadow, time.Time{})
	}
	err := l.batch.Run(1)
	g.leave(w)
	if err != nil {
		return nil, err
	}
	return l.batch.Detections(0)
}

// found tells a look what the network that works found. Nil does nothing.
func (l *look) found(dets []detect.Detection) {
	if l != nil {
		l.live <- dets
	}
}

// lost tells it that this will never be known. Nil does nothing.
func (l *look) lost() {
	if l != nil {
		close(l.live)
	}
}

// replaced is told of a row that a newer picture took over.
func (s *stream) replaced(old *row) {
	s.ledger.skip("replaced")
	old.look.lost()
}

var errNowhere = errors.New("no device runs it now")

// newLook puts f into a batch of its own. The decoding goroutine's.
func newLook(n *network, f *decode.Frame) (*look, error) {
	if _, ok, err := n.follow(); err != nil || !ok {
		return nil, cmp.Or(err, errNowhere)
	}
	batch, err := n.session.Open(n.shapes.get(f.Width, f.Height), 1)
	if err != nil {
		return nil, err
	}
	if err := batch.Write(0, n.writer, f); err != nil {
		batch.Close()
		return nil, err
	}
	return &look{
		batch: batch, onGPU: n.batcher.onGPU, at: f.Captured, live: make(chan []detect.Detection, 1), settled: make(chan struct{}),
	}, nil
}
