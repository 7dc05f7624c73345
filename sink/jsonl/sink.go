package jsonl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/sys/unix"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/format"
)

// Sink writes lines to one output. It is the file's only writer.
type Sink struct {
	path   string
	stdout bool
	format format.Format // nil: CloudEvents
	out    output

	lines  []byte
	closed bool
}

var (
	_ sink.Sink  = (*Sink)(nil)
	_ sink.Taker = (*Sink)(nil)
)

// output is where lines go.
type output interface {
	// write takes whole lines in order and returns how many bytes it will never
	// have to be given again. Until ctx ends it may block.
	write(ctx context.Context, lines []byte) (int, error)
	close() error
}

// New opens the output of a valid cfg. A file that ends in half a line, as a crash
// leaves it, is cut back to its last whole one.
func New(cfg Config, log *slog.Logger) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("jsonl: %w", err)
	}
	s := &Sink{path: cfg.Path, stdout: cfg.Path == Stdout, format: cfg.Format}
	var err error
	if s.stdout {
		s.path = "standard output"
		s.out = openStream(cfg.Stdout)
	} else if s.out, err = openPath(cfg, log); err != nil {
		return nil, fmt.Errorf("jsonl: %w", err)
	}
	return s, nil
}

// Publish writes the events and returns once the system has them, or with FsyncBatch
// the disk. After an error the output never holds half a line, or will hold the other
// half before anything else. With Rotate it may end a file, and compress a part of one.
// Standard output whose reader has ended refuses for good; a named pipe may be read
// again.
func (s *Sink) Publish(ctx context.Context, events []sink.Record) error {
	if s.closed {
		return fmt.Errorf("jsonl: %s is closed", s.path)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("jsonl: write to %s: %w", s.path, err)
	}
	var partial sink.PartialError
	var written []int // indices of the events in lines
	var ends []int
	s.lines = s.lines[:0]
	for i, r := range events {
		lines, err := s.append(ctx, r)
		if err != nil && format.Temporary(err) {
			return fmt.Errorf("jsonl: %w", err)
		}
		if err != nil {
			partial.Refused, partial.Err = append(partial.Refused, i), err
			continue
		}
		s.lines = append(lines, '\n')
		written, ends = append(written, i), append(ends, len(s.lines))
	}
	n, err := s.out.write(ctx, s.lines)
	if err != nil {
		partial.Err = fmt.Errorf("jsonl: write to %s: %w", s.path, err)
		left := &partial.Failed
		if s.stdout && errors.Is(err, unix.EPIPE) {
			left = &partial.Refused
		}
		for i, end := range ends {
			if end > n {
				*left = append(*left, written[i])
			}
		}
		slices.Sort(partial.Refused)
	}
	if partial.Err != nil {
		return &partial
	}
	return nil
}

// append adds the event to the lines that are written next.
func (s *Sink) append(ctx context.Context, r sink.Record) ([]byte, error) {
	if s.format != nil {
		return s.format.Append(ctx, s.lines, r)
	}
	return sink.AppendStructured(s.lines, r)
}

// Close closes the file; standard output is left open. It may be called again.
func (s *Sink) Close(context.Context) error {
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.out.close(); err != nil {
		return fmt.Errorf("jsonl: close %s: %w", s.path, err)
	}
	return nil
}

// Takes tells whether the format has a counterpart for the type of event.
func (s *Sink) Takes(t detect.Type) bool { return s.format == nil || s.format.Takes(t) }
