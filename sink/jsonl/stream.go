package jsonl

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// stream is an output that cannot be cut back: a pipe, a terminal, a device.
type stream struct {
	w    io.Writer
	own  io.Closer // nil when the output is the caller's
	rest []byte    // of a line whose beginning has been written
}

// openStream uses w, in a way that lets a context end a write that nobody reads.
func openStream(w io.Writer) *stream {
	f, ok := w.(*os.File)
	if !ok {
		return &stream{w: w}
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeCharDevice) == 0 {
		return &stream{w: w}
	}
	// Deadlines need a descriptor that does not block, which must not be forced on
	// one that other processes share: the same pipe is opened once more.
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY, 0)
	if err != nil {
		return &stream{w: w}
	}
	return &stream{w: again, own: again}
}

func (s *stream) write(ctx context.Context, lines []byte) (int, error) {
	if d, ok := s.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		past := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			d.SetWriteDeadline(time.Unix(1, 0))
			close(past)
		})
		defer func() {
			if !stop() {
				<-past
			}
			d.SetWriteDeadline(time.Time{})
		}()
	}
	n, err := s.w.Write(s.rest)
	if s.rest = s.rest[n:]; err != nil {
		return 0, ended(ctx, err)
	}
	n, err = s.w.Write(lines)
	if err == nil {
		return n, nil
	}
	whole := bytes.LastIndexByte(lines[:n], '\n') + 1
	if n > whole { // the reader has half a line: it gets the other half first, later
		end := n + bytes.IndexByte(lines[n:], '\n') + 1
		s.rest = bytes.Clone(lines[n:end])
	}
	return whole, ended(ctx, err)
}

func (s *stream) close() error {
	if s.own == nil {
		return nil
	}
	return s.own.Close()
}

// ended prefers the reason why ctx ended to the deadline that it set.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
