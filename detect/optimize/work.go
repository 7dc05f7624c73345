package optimize

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// workdir keeps named blobs for a run that goes on where another one ended, in a
// folder of their own for each network, settings and pictures. Those that are
// damaged count as absent, and what cannot be kept is made again.
type workdir string // "": keeps nothing

// newWorkdir is a folder below root for what key says; "" keeps nothing.
func newWorkdir(root string, key ...string) workdir {
	if root == "" {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", key))
	return workdir(filepath.Join(root, hex.EncodeToString(sum[:8])))
}

// mostKept bounds the bytes of a folder; those beside it have half of that when work
// in one begins.
const mostKept = 1 << 30

// Lock keeps others from the folder until unlock, and makes room: of the folders
// beside it that nobody works in, those that were not used for longest are removed
// until all take half of mostKept or less. It does not wait.
func (w workdir) Lock() (unlock func(), err error) {
	if w == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(string(w), 0o755); err != nil {
		return nil, fmt.Errorf("keep work for later: %w", err)
	}
	d, err := hold(string(w))
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("another process makes the same network of the same pictures, and keeps its work in %s: wait for it, or name another folder for this one", w)
	}
	if err != nil {
		return nil, fmt.Errorf("keep work for later: lock %s: %w", w, err)
	}
	now := time.Now()
	os.Chtimes(string(w), now, now) // it is used
	w.makeRoom(mostKept / 2)
	return func() { d.Close() }, nil
}

// hold locks a folder until it is closed, or fails at once with EWOULDBLOCK.
func hold(path string) (*os.File, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// makeRoom removes the oldest of the other folders below the same root, until they
// and this one take at most so many bytes.
func (w workdir) makeRoom(most int64) {
	type folder struct {
		path  string
		bytes int64
		used  time.Time
	}
	root := filepath.Dir(string(w))
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	all, others := size(string(w)), []folder(nil)
	for _, e := range entries {
		path := filepath.Join(root, e.Name())
		info, err := e.Info()
		if err != nil || !e.IsDir() || path == string(w) || !named(e.Name()) {
			continue
		}
		f := folder{path, size(path), info.ModTime()}
		all, others = all+f.bytes, append(others, f)
	}
	slices.SortFunc(others, func(a, b folder) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path)) })
	for _, f := range others {
		if all <= most {
			return
		}
		if d, err := hold(f.path); err == nil {
			if os.RemoveAll(f.path) == nil {
				all -= f.bytes
			}
			d.Close()
		}
	}
}

// named tells whether newWorkdir may have named it.
func named(folder string) bool {
	sum, err := hex.DecodeString(folder)
	return err == nil && len(sum) == 8 && strings.ToLower(folder) == folder
}

// size is how many bytes the files in a folder have.
func size(folder string) (sum int64) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// Save keeps a blob in place of one of the same name: wholly or not at all, and not
// where all of them would take more than may be kept.
func (w workdir) Save(name string, data []byte) error {
	if w == "" {
		return nil
	}
	if size(string(w))+int64(len(data)) > mostKept {
		return fmt.Errorf("keep %s for later: %s would take more than %d MiB", name, w, mostKept>>20)
	}
	if err := os.MkdirAll(string(w), 0o755); err != nil {
		return fmt.Errorf("keep %s for later: %w", name, err)
	}
	f, err := os.CreateTemp(string(w), ".saving-*")
	if err != nil {
		return fmt.Errorf("keep %s for later: %w", name, err)
	}
	defer os.Remove(f.Name()) // gone already where it was renamed
	sum := sha256.Sum256(data)
	_, err = f.Write(append(sum[:], data...))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(string(w), name))
	}
	if err != nil {
		return fmt.Errorf("keep %s for later: %w", name, err)
	}
	return nil
}

// Load is a blob that was kept, nil where there is none that is whole.
func (w workdir) Load(name string) []byte {
	if w == "" {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(string(w), name))
	if err != nil || len(data) < sha256.Size {
		return nil
	}
	sum := sha256.Sum256(data[sha256.Size:])
	if !bytes.Equal(sum[:], data[:sha256.Size]) {
		return nil
	}
	return data[sha256.Size:]
}

// Forget removes the blobs whose names begin so: they take room, and are of no use
// once what they were made for is there.
func (w workdir) Forget(prefix string) {
	if w == "" {
		return
	}
	names, err := os.ReadDir(string(w))
	if err != nil {
		return // nothing was kept
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), prefix) {
			os.Remove(filepath.Join(string(w), n.Name()))
		}
	}
}

// load reads a blob of JSON; false where there is none, or it is of another kind.
func (w workdir) load(name string, into any) bool {
	data := w.Load(name)
	return data != nil && json.Unmarshal(data, into) == nil
}
