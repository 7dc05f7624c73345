package optimize

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// Save keeps a blob in place of one of the same name: wholly or not at all.
func (w workdir) Save(name string, data []byte) error {
	if w == "" {
		return nil
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
