package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// FS is the little that a journal asks of a file system. Its errors wrap those of
// io/fs and syscall. Tests put one in that fails, or forgets what was not synced.
type FS interface {
	// Mkdir makes the folder and those above it, so that they outlive a crash; one
	// that is there already is no error.
	Mkdir(path string) error
	// Names lists what is in the folder, in any order.
	Names(path string) ([]string, error)
	// Create makes a file, to read and to write; there must be none of that name.
	Create(path string) (File, error)
	// Open opens a file to read.
	Open(path string) (File, error)
	// Reopen opens a file that is there, to read and to write.
	Reopen(path string) (File, error)
	Remove(path string) error
	// SyncDir returns when files made and removed in the folder stay so over a crash.
	SyncDir(path string) error
	// Lock takes the folder until it is closed or the process ends; ErrLocked where
	// somebody else has it. It needs no space and nothing that may be written.
	Lock(path string) (io.Closer, error)
}

// File is one file of an FS. ReadAt after Close fails with fs.ErrClosed, also in
// the middle of it; all but Close may be called at the same time.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Size() (int64, error)
}

// Disk is the machine's own file system.
type Disk struct{}

func (Disk) Mkdir(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := (Disk{}).Mkdir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return Disk{}.SyncDir(parent)
}

func (Disk) Names(path string) ([]string, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (Disk) Create(path string) (File, error) {
	return file(os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600))
}

func (Disk) Open(path string) (File, error) { return file(os.Open(path)) }

func (Disk) Reopen(path string) (File, error) { return file(os.OpenFile(path, os.O_RDWR, 0)) }

func (Disk) Remove(path string) error { return os.Remove(path) }

func (Disk) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // a file system that has no such thing
	}
	return errors.Join(err, d.Close())
}

// Lock locks the folder itself, which works where no file can be made in it.
func (Disk) Lock(path string) (io.Closer, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("%s: %w", path, ErrLocked), d.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), d.Close())
	}
	return d, nil
}

// diskFile is an *os.File of known size, whose Sync fails where it has been removed:
// for the kernel all is well then, and what was written ends with the process.
type diskFile struct{ *os.File }

func file(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (f diskFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink == 0 {
		return &fs.PathError{Op: "sync", Path: f.Name(), Err: fs.ErrNotExist}
	}
	return nil
}

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
