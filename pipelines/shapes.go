package pipelines

import (
	"sync"
	"sync/atomic"

	"sightline/detect/onnx"
)

// sizes is what compiles input sizes; *onnx.Session is one.
type sizes interface {
	Ideal(width, height int) onnx.Shape
	ShapeFor(width, height int) onnx.Shape
	Ready(onnx.Shape) bool
	Prepare(onnx.Shape) error
}

// shapes picks the network's input size for a stream's picture size. Compiling a
// size takes tenths of a second: a lossless stream waits for it, any other is
// letterboxed into a size that is ready meanwhile, and for good into one where
// its own cannot be compiled. One size at least is ready from the start. The
// decoding goroutine uses it.
type shapes struct {
	session sizes
	wait    bool
	failed  func(error)      // told of a size that could not be compiled
	wanted  func(onnx.Shape) // told of each size that is asked for; nil: nobody wants to know

	width, height int
	ideal         onnx.Shape
	settled       bool // ideal is ready
	tried         bool // ideal was or is being compiled
	compiling     sync.WaitGroup
	busy          atomic.Bool
}

// at is the same for another session, of which nothing is known yet.
func (s *shapes) at(session sizes) *shapes {
	return &shapes{session: session, wait: s.wait, failed: s.failed, wanted: s.wanted}
}

func (s *shapes) get(width, height int) onnx.Shape {
	if width != s.width || height != s.height {
		s.width, s.height, s.settled, s.tried = width, height, false, false
		s.ideal = s.session.Ideal(width, height)
		if s.wanted != nil {
			s.wanted(s.ideal)
		}
	}
	if s.settled {
		return s.ideal
	}
	if s.settled = s.session.Ready(s.ideal); s.settled {
		return s.ideal
	}
	if s.tried || !s.busy.CompareAndSwap(false, true) {
		return s.session.ShapeFor(width, height)
	}
	s.tried = true
	ideal := s.ideal
	s.compiling.Go(func() {
		defer s.busy.Store(false)
		if err := s.session.Prepare(ideal); err != nil {
			s.failed(err)
		}
	})
	if s.wait {
		s.compiling.Wait()
	}
	return s.session.ShapeFor(width, height)
}
