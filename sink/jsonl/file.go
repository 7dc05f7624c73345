package jsonl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxTail is the longest half line that is looked for at the end of a file.
const maxTail = 1 << 20

// file is a regular file that ends with whole lines.
type file struct {
	f    *os.File
	size int64 // up to here lines are whole
	torn bool  // there may be more behind size
}

// openPath opens or makes the file at path for appending; what is there and is not
// a regular file is written to as a stream.
func openPath(path string, log *slog.Logger) (output, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of %s: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &stream{w: f, own: f}, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	out := &file{f: f}
	if err := out.takeOver(log); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return out, nil
}

// takeOver makes sure that nobody else writes to the file and that it ends with a
// whole line.
func (o *file) takeOver(log *slog.Logger) error {
	name := o.f.Name()
	if err := unix.Flock(int(o.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s is being written by another sink or process", name)
	}
	info, err := o.f.Stat()
	if err != nil {
		return err
	}
	o.size = info.Size()
	tail := make([]byte, min(o.size, maxTail))
	if _, err := o.f.ReadAt(tail, o.size-int64(len(tail))); err != nil {
		return fmt.Errorf("read the end of %s: %w", name, err)
	}
	half := tail[bytes.LastIndexByte(tail, '\n')+1:]
	if len(half) == 0 {
		return nil
	}
	if begin := []byte(`{"specversion":`); !bytes.HasPrefix(half, begin[:min(len(begin), len(half))]) {
		return fmt.Errorf("%s does not end with a line of events: it is left alone", name)
	}
	log.Warn("file ends in half an event, as after a crash: cut back to the last whole one", "path", name, "bytes", len(half))
	o.size -= int64(len(half))
	return o.f.Truncate(o.size)
}

// write appends all lines or, after an error, none: what was written is cut off.
func (o *file) write(_ context.Context, lines []byte) (int, error) {
	if o.torn {
		if err := o.cut(); err != nil {
			return 0, err
		}
	}
	n, err := o.f.Write(lines)
	if err != nil {
		o.torn = n > 0
		if o.torn {
			err = errors.Join(err, o.cut())
		}
		return 0, err
	}
	o.size += int64(n)
	return n, nil
}

func (o *file) cut() error {
	if err := o.f.Truncate(o.size); err != nil {
		return fmt.Errorf("cut off half a line: %w", err)
	}
	o.torn = false
	return nil
}

func (o *file) close() error { return o.f.Close() }
