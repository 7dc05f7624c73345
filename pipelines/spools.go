package pipelines

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sightline/pipelines/spec"
	"sightline/sink/journal"
	"sightline/sink/spool"
)

// spoolConfig reads the key and takes the rest over.
func spoolConfig(sp *spec.Spool) (spool.Config, error) {
	c := spool.Config{
		Path: sp.Path, Max: int64(sp.Max), MaxAge: sp.MaxAge, Sync: sp.Sync, WhenFull: spool.Policy(sp.WhenFull), Memory: int64(sp.Memory),
	}
	if c.Sync == 0 && c.WhenFull != spool.Block {
		c.Sync = time.Nanosecond // cameras do not wait for a disk: the commit after each event is the delivery's
	}
	var err error
	c.Key, err = readSpoolKey(sp.KeyFile)
	return c, err
}

// readSpoolKey reads 64 hexadecimal digits; without a file there is no key.
func readSpoolKey(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	const how = "`openssl rand -hex 32` makes one, and without the old one what waits cannot be read"
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the spool's key_file: %w; %s", err, how)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("the spool's key_file %s: want 64 hexadecimal digits; %s", path, how)
	}
	return key, nil
}

// remedy is what to do about a spool that cannot be opened, "" where the error says it.
func remedy(err error) string {
	switch {
	case errors.Is(err, journal.ErrKey):
		return "; give it the key_file that it was written with, or move the folder away, with the events that wait in it"
	case errors.Is(err, journal.ErrLocked):
		return "; end the other one, or give this one a spool.path of its own"
	}
	return ""
}

// SpoolReport is what can be seen of a sink's spool from outside.
type SpoolReport struct {
	Sink    string
	Spool   *spec.Spool
	Journal journal.Report // empty where there is none yet
	// Err is why the spool cannot be used: a key that is missing or does not fit, a
	// folder that cannot be read or written.
	Err         error
	Free        int64  // bytes, where the spool is
	DeadLetters uint64 // in both files
	LettersErr  error  // why those cannot be counted
}

// InspectSpools looks at the spools of a pipeline without changing or locking
// anything, also while another process works with them. It reads them whole.
func InspectSpools(sp *spec.Pipeline) []SpoolReport {
	var out []SpoolReport
	for i := range sp.Sinks {
		s := &sp.Sinks[i]
		if s.Spool == nil {
			continue
		}
		r := SpoolReport{Sink: s.Name, Spool: s.Spool}
		var key []byte
		if key, r.Err = readSpoolKey(s.Spool.KeyFile); r.Err == nil {
			r.Journal, r.Err = journal.Inspect(journal.Config{Path: s.Spool.Path, Key: key})
			if errors.Is(r.Err, fs.ErrNotExist) {
				r.Err = nil
			}
		}
		if r.Err == nil && r.Journal.Encrypted && key == nil {
			r.Err = fmt.Errorf("%w: it is encrypted and no key is given", journal.ErrKey)
		}
		if r.Err != nil {
			r.Err = fmt.Errorf("%w%s", r.Err, remedy(r.Err))
		}
		folder := existing(s.Spool.Path)
		var room unix.Statfs_t
		if err := unix.Statfs(folder, &room); err == nil {
			r.Free = int64(room.Bavail) * room.Bsize
		}
		if err := unix.Access(folder, unix.W_OK); r.Err == nil && err != nil {
			r.Err = fmt.Errorf("write to %s: %w", folder, err)
		}
		for _, path := range []string{s.DeadLetter.Path, s.DeadLetter.Path + ".1"} {
			n, err := countLines(path)
			r.DeadLetters += n
			r.LettersErr = errors.Join(r.LettersErr, err)
		}
		out = append(out, r)
	}
	return out
}

// existing is path, or the first folder above it that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
}
