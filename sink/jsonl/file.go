package jsonl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxTail is the longest half line that is looked for at the end of a file.
const maxTail = 1 << 20

// file is a regular file that ends with whole lines. Whoever renames, removes or
// empties it from outside is noticed at the next write.
type file struct {
	cfg   Config
	log   *slog.Logger
	turns *turns // nil: the file is never ended

	f     *os.File // nil: there is none at the moment
	size  int64    // up to here lines are whole
	torn  bool     // there may be more behind size
	dirty bool     // written to since it was last synced
	last  time.Time
}

// openPath opens or makes the file for appending; what is there and is not a regular
// file is written to as a stream.
func openPath(cfg Config, log *slog.Logger) (output, error) {
	if info, err := os.Stat(cfg.Path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		f, err := os.OpenFile(cfg.Path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &stream{w: f, own: f}, nil
	}
	out := &file{cfg: cfg, log: log}
	if cfg.Rotate != nil {
		out.turns = newTurns(cfg.Path, *cfg.Rotate, log)
	}
	if err := out.open(); err != nil {
		return nil, err
	}
	return out, nil
}

func (o *file) open() error {
	if err := os.MkdirAll(filepath.Dir(o.cfg.Path), 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", o.cfg.Path, err)
	}
	f, err := os.OpenFile(o.cfg.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	o.f, o.torn = f, false
	err = o.takeOver()
	if err == nil && o.cfg.Fsync == FsyncBatch { // lines in a file without a name would be lost
		err = syncFolder(filepath.Dir(o.cfg.Path))
	}
	if err != nil {
		o.f = nil
		return errors.Join(err, f.Close())
	}
	return nil
}

// syncFolder puts on disk which files a folder has.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// takeOver makes sure that nobody else writes to the file and that it ends with a
// whole line.
func (o *file) takeOver() error {
	name := o.f.Name()
	if err := unix.Flock(int(o.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s is being written by another sink or process", name)
	}
	info, err := o.f.Stat()
	if err != nil {
		return err
	}
	o.size, o.last = info.Size(), info.ModTime()
	tail := make([]byte, min(o.size, maxTail))
	if _, err := o.f.ReadAt(tail, o.size-int64(len(tail))); err != nil {
		return fmt.Errorf("read the end of %s: %w", name, err)
	}
	half := tail[bytes.LastIndexByte(tail, '\n')+1:]
	if len(half) == 0 {
		return nil
	}
	if begin := o.begin(); !bytes.HasPrefix(half, begin[:min(len(begin), len(half))]) {
		return fmt.Errorf("%s does not end with a line of events: it is left alone", name)
	}
	o.log.Warn("file ends in half an event, as after a crash: cut back to the last whole one", "path", name, "bytes", len(half))
	o.size -= int64(len(half))
	return o.f.Truncate(o.size)
}

// begin is how our lines begin.
func (o *file) begin() []byte {
	if o.cfg.Format != nil {
		return []byte("{")
	}
	return []byte(`{"specversion":`)
}

// write appends lines and returns how much of them is there for good: whole lines,
// all of them unless there is an error.
func (o *file) write(_ context.Context, lines []byte) (int, error) {
	done := 0
	for done < len(lines) {
		if err := o.ready(); err != nil {
			return done, err
		}
		chunk := lines[done:]
		if o.turns != nil {
			now := o.turns.now()
			if o.turns.due(o.size, o.last, len(firstLine(chunk)), now) {
				if err := o.turn(now); err != nil {
					return done, err
				}
			}
			chunk, o.last = o.turns.fit(chunk, o.size), now
		}
		if err := o.append(chunk); err != nil {
			return done, err
		}
		done += len(chunk)
	}
	if o.cfg.Fsync == FsyncBatch && done > 0 {
		if err := o.sync(); err != nil {
			return 0, err
		}
	}
	if o.turns != nil {
		o.turns.tidy()
	}
	return done, nil
}

// ready makes sure that the file is the one at the path and ends where it should.
func (o *file) ready() error {
	if o.f == nil {
		return o.open()
	}
	if o.torn {
		if err := o.cut(); err != nil {
			return err
		}
	}
	ours, err := o.f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(o.cfg.Path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil || !os.SameFile(ours, there):
		o.log.Info("file was renamed or removed: writing to a new one", "path", o.cfg.Path)
		if err := o.leave(); err != nil {
			return err
		}
		return o.open()
	case ours.Size() != o.size:
		o.log.Info("file was changed by somebody else: going on at its end", "path", o.cfg.Path)
		return o.takeOver()
	}
	return nil
}

// append writes whole lines or, after an error, nothing: what was written is cut off.
func (o *file) append(lines []byte) error {
	n, err := o.f.Write(lines)
	if err != nil {
		o.torn = n > 0
		if o.torn {
			err = errors.Join(err, o.cut())
		}
		return err
	}
	o.dirty = true
	o.size += int64(n)
	info, err := o.f.Stat()
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink == 0 {
		return errors.New("the file was removed while it was written")
	}
	return nil
}

func (o *file) cut() error {
	if err := o.f.Truncate(o.size); err != nil {
		return fmt.Errorf("cut off half a line: %w", err)
	}
	o.torn = false
	return nil
}

func (o *file) sync() error {
	if !o.dirty {
		return nil
	}
	if err := o.f.Sync(); err != nil {
		return fmt.Errorf("sync to disk: %w", err)
	}
	o.dirty = false
	return nil
}

// turn ends the file and begins another one. A file that cannot be renamed goes on:
// too long a file is better than none.
func (o *file) turn(now time.Time) error {
	if err := o.sync(); err != nil {
		return err
	}
	if !o.turns.end(now) {
		o.last = now
		return nil
	}
	if err := o.leave(); err != nil {
		return err
	}
	return o.open()
}

func (o *file) close() error {
	if o.turns != nil && o.turns.job != nil {
		o.turns.job.abandon()
	}
	return o.leave()
}

// leave closes the file, with all of it on disk.
func (o *file) leave() error {
	if o.f == nil {
		return nil
	}
	f := o.f
	err := o.sync()
	o.f, o.dirty = nil, false
	return errors.Join(err, f.Close())
}
