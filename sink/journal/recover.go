package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Recover goes on after a failed Append or Sync, in a new file behind the last
// entry that is on disk. What was appended after that one is gone, and its indices
// are given anew: the caller appends it again. A failed fsync leaves nobody knowing
// what is on disk, and the next may succeed without writing it (fsyncgate), so the
// old file is never added to. Until Recover returns nil, Append and Sync fail; without
// a failure it does nothing. Who else has appended and not synced must know of it: a
// Sync that begins after Recover says nothing of what was appended before.
func (j *Journal) Recover() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.rest(); err != nil {
		return err
	}
	if j.failed == nil {
		return nil
	}
	if j.doubt {
		if err := j.renew(j.last().id); err != nil {
			return j.fail("sync", err)
		}
		j.doubt = false
	}
	j.buf, j.next, j.active = j.buf[:0], j.synced+1, false
	j.released = min(j.released, j.next) // what is given anew is needed
	j.epoch++
	if err := j.create(); err != nil {
		return err
	}
	j.failed = nil
	if err := j.prune(); err != nil {
		j.log.Warn("old files of a journal stay", "path", j.cfg.Path, "error", err)
	}
	return nil
}

// Release says that entries before the index are not needed any more. Files that
// hold nothing else are removed, the oldest first, all but the newest, which keeps
// the indices going. On an error the files stay, and the next Release tries again.
func (j *Journal) Release(before uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	j.released = max(j.released, min(before, j.next))
	return j.prune()
}

// prune removes files that hold nothing needed. Each removal is on disk before the
// next is begun: otherwise a crash could leave a hole that looks like damage.
func (j *Journal) prune() error {
	for i := 0; i < len(j.segments)-1; {
		// Not what was found in it decides, but what may be: a file may have been
		// unreadable at Open.
		if behind := j.segments[i+1].id.first; behind > max(j.released, j.segments[i].id.first) {
			i++
			continue
		}
		if err := j.settleFolder(); err != nil {
			return err
		}
		if err := j.remove(i); err != nil {
			return err
		}
	}
	return j.settleFolder()
}

func (j *Journal) remove(i int) error {
	s := j.segments[i]
	if err := j.fs.Remove(filepath.Join(j.cfg.Path, s.id.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal %s: remove a file: %w", j.cfg.Path, err)
	}
	j.undone = true
	j.segments = append(j.segments[:i], j.segments[i+1:]...)
	return j.drop(s)
}

func (j *Journal) settleFolder() error {
	if !j.undone {
		return nil
	}
	if err := j.fs.SyncDir(j.cfg.Path); err != nil {
		return fmt.Errorf("journal %s: sync the folder: %w", j.cfg.Path, err)
	}
	j.undone = false
	return nil
}

// Close syncs what was appended, closes the files and lets the folder go, also
// where it returns an error.
func (j *Journal) Close() error {
	err := j.Sync()
	if errors.Is(err, ErrClosed) {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.rest(); err != nil {
		return err
	}
	j.closed = true
	for _, s := range j.handles {
		err = errors.Join(err, s.file.Close())
	}
	j.handles = nil
	return errors.Join(err, j.lock.Close())
}

// rest waits until no sync is under way, giving up mu meanwhile; ErrClosed when the
// journal was closed by then.
func (j *Journal) rest() error {
	for j.syncing {
		j.idle.Wait()
	}
	if j.closed {
		return ErrClosed
	}
	return nil
}
