package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"sync"
)

const (
	maxDamage = 1000 // pieces of damage that are remembered one by one
	maxLogged = 20   // that Open logs one by one
)

// Damage is a place where a file is not as it was written.
type Damage struct {
	File    string // inside the folder
	Offset  int64  // bytes from its beginning
	Entries uint64 // lost there, at least
	Why     string
	Tail    bool // the end of what was written last: a crash before Sync leaves that too
}

// Stats tells how a journal is. It is empty where First is greater than Last.
type Stats struct {
	First, Last uint64 // indices of the oldest and the newest entry; entries between may be lost
	Bytes       int64  // of all files, and of what is not yet written
	Files       int
	Damage      []Damage // found since Open, at most 1000 pieces: the last then stands for all others
}

// Open opens the journal and makes its folder where it is missing. It locks the
// folder until Close (ErrLocked) and reads every file once: damage is reported by
// Stats and in the log, and leaves the other entries readable. The newest file's bytes
// are written over themselves and synced; a new file begins with the first Append.
// ErrKey: entries were sealed with another key.
func Open(cfg Config, log *slog.Logger) (*Journal, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := cfg.FS.Mkdir(cfg.Path); err != nil {
		return nil, fmt.Errorf("journal %s: make the folder: %w", cfg.Path, err)
	}
	lock, err := cfg.FS.Lock(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open a journal: %w", err)
	}
	j := &Journal{cfg: cfg, fs: cfg.FS, log: log, lock: lock, next: 1}
	j.idle = sync.NewCond(&j.mu)
	if err := j.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", cfg.Path, err), lock.Close())
	}
	for i, d := range j.damage {
		if i == maxLogged {
			log.Warn("a journal's files are damaged in more places", "path", cfg.Path, "places", len(j.damage)-i)
			break
		}
		log.Warn("a journal's file is damaged", "path", cfg.Path, "file", d.File, "offset", d.Offset, "entries", d.Entries, "why", d.Why, "tail", d.Tail)
	}
	return j, nil
}

// load takes over what is in the folder.
func (j *Journal) load() error {
	ids, limits, err := list(j.cfg)
	if err != nil || len(ids) == 0 {
		return err
	}
	newest := ids[len(ids)-1]
	doubt := j.renew(newest)
	l, err := loadAll(j.cfg, ids, limits, true)
	if err != nil {
		return err
	}
	j.damage, j.segments = l.damage, l.segments
	j.next, j.seq = j.last().end(), newest.seq
	j.synced = j.next - 1
	if doubt != nil {
		j.doubt = true
		j.log.Warn("the newest file of a journal may not be on disk", "path", j.cfg.Path, "error", j.fail("sync", doubt))
	} else if err := j.prune(); err != nil {
		j.log.Warn("old files of a journal stay", "path", j.cfg.Path, "error", err)
	}
	return nil
}

// renew writes a file's bytes over themselves and syncs them. What is read may be
// in memory only: the process before was killed, or its sync failed, after which
// Linux takes the pages for written and the next sync does nothing.
func (j *Journal) renew(id fileID) error {
	f, err := j.fs.Reopen(filepath.Join(j.cfg.Path, id.name()))
	if err != nil {
		return err
	}
	size, err := f.Size()
	buf := make([]byte, min(windowBytes, size))
	for at := int64(0); at < size && err == nil; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), size-at)]
		if _, err = f.ReadAt(buf, at); err == nil {
			_, err = f.WriteAt(buf, at)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), j.fs.SyncDir(j.cfg.Path))
}

// loaded is what is in a folder.
type loaded struct {
	segments  []*segment
	damage    []Damage
	encrypted bool
}

// list returns the files of a folder in order, and the index from which on the
// entries of each are void.
func list(cfg Config) (ids []fileID, limits []uint64, err error) {
	names, err := cfg.FS.Names(cfg.Path)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if id, ok := parseName(name); ok {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b fileID) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.first, b.first), cmp.Compare(a.salt, b.salt))
	})
	limits = make([]uint64, len(ids))
	limit := uint64(math.MaxUint64)
	for i := len(ids) - 1; i >= 0; i-- {
		limits[i] = limit
		limit = min(limit, ids[i].first)
	}
	return ids, limits, nil
}

// loadAll reads all files of a folder. Where it is not the owner who asks, files may
// vanish and grow meanwhile, and a missing key is no error.
func loadAll(cfg Config, ids []fileID, limits []uint64, owner bool) (loaded, error) {
	l := loaded{}
	for i, id := range ids {
		err := l.add(cfg, id, limits[i], owner)
		if errors.Is(err, fs.ErrNotExist) && !owner {
			continue
		}
		if err != nil {
			return loaded{}, fmt.Errorf("%s: %w", id.name(), err)
		}
	}
	return l, nil
}

// add reads one file, the next one.
func (l *loaded) add(cfg Config, id fileID, limit uint64, owner bool) error {
	f, err := cfg.FS.Open(filepath.Join(cfg.Path, id.name()))
	if err != nil {
		return err
	}
	defer f.Close() // only read
	size, err := f.Size()
	if err != nil {
		return err
	}
	keys, err := keysOf(cfg.Key, id)
	if err != nil {
		return err
	}
	s := &segment{id: id, seed: id.seed(), keys: keys, size: size}
	whole, err := l.header(f, s, cfg, owner)
	if err != nil {
		return err
	}
	if !whole {
		l.damage = addDamage(l.damage, Damage{File: id.name(), Why: "the header is damaged", Tail: limit == math.MaxUint64})
	}
	fd := walk(f, size, id, limit)
	if !whole && fd.sealed > 0 && (owner || cfg.Key != nil) { // the header cannot say whether the key fits
		b := make([]byte, headSize+fd.seal.size)
		if _, err := f.ReadAt(b, fd.sealed); err != nil {
			return err
		}
		if _, why := openFrame(b, s.seed, keys.seal, fd.seal.index); why != "" {
			return fmt.Errorf("%w: an entry: %s", ErrKey, why)
		}
	}
	if owner && fd.err != nil && limit == math.MaxUint64 {
		return fd.err // the next file would make void what cannot be read now
	}
	l.take(s, fd, limit, f)
	return nil
}

// header reads the header of a file and compares it with the key; false where it is
// damaged.
func (l *loaded) header(f File, s *segment, cfg Config, owner bool) (whole bool, err error) {
	if s.size == 0 {
		return true, nil // made, and not written to
	}
	b := make([]byte, headerSize)
	if n, _ := f.ReadAt(b, 0); n < headerSize {
		return false, nil
	}
	whole, err = checkHeader(b, s.seed, s.keys)
	if !owner && cfg.Key == nil && errors.Is(err, ErrKey) {
		err = nil
	}
	l.encrypted = l.encrypted || whole && [16]byte(b[8:24]) != [16]byte{}
	return whole, err
}

// take takes over what a walk through the next file has found.
func (l *loaded) take(s *segment, fd found, limit uint64, f File) {
	newest := limit == math.MaxUint64
	if s.id.first > limit {
		return // somebody else's doing
	}
	s.offsets = fd.offsets
	l.segments = append(l.segments, s)
	for _, d := range fd.bad {
		l.damage = addDamage(l.damage, d)
	}
	l.encrypted = l.encrypted || fd.sealed > 0
	end := Damage{File: s.id.name(), Offset: fd.tail}
	if newest {
		w := &window{file: f, size: s.size}
		if fd.tail >= s.size || fd.err == nil && w.nothing(fd.tail) {
			return
		}
		end.Entries, end.Why, end.Tail = max(1, fd.next-s.end()), "the last entry is not whole", true
	} else {
		if s.end() >= limit {
			return
		}
		end.Entries, end.Why = limit-s.end(), "the end is damaged, or files are gone"
	}
	if fd.err != nil {
		end.Why = fd.err.Error()
	}
	l.damage = addDamage(l.damage, end)
}

// addDamage remembers damage, in the last piece where there are many.
func addDamage(list []Damage, d Damage) []Damage {
	if len(list) < maxDamage {
		return append(list, d)
	}
	list[maxDamage-1].Entries += d.Entries
	return list
}

// Stats tells how the journal is.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	st := Stats{First: j.first(), Last: j.next - 1, Files: len(j.segments), Damage: slices.Clone(j.damage)}
	for _, s := range j.segments {
		st.Bytes += s.size
	}
	st.Bytes += int64(len(j.buf))
	return st
}

// note remembers damage that was not known.
func (j *Journal) note(d Damage) {
	j.mu.Lock()
	known := len(j.damage) >= maxDamage || slices.ContainsFunc(j.damage, func(k Damage) bool { return k.File == d.File && k.Offset == d.Offset })
	if !known {
		j.damage = addDamage(j.damage, d)
	}
	j.mu.Unlock()
	if !known {
		j.log.Warn("a journal's file is damaged", "path", j.cfg.Path, "file", d.File, "offset", d.Offset, "entries", d.Entries, "why", d.Why)
	}
}
