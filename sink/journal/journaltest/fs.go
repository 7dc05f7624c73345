// Package journaltest has a file system in memory for tests of what stands on a
// journal: it keeps what was synced apart from what was not, crashes, fails at any
// call, and fills up.
package journaltest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand"
	"path/filepath"
	"slices"
	"sync"

	"sightline/sink/journal"
)

// sector is what a disk writes in one piece.
const sector = 512

// ErrCrashed is what a machine that is down answers; see FS.Crash.
var ErrCrashed = errors.New("the machine is down")

// FS is a folder in memory, as journal.FS. Its path does not matter, but that files
// have one below it. All methods may be called from any goroutine.
type FS struct {
	mu     sync.Mutex
	rng    *rand.Rand
	names  map[string]*inode // as seen
	kept   map[string]*inode // as on disk
	undone []change          // between the two
	space  int64
	fail   func(call int, op string) error
	calls  int
	lock   *lock
}

type inode struct {
	seen, disk []byte
	pending    []write // not synced
}

type write struct {
	at   int64
	data []byte
}

// change is a name made or, where file is nil, removed.
type change struct {
	name string
	file *inode
}

// New returns an empty folder; what chance decides, rng does.
func New(rng *rand.Rand) *FS {
	return &FS{rng: rng, names: map[string]*inode{}, kept: map[string]*inode{}, space: 1 << 40}
}

// Fail has every call fail for which f, given the number of the call from 1 and one
// of lock, names, create, open, remove, syncdir, read, write, sync, size, returns an
// error. A write that fails may have written a part. After a sync that fails, what
// was not synced is seen as before, and the next sync succeeds without writing it.
func (d *FS) Fail(f func(call int, op string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail, d.calls = f, 0
}

// Calls is the number of calls since New or Fail.
func (d *FS) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// Space sets how many bytes the files may have together.
func (d *FS) Space(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.space = bytes
}

// Crash has the machine lose what was not synced: all of it, nothing, or what
// chance takes, sector by sector, in any order, and names made and removed too. The
// folder then is as a new process finds it, and nothing fails any more.
func (d *FS) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := func() bool { return d.rng.Intn(2) == 0 }
	switch d.rng.Intn(3) {
	case 0:
		keep = func() bool { return false }
	case 1:
		keep = func() bool { return true }
	}
	for _, c := range d.undone {
		if keep() {
			d.settle(c)
		}
	}
	d.undone, d.fail, d.lock = nil, nil, nil
	for _, f := range d.kept {
		for _, w := range f.pending {
			f.tear(w, keep)
		}
		f.pending, f.seen = nil, slices.Clone(f.disk)
	}
	d.names = maps.Clone(d.kept)
}

// Exit has the process end without closing anything; the machine stays up.
func (d *FS) Exit() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail, d.lock = nil, nil
}

func (d *FS) settle(c change) {
	if c.file == nil {
		delete(d.kept, c.name)
		return
	}
	d.kept[c.name] = c.file
}

// tear puts those sectors of a write on the disk that are kept.
func (f *inode) tear(w write, keep func() bool) {
	for len(w.data) > 0 {
		n := min(sector-int(w.at%sector), len(w.data))
		if keep() {
			f.disk = put(f.disk, w.at, w.data[:n])
		}
		w.at, w.data = w.at+int64(n), w.data[n:]
	}
}

// put writes into b, which grows with zeros.
func put(b []byte, at int64, data []byte) []byte {
	if end := int(at) + len(data); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[at:], data)
	return b
}

// call counts a call and says whether it fails.
func (d *FS) call(op, name string) error {
	d.calls++
	if d.fail == nil {
		return nil
	}
	if err := d.fail(d.calls, op); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// Mkdir does nothing: the folder is always there.
func (d *FS) Mkdir(string) error { return nil }

func (d *FS) Names(path string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.names)), d.call("names", path)
}

func (d *FS) Create(path string) (journal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("create", path); err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	if d.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	f := &inode{}
	d.names[name] = f
	d.undone = append(d.undone, change{name, f})
	return &file{fs: d, inode: f, name: name}, nil
}

func (d *FS) Open(path string) (journal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("open", path); err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	f := d.names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return &file{fs: d, inode: f, name: name}, nil
}

func (d *FS) Reopen(path string) (journal.File, error) { return d.Open(path) }

func (d *FS) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("remove", path); err != nil {
		return err
	}
	name := filepath.Base(path)
	if d.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	delete(d.names, name)
	d.undone = append(d.undone, change{name, nil})
	return nil
}

func (d *FS) SyncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("syncdir", path); err != nil {
		return err
	}
	for _, c := range d.undone {
		d.settle(c)
	}
	d.undone = nil
	return nil
}

func (d *FS) Lock(path string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("lock", path); err != nil {
		return nil, err
	}
	if d.lock != nil {
		return nil, fmt.Errorf("%s: %w", path, journal.ErrLocked)
	}
	d.lock = &lock{d}
	return d.lock, nil
}

type lock struct{ fs *FS }

func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.fs.lock == l {
		l.fs.lock = nil
	}
	return nil
}

// Damage changes the byte of a file, on the disk too.
func (d *FS) Damage(name string, at int64, by byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[name]
	for _, b := range [][]byte{f.seen, f.disk} {
		if at < int64(len(b)) {
			b[at] ^= by
		}
	}
}

// Contents are copies of the files, by name.
func (d *FS) Contents() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string][]byte{}
	for name, f := range d.names {
		all[name] = slices.Clone(f.seen)
	}
	return all
}

// Put makes a file, or has it hold something else, on the disk too.
func (d *FS) Put(name string, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &inode{seen: slices.Clone(b), disk: slices.Clone(b)}
	d.names[name], d.kept[name] = f, f
}

func (d *FS) used() (bytes int64) {
	for _, f := range d.names {
		bytes += int64(len(f.seen))
	}
	return bytes
}
