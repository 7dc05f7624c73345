// Package journal is an append-only log of entries in a folder: group commit, a
// checksum at every read, files removed from the front, and every error of the disk
// handed back to the caller, who may go on once the disk does. README.md says on
// which designs it stands and why it is none of the libraries at hand.
package journal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
)

// Errors to branch on.
var (
	ErrLocked   = errors.New("another process or sink uses this journal")
	ErrKey      = errors.New("the journal's key does not fit")
	ErrNotFound = errors.New("no such entry")
	ErrCorrupt  = errors.New("entry damaged")
	ErrClosed   = errors.New("journal is closed")
)

// Config describes a journal.
type Config struct {
	Path    string // folder, made where it is missing; other files in it are left alone
	Segment int64  // bytes a file, about; 0 is 16 MiB
	Key     []byte // 32 bytes: entries are sealed with AES-256-GCM; nil: in the clear
	FS      FS     // nil is Disk
}

const (
	defaultSegment = 16 << 20
	maxSegment     = 1 << 30
	flushBytes     = 256 << 10 // what is gathered before it is written
)

// Journal is an open journal. All methods may be called at any time from any
// goroutine; Append, Sync, Release and Recover wait for the disk.
type Journal struct {
	cfg  Config
	fs   FS
	log  *slog.Logger
	lock io.Closer

	ahead    ahead
	mu       sync.Mutex
	idle     *sync.Cond // syncing has become false
	syncing  bool       // a Sync waits for the disk, without mu
	segments []*segment // in order; the last is written where active
	active   bool
	buf      []byte // of the last segment, not yet written
	at       int64  // where in it buf goes
	next     uint64 // index of the next entry
	synced   uint64 // index of the last entry that is on disk
	released uint64 // entries before this are not needed
	undone   bool   // a removal may not be on disk
	seq      uint64 // of the newest file
	epoch    int    // counts Recover
	handles  []*segment
	failed   error
	doubt    bool // the last segment is from before Open, and may not be on disk
	closed   bool
	damage   []Damage
}

// segment is one file, or what is believed of it.
type segment struct {
	id      fileID
	seed    uint32
	keys    keys
	file    File     // nil where it is not open
	size    int64    // bytes, those in Journal.buf apart
	offsets []uint32 // of the frames from id.first on; 0 where one is lost; those from the next segment's first on are void
}

// end is the index behind the segment's last entry.
func (s *segment) end() uint64 { return s.id.first + uint64(len(s.offsets)) }

func (cfg *Config) check() error {
	if cfg.FS == nil {
		cfg.FS = Disk{}
	}
	if cfg.Segment == 0 {
		cfg.Segment = defaultSegment
	}
	switch {
	case cfg.Path == "":
		return errors.New("journal: name its folder")
	case cfg.Segment < 0 || cfg.Segment > maxSegment:
		return fmt.Errorf("journal %s: a file of %d bytes: at most 1 GiB", cfg.Path, cfg.Segment)
	case cfg.Key != nil && len(cfg.Key) != 32:
		return fmt.Errorf("journal %s: the key has %d bytes: make it 32", cfg.Path, len(cfg.Key))
	}
	return nil
}

// Append adds the entries, all or none, and returns the index of the first; they
// have consecutive ones. They can be read at once and are on disk after the next
// Sync. After an error that is the disk's, nothing is taken until Recover.
func (j *Journal) Append(entries ...[]byte) (uint64, error) {
	total := int64(0)
	for _, e := range entries {
		if total += int64(len(e)) + headSize + sealCost; len(e) > MaxEntry || total > maxSegment {
			return 0, fmt.Errorf("journal %s: append %d bytes: an entry has at most %d, all together %d", j.cfg.Path, len(e), MaxEntry, maxSegment)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.room(); err != nil {
		return 0, err
	}
	s, first, mark := j.last(), j.next, len(j.buf)
	for _, e := range entries {
		s.offsets = append(s.offsets, uint32(j.at)+uint32(len(j.buf)))
		j.buf = appendFrame(j.buf, s.seed, s.keys.seal, j.next, e)
		j.next++
	}
	if len(j.buf) < flushBytes {
		return first, nil
	}
	if err := j.flush(); err != nil {
		j.buf, j.next = j.buf[:mark], first
		return 0, err
	}
	return first, nil
}

// Sync returns when all that was appended before is on disk. Those who call it at
// the same time share the disk's answer. After an error, what was appended since
// the last Sync that succeeded is not believed: see Recover.
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	target, epoch := j.next-1, j.epoch
	for {
		if err := j.usable(); err != nil {
			return err
		}
		if epoch != j.epoch {
			return fmt.Errorf("journal %s: what was to be synced has been given up", j.cfg.Path)
		}
		if j.synced >= target {
			return nil
		}
		if !j.syncing {
			return j.commit()
		}
		j.idle.Wait()
	}
}

// commit writes and syncs the last segment, giving up mu while the disk works. No
// other sync is under way.
func (j *Journal) commit() error {
	if err := j.flush(); err != nil {
		return err
	}
	file, end := j.last().file, j.next-1
	j.syncing = true
	j.mu.Unlock()
	err := file.Sync()
	j.mu.Lock()
	j.syncing = false
	j.idle.Broadcast()
	if err != nil {
		return j.fail("sync", err)
	}
	j.synced = max(j.synced, end)
	return nil
}

// flush hands the buffer to the file system.
func (j *Journal) flush() error {
	if len(j.buf) == 0 {
		return nil
	}
	s := j.last()
	if _, err := s.file.WriteAt(j.buf, j.at); err != nil {
		return j.fail("write", err)
	}
	j.at += int64(len(j.buf))
	s.size = j.at
	j.buf = j.buf[:0]
	if cap(j.buf) > 8*flushBytes {
		j.buf = nil
	}
	return nil
}

// room makes sure that the last segment can be appended to.
func (j *Journal) room() error {
	for {
		if err := j.usable(); err != nil {
			return err
		}
		full := j.active && j.at+int64(len(j.buf)) >= j.cfg.Segment
		switch {
		case !j.active || full && !j.syncing && j.synced+1 == j.next:
			return j.create()
		case !full:
			return nil
		case j.syncing:
			j.idle.Wait()
		default: // a file is followed by the next when all of it is on disk
			if err := j.commit(); err != nil {
				return err
			}
		}
	}
}

// create makes the file for the next entries and its name safe. What was in the
// last one is on disk or given up. The header goes with the first write, so that an
// empty file can be had where the disk is full.
func (j *Journal) create() error {
	id := newID(j.seq+1, j.next)
	keys, err := keysOf(j.cfg.Key, id)
	if err != nil {
		return fmt.Errorf("journal %s: %w", j.cfg.Path, err)
	}
	j.seq++
	path := filepath.Join(j.cfg.Path, id.name())
	f, err := j.fs.Create(path)
	if err != nil {
		return j.fail("make a file", err)
	}
	s := &segment{id: id, seed: id.seed(), keys: keys, file: f}
	j.segments, j.active = append(j.segments, s), false // one that stays unused is void: the next begins at the same index
	j.keep(s)
	if err := j.fs.SyncDir(j.cfg.Path); err != nil {
		return j.fail("sync the folder", err)
	}
	j.active = true
	j.at, j.buf = 0, appendHeader(j.buf[:0], s.seed, keys.proof)
	return nil
}

func (j *Journal) last() *segment { return j.segments[len(j.segments)-1] }

// fail stops the journal until Recover.
func (j *Journal) fail(doing string, err error) error {
	j.failed = fmt.Errorf("journal %s: %s: %w", j.cfg.Path, doing, err)
	return j.failed
}

func (j *Journal) usable() error {
	if j.closed {
		return ErrClosed
	}
	return j.failed
}
