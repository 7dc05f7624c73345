package decode

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

// Live counts the frames that were handed out and not yet given back, and the
// bytes of their samples. Decoders share one; it is safe for concurrent use. The zero value counts, and a nil
// *Live does nothing.
type Live struct {
	n      atomic.Int64
	bytes  atomic.Int64
	mu     sync.Mutex
	births map[*Frame][]uintptr // nil unless traced
}

// TraceLive is a Live that also remembers where each frame was made, for tests:
// it costs microseconds a frame.
func TraceLive() *Live { return &Live{births: map[*Frame][]uintptr{}} }

// Frames is how many are out.
func (l *Live) Frames() int {
	if l == nil {
		return 0
	}
	return int(l.n.Load())
}

// Bytes is how many bytes of samples the frames that are out have. What their
// decoders hold in all, Info tells.
func (l *Live) Bytes() int64 {
	if l == nil {
		return 0
	}
	return l.bytes.Load()
}

// New is NewFrame, counted until its last release.
func (l *Live) New(f Frame, free func()) *Frame {
	if l == nil {
		return NewFrame(f, free)
	}
	size := pixelBytes(&f)
	l.n.Add(1)
	l.bytes.Add(size)
	var out *Frame
	out = NewFrame(f, func() {
		l.forget(out)
		free()
		l.n.Add(-1)
		l.bytes.Add(-size)
	})
	if l.births != nil {
		pcs := make([]uintptr, 32)
		pcs = pcs[:runtime.Callers(2, pcs)]
		l.mu.Lock()
		l.births[out] = pcs
		l.mu.Unlock()
	}
	return out
}

func (l *Live) forget(f *Frame) {
	if l.births == nil {
		return
	}
	l.mu.Lock()
	delete(l.births, f)
	l.mu.Unlock()
}

// Births lists the traced frames that are out, each with the stack that made it.
func (l *Live) Births() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for f, pcs := range l.births {
		var b strings.Builder
		fmt.Fprintf(&b, "frame %q %s %d, %dx%d, made at", f.Stream, f.Epoch, f.Index, f.Width, f.Height)
		frames := runtime.CallersFrames(pcs)
		for {
			at, more := frames.Next()
			fmt.Fprintf(&b, "\n\t%s\n\t\t%s:%d", at.Function, at.File, at.Line)
			if !more {
				break
			}
		}
		list = append(list, b.String())
	}
	return list
}
