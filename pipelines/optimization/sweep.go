package optimization

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// What a cache of networks may hold: so many folders, of which so many are not finished,
// the longest of them unused for so long. Those in use stay in any case.
const (
	mostFolders    = 32
	mostUnfinished = 4 // they have pictures, up to mostPictures each
	mostIdle       = 30 * 24 * time.Hour
)

// usedFile is locked, shared, by each process that uses a folder; its time is when that
// began or ended last.
const usedFile = "used"

// hold makes the folder where there is none, and keeps it from being removed until letGo,
// or the process's end.
func (m *Maker) hold() error {
	for m.held == nil {
		if err := os.MkdirAll(m.folder, 0o700); err != nil {
			return fmt.Errorf("keep optimized networks: %w", err)
		}
		f, err := os.OpenFile(filepath.Join(m.folder, usedFile), os.O_RDONLY|os.O_CREATE, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			continue // it was removed just now
		}
		if err != nil {
			return fmt.Errorf("keep optimized networks: %w", err)
		}
		if err := claim(f, unix.LOCK_SH); err != nil {
			return errors.Join(fmt.Errorf("keep optimized networks: lock %s: %w", m.folder, err), f.Close())
		}
		if !isStill(f) {
			f.Close()
			continue
		}
		m.held = f
	}
	m.touch()
	return nil
}

// letGo ends hold.
func (m *Maker) letGo() {
	if m.held != nil {
		m.touch()
		m.held.Close()
		m.held = nil
	}
}

// touch notes that the folder is in use now.
func (m *Maker) touch() {
	now := time.Now()
	_ = os.Chtimes(m.held.Name(), now, now) // where it cannot be noted, it is made again some day
}

// claim locks a file, which closing it undoes.
func claim(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// isStill tells whether an open file is the one of its name.
func isStill(f *os.File) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.Name())
	return err == nil && os.SameFile(open, named)
}

// found is a folder of the cache.
type found struct {
	path string
	used time.Time
	made bool // or refused: there is nothing more to do
}

// sweep removes the folders of networks that were not used for long, or are too many.
func sweep(root string, now time.Time, log *slog.Logger) {
	unfinished := 0
	for i, f := range cached(root) {
		if !f.made {
			unfinished++
		}
		if i < mostFolders && now.Sub(f.used) <= mostIdle && (f.made || unfinished <= mostUnfinished) {
			continue
		}
		switch removed, err := discard(f.path); {
		case err != nil:
			log.Warn("an optimized network that nothing uses cannot be removed", slog.Any("error", err))
		case removed:
			log.Info("removed an optimized network that nothing uses", slog.String("folder", f.path), slog.Time("used", f.used))
		}
	}
}

// cached are the folders of networks below root, those used last first. Others are none
// of ours.
func cached(root string) (all []found) {
	name := regexp.MustCompile(`^[0-9a-f]{32}$`)
	entries, _ := os.ReadDir(root) // none yet
	for _, e := range entries {
		f := found{path: filepath.Join(root, e.Name())}
		info, err := os.Stat(filepath.Join(f.path, usedFile))
		if errors.Is(err, os.ErrNotExist) { // of a version before this one
			info, err = os.Stat(filepath.Join(f.path, recipeFile))
		}
		if err != nil || !e.IsDir() || !name.MatchString(e.Name()) {
			continue
		}
		f.used = info.ModTime()
		_, err = os.Stat(filepath.Join(f.path, resultFile))
		f.made = err == nil
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b found) int { return b.used.Compare(a.used) })
	return all
}

// discard removes a folder, unless a process uses it.
func discard(folder string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(folder, usedFile), os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return false, fmt.Errorf("look whether %s is in use: %w", folder, err)
	}
	defer f.Close()
	if err := claim(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return false, nil
	}
	return true, os.RemoveAll(folder)
}
