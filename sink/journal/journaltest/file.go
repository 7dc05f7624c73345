package journaltest

import (
	"io"
	"io/fs"
	"slices"
	"syscall"
)

// file is an open file.
type file struct {
	fs     *FS
	inode  *inode
	name   string
	closed bool
}

func (f *file) call(op string) error {
	if f.closed {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	return f.fs.call(op, f.name)
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.call("read"); err != nil {
		return 0, err
	}
	n := 0
	if at < int64(len(f.inode.seen)) {
		n = copy(b, f.inode.seen[at:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := len(b), f.call("write")
	grow := at + int64(len(b)) - int64(len(f.inode.seen))
	if err == nil && grow > 0 && f.fs.used()+grow > f.fs.space {
		n, err = max(0, len(b)-int(f.fs.used()+grow-f.fs.space)), &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	} else if err != nil {
		n = f.fs.rng.Intn(len(b) + 1)
	}
	if f.closed {
		return 0, err
	}
	part := slices.Clone(b[:n])
	f.inode.seen = put(f.inode.seen, at, part)
	f.inode.pending = append(f.inode.pending, write{at, part})
	return n, err
}

// Sync that fails leaves chance what of the pending is on the disk, and forgets that
// it was pending, as Linux does.
func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.call("sync")
	if f.closed {
		return err
	}
	for _, w := range f.inode.pending {
		f.inode.tear(w, func() bool { return err == nil || f.fs.rng.Intn(2) == 0 })
	}
	f.inode.pending = nil
	return err
}

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.inode.seen)), f.call("size")
}

func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}
