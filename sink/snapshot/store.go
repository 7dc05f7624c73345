package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"sync"
	"sync/atomic"
)

// Store keeps pictures in a folder, by Name. With a bucket configured it remembers,
// also over restarts, which of them are yet to be copied. Safe for concurrent use.
type Store struct {
	cfg Config
	log *slog.Logger

	mu   sync.Mutex
	root *os.Root // opened when first needed

	bytes    atomic.Int64
	expired  atomic.Uint64 // removed for their age
	outgrown atomic.Uint64 // removed for their size
	unsent   atomic.Uint64 // of both: the bucket never got them

	write func(root *os.Root, name string, data []byte) error // durable; tests let it fail
}

// Stats is the state of a Store.
type Stats struct {
	Bytes    int64  `json:"bytes"`    // in the folder; 0 before the first Sweep
	Expired  uint64 `json:"expired"`  // removed for their age, since the start
	Outgrown uint64 `json:"outgrown"` // removed to make room
	Unsent   uint64 `json:"unsent"`   // of both: never copied to the bucket
}

// New makes a store. It touches no disk: a folder that cannot be used shows at the
// first Put.
func New(cfg Config, log *slog.Logger) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	return &Store{cfg: cfg, log: log, write: writeSynced}, nil
}

// open returns the folder, made where it is missing.
func (s *Store) open() (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != nil {
		return s.root, nil
	}
	if err := os.MkdirAll(s.cfg.Path, 0o750); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	root, err := os.OpenRoot(s.cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	s.root = root
	return root, nil
}

// forget lets the folder be opened anew. Others may be at work in it still: it is
// closed when the last of them has let go of it, by os.Root's finalizer.
func (s *Store) forget(root *os.Root) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == root {
		s.root = nil
	}
}

// Close gives the folder back. Pictures that are open stay so.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return nil
	}
	root := s.root
	s.root = nil
	return root.Close()
}

// Put keeps a picture under a name of Name. When it returns nil the picture is on
// disk and stays there over a crash, and will be copied to the bucket if there is
// one; else nothing is. It blocks as long as the disk does.
func (s *Store) Put(name string, jpeg []byte) error {
	if !isName(name) {
		return fmt.Errorf("snapshots: %q is no name of a picture", name)
	}
	for try := 0; ; try++ {
		root, err := s.open()
		if err != nil {
			return err
		}
		switch err = s.put(root, name, jpeg); {
		case err == nil:
			return nil
		case !errors.Is(err, fs.ErrNotExist) || try == 4:
			return fmt.Errorf("snapshots: %w", err)
		case try > 1: // not only a sweep that has removed a folder that was still empty: perhaps somebody all of it
			s.forget(root)
		}
	}
}

func (s *Store) put(root *os.Root, name string, jpeg []byte) error {
	var before int64
	if info, err := root.Stat(name); err == nil {
		before = info.Size() // a file that is played again
	}
	if err := s.write(root, name, jpeg); err != nil {
		return err
	}
	s.bytes.Add(int64(len(jpeg)) - before)
	if s.cfg.S3 == nil {
		return nil
	}
	if err := writeSynced(root, marker(name), nil); err != nil {
		s.remove(root, name, int64(len(jpeg)))
		return err
	}
	return nil
}

// Drop removes a picture that no event names after all.
func (s *Store) Drop(name string) {
	root, err := s.open()
	if err != nil {
		return
	}
	if info, err := root.Stat(name); err == nil {
		s.remove(root, name, info.Size())
	}
}

// remove deletes a picture and what is remembered of it; it tells whether the
// bucket lacked it.
func (s *Store) remove(root *os.Root, name string, size int64) (unsent bool, err error) {
	if err := root.Remove(name); err != nil {
		return false, err
	}
	s.bytes.Add(-size)
	return s.cfg.S3 != nil && root.Remove(marker(name)) == nil, nil
}

// Open opens a picture for reading, which the caller closes. Names that are none,
// and ways out of the folder, are fs.ErrNotExist.
func (s *Store) Open(name string) (*os.File, error) {
	if !isName(name) {
		return nil, fs.ErrNotExist
	}
	root, err := s.open()
	if err != nil {
		return nil, err
	}
	return root.Open(name)
}

// Waiting lists pictures that the bucket lacks, those of the oldest events first.
func (s *Store) Waiting() ([]string, error) {
	root, err := s.open()
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(root.FS(), waitingFolder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	var names []string
	for _, e := range entries { // sorted by name, which begins with the date
		if name := ofMarker(e.Name()); isName(name) {
			names = append(names, name)
		}
	}
	return slices.Clip(names), nil
}

// Sent notes that the bucket has a picture, or that there is none anymore to copy.
func (s *Store) Sent(name string) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	if err := root.Remove(marker(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("snapshots: %w", err)
	}
	return nil
}

// Stats tells how the store does.
func (s *Store) Stats() Stats {
	return Stats{Bytes: s.bytes.Load(), Expired: s.expired.Load(), Outgrown: s.outgrown.Load(), Unsent: s.unsent.Load()}
}

// partSuffix marks a file that is being written.
const partSuffix = ".part"

// writeSynced writes a file so that after a crash there is all of it or nothing,
// and all of it once this has returned nil.
func writeSynced(root *os.Root, name string, data []byte) error {
	if err := makeFolders(root, path.Dir(name)); err != nil {
		return err
	}
	part := name + partSuffix
	f, err := root.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if len(data) > 0 && err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(part, name)
	}
	if err != nil {
		root.Remove(part)
		return err
	}
	return syncFolder(root, path.Dir(name))
}

// makeFolders makes those that are missing, durably.
func makeFolders(root *os.Root, folder string) error {
	if _, err := root.Stat(folder); err == nil {
		return nil
	}
	parent := path.Dir(folder)
	if parent != folder {
		if err := makeFolders(root, parent); err != nil {
			return err
		}
	}
	if err := root.Mkdir(folder, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(root, parent)
}

func syncFolder(root *os.Root, folder string) error {
	d, err := root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
