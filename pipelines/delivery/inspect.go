package delivery

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sightline/sink/journal"
)

// ReadKey reads the 64 hexadecimal digits of a spool's key; without a file there is no
// key.
func ReadKey(path string) ([]byte, error) {
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

// Report is what can be seen of a spool from outside.
type Report struct {
	Journal journal.Report // empty where there is none yet
	// Err is why the spool cannot be used: a key that is missing or does not fit, a
	// folder that cannot be read or written.
	Err        error
	Free       int64  // bytes, where the spool is
	Letters    uint64 // dead letters in both files
	LettersErr error  // why those cannot be counted
}

// Inspect looks at a spool and the dead letters beside it without changing or locking
// anything, also while another process works with them. It reads them whole. keyFile is
// as in ReadKey.
func Inspect(path, keyFile, letters string) Report {
	var r Report
	r.Journal, r.Err = inspectJournal(path, keyFile)
	if r.Err != nil {
		r.Err = fmt.Errorf("%w%s", r.Err, remedy(r.Err))
	}
	folder := existing(path)
	var room unix.Statfs_t
	if err := unix.Statfs(folder, &room); err == nil {
		r.Free = int64(room.Bavail) * room.Bsize
	}
	if err := unix.Access(folder, unix.W_OK); r.Err == nil && err != nil {
		r.Err = fmt.Errorf("write to %s: %w", folder, err)
	}
	for _, file := range []string{letters, letters + ".1"} {
		n, err := countLines(file)
		r.Letters += n
		r.LettersErr = errors.Join(r.LettersErr, err)
	}
	return r
}

// inspectJournal looks into a spool's journal; none yet is no error.
func inspectJournal(path, keyFile string) (journal.Report, error) {
	key, err := ReadKey(keyFile)
	if err != nil {
		return journal.Report{}, err
	}
	r, err := journal.Inspect(journal.Config{Path: path, Key: key})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && r.Encrypted && key == nil {
		err = fmt.Errorf("%w: it is encrypted and no key is given", journal.ErrKey)
	}
	return r, err
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
