package jsonl

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// turns ends files, compresses and removes them.
type turns struct {
	Rotate
	path   string
	log    *slog.Logger
	job    *compression // under way
	idle   bool         // nothing is left to be compressed
	warned bool         // that a file cannot be ended
}

func newTurns(path string, cfg Rotate, log *slog.Logger) *turns {
	if cfg.now == nil {
		cfg.now = time.Now
	}
	return &turns{Rotate: cfg, path: path, log: log}
}

func (t *turns) now() time.Time { return t.Rotate.now() }

// due tells whether a file of size, last written at a time, has to be ended before a
// line of next bytes.
func (t *turns) due(size int64, last time.Time, next int, now time.Time) bool {
	if size == 0 {
		return false
	}
	if t.Size > 0 && size+int64(next) > t.Size {
		return true
	}
	return t.Every > 0 && now.UTC().Truncate(t.Every).After(last.UTC().Truncate(t.Every))
}

// fit is as many of the lines as a file of size still takes, at least one.
func (t *turns) fit(lines []byte, size int64) []byte {
	room := t.Size - size
	if t.Size == 0 || int64(len(lines)) <= room {
		return lines
	}
	first := len(firstLine(lines))
	if room <= int64(first) {
		return lines[:first]
	}
	return lines[:max(first, bytes.LastIndexByte(lines[:room], '\n')+1)]
}

func firstLine(lines []byte) []byte { return lines[:bytes.IndexByte(lines, '\n')+1] }

// stamp is the form of the time in the name of a file that was ended.
const stamp = "2006-01-02T15-04-05Z"

// end renames the file and removes the oldest; false if it could not be renamed.
func (t *turns) end(now time.Time) bool {
	name, ext := t.split()
	to := name + now.UTC().Format(stamp)
	for n := 2; taken(to+ext) || taken(to+ext+".gz"); n++ {
		to = name + now.UTC().Format(stamp) + fmt.Sprintf("_%04d", n)
	}
	if err := os.Rename(t.path, to+ext); err != nil {
		if !t.warned {
			t.log.Error("file cannot be ended: it goes on", "path", t.path, "error", err)
		}
		t.warned = true
		return false
	}
	t.warned, t.idle = false, false
	t.removeOldest()
	return true
}

// split is what stands before and behind the time in a name.
func (t *turns) split() (name, ext string) {
	ext = filepath.Ext(t.path)
	return strings.TrimSuffix(t.path, ext) + "-", ext
}

func taken(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// ended lists the files that were ended, the oldest first. Nothing else has such names.
func (t *turns) ended() []string {
	name, ext := t.split()
	entries, err := os.ReadDir(filepath.Dir(t.path))
	if err != nil {
		t.log.Warn("cannot look for older files", "path", t.path, "error", err)
		return nil
	}
	var out []string
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(name))
		if ok && e.Type().IsRegular() && ofOurs(rest, ext) {
			out = append(out, filepath.Join(filepath.Dir(t.path), e.Name()))
		}
	}
	slices.Sort(out) // numbers have four digits, and _ sorts behind the dot of the extension
	return out
}

// ofOurs tells whether rest is a time, perhaps a number, and the extension.
func ofOurs(rest, ext string) bool {
	if len(rest) < len(stamp) {
		return false
	}
	if _, err := time.Parse(stamp, rest[:len(stamp)]); err != nil {
		return false
	}
	rest, ok := strings.CutSuffix(strings.TrimSuffix(rest[len(stamp):], ".gz"), ext)
	if !ok || rest == "" {
		return ok
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(rest, "_"), 10, 32)
	return rest[0] == '_' && len(rest) == 5 && err == nil && n > 1
}

func (t *turns) removeOldest() {
	if t.Keep == 0 {
		return
	}
	all := t.ended()
	for _, path := range all[:max(0, len(all)-t.Keep)] {
		if t.job != nil && t.job.from.Name() == path {
			t.job.abandon()
			t.job = nil
		}
		if err := os.Remove(path); err != nil {
			t.log.Warn("cannot remove an old file", "path", path, "error", err)
			continue
		}
		t.log.Info("old file removed", "path", path, "keep", t.Keep)
	}
}
