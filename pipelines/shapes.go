package pipelines

import (
	"sync"
	"sync/atomic"

	"sightline/detect/onnx"
)

// shapes picks the network's input size for a stream's picture size. Compiling a
// size takes tenths of a second: a lossless stream waits for it, any other is
// letterboxed into a size that is ready meanwhile. The decoding goroutine uses it.
type shapes struct {
	session *onnx.Session
	wait    bool
	failed  func(error) // told of a size that could not be compiled

	width, height int
	ideal         onnx.Shape
	settled       bool // ideal is ready
	compiling     sync.WaitGroup
	busy          atomic.Bool
}

func (s *shapes) get(width, height int) (onnx.Shape, error) {
	if width != s.width || height != s.height {
		s.width, s.height, s.settled = width, height, false
		s.ideal = s.session.Ideal(width, height)
	}
	if s.settled {
		return s.ideal, nil
	}
	if s.settled = s.session.Ready(s.ideal); s.settled {
		return s.ideal, nil
	}
	if s.wait {
		return s.ideal, s.session.Prepare(s.ideal)
	}
	if s.busy.CompareAndSwap(false, true) {
		ideal := s.ideal
		s.compiling.Go(func() {
			defer s.busy.Store(false)
			if err := s.session.Prepare(ideal); err != nil {
				s.failed(err)
			}
		})
	}
	return s.session.ShapeFor(width, height), nil
}
