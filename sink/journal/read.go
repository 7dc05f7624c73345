package journal

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"
	"sync"
)

// maxHandles is how many files are open at once, the one being written included.
const maxHandles = 16

const aheadBytes = 64 << 10

// LostError names entries that were written and cannot be read. It is an ErrCorrupt.
type LostError struct {
	First, Last uint64 // indices, both lost
	Why         string
}

func (e *LostError) Error() string {
	if e.First == e.Last {
		return fmt.Sprintf("entry %d: %s", e.First, e.Why)
	}
	return fmt.Sprintf("entries %d to %d: %s", e.First, e.Last, e.Why)
}

func (e *LostError) Is(target error) bool { return target == ErrCorrupt }

// place is where an entry's frame is: in bytes, or in a file.
type place struct {
	bytes  []byte
	file   File
	offset int64
	size   int
	seed   uint32
	seal   cipher.AEAD
	id     fileID
	until  int64 // up to here the file is written, and will not change
}

// ahead is a piece of the file that was read last: who reads one entry mostly reads
// the next.
type ahead struct {
	mu    sync.Mutex
	id    fileID // of the file
	start int64
	buf   []byte
}

// frame returns a copy of the frame's bytes, fewer where the file ends inside it.
func (a *ahead) frame(p place) ([]byte, error) {
	b := make([]byte, p.size)
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := int(min(aheadBytes, p.until-p.offset)); n >= p.size && !a.has(p) {
		if cap(a.buf) < n {
			a.buf = make([]byte, n)
		}
		got, err := p.file.ReadAt(a.buf[:n], p.offset)
		if err != nil {
			got = 0 // it may be of what lies behind
		}
		a.id, a.start, a.buf = p.id, p.offset, a.buf[:got]
	}
	if a.has(p) {
		copy(b, a.buf[p.offset-a.start:])
		return b, nil
	}
	n, err := p.file.ReadAt(b, p.offset)
	if err == io.EOF {
		err = nil
	}
	return b[:n], err
}

func (a *ahead) has(p place) bool {
	return a.id == p.id && p.offset >= a.start && p.offset+int64(p.size) <= a.start+int64(len(a.buf))
}

// Read returns the entry, which belongs to the caller. ErrNotFound: it was never
// appended, or removed after Release; a *LostError, which is ErrCorrupt: it does not
// fit its checksum or the key, or is gone; anything else is the disk's error.
func (j *Journal) Read(index uint64) ([]byte, error) {
	for {
		p, err := j.locate(index)
		if err != nil {
			return nil, err
		}
		if p.file != nil {
			p.bytes, err = j.ahead.frame(p)
			if errors.Is(err, fs.ErrClosed) {
				continue // closed for others' sake since: locate says whether the entry is still there
			}
			if err != nil {
				return nil, fmt.Errorf("journal %s: read entry %d: %w", j.cfg.Path, index, err)
			}
		}
		entry, why := openFrame(p.bytes, p.seed, p.seal, index)
		if why == "" {
			return entry, nil
		}
		j.note(Damage{File: p.id.name(), Offset: p.offset, Entries: 1, Why: why})
		return nil, &LostError{index, index, why}
	}
}

// Scan calls fn for every entry from the index on that was appended when it began,
// in order, or until fn fails, with whose error it then returns. An entry belongs to
// fn. Where err is not nil there is no entry: a *LostError names all it stands for,
// which are passed over; the disk's error is of this entry.
func (j *Journal) Scan(from uint64, fn func(index uint64, entry []byte, err error) error) error {
	j.mu.Lock()
	from, end := max(from, j.first()), j.next
	j.mu.Unlock()
	for i := from; i < end; i++ {
		entry, err := j.Read(i)
		if errors.Is(err, ErrNotFound) {
			continue // released meanwhile
		}
		if errors.Is(err, ErrClosed) {
			return err
		}
		if err := fn(i, entry, err); err != nil {
			return err
		}
		if lost := (*LostError)(nil); errors.As(err, &lost) {
			i = lost.Last
		}
	}
	return nil
}

// first is the index of the oldest entry there is, next where there is none.
func (j *Journal) first() uint64 {
	if len(j.segments) == 0 {
		return j.next
	}
	return j.segments[0].id.first
}

func (j *Journal) locate(index uint64) (place, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return place{}, ErrClosed
	}
	if index < j.first() || index >= j.next {
		return place{}, ErrNotFound
	}
	at := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].id.first > index }) - 1
	s := j.segments[at]
	if index >= s.end() || s.offsets[index-s.id.first] == 0 {
		return place{}, j.lost(at, index)
	}
	i := int(index - s.id.first)
	p := place{offset: int64(s.offsets[i]), seed: s.seed, seal: s.keys.seal, id: s.id}
	end, written := s.size, s.size
	if j.active && s == j.last() {
		end, written = j.at+int64(len(j.buf)), j.at
	}
	for _, o := range s.offsets[i+1:] {
		if o != 0 {
			end = int64(o)
			break
		}
	}
	p.until = written
	p.size = int(min(end-p.offset, headSize+MaxEntry+sealCost))
	if p.offset >= written {
		from := p.offset - written
		p.bytes = slices.Clone(j.buf[from : from+int64(p.size)])
		return p, nil
	}
	if s.file == nil {
		f, err := j.fs.Open(filepath.Join(j.cfg.Path, s.id.name()))
		if err != nil {
			return place{}, fmt.Errorf("journal %s: read entry %d: %w", j.cfg.Path, index, err)
		}
		s.file = f
		j.keep(s)
	}
	p.file = s.file
	return p, nil
}

// lost is the run of missing entries around an index of segment at.
func (j *Journal) lost(at int, index uint64) *LostError {
	s, e := j.segments[at], &LostError{First: index, Last: index, Why: "its place in the file is damaged"}
	for e.Last+1 < s.end() && s.offsets[e.Last+1-s.id.first] == 0 {
		e.Last++
	}
	if e.Last+1 >= s.end() {
		e.Last = max(e.Last, j.next-1)
		if at+1 < len(j.segments) {
			e.Last = j.segments[at+1].id.first - 1
		}
		e.Why = "the end of their file is damaged, or files are gone"
	}
	return e
}

// keep takes an open file into the handles, closing an old one where there are many.
func (j *Journal) keep(s *segment) {
	if len(j.handles) >= maxHandles {
		i := slices.IndexFunc(j.handles, func(h *segment) bool { return h != j.last() })
		if err := j.drop(j.handles[i]); err != nil {
			j.log.Warn("close a file of a journal", "path", j.cfg.Path, "error", err)
		}
	}
	j.handles = append(j.handles, s)
}

// drop closes the segment's file, if it is open.
func (j *Journal) drop(s *segment) error {
	i := slices.Index(j.handles, s)
	if i < 0 {
		return nil
	}
	j.handles = slices.Delete(j.handles, i, i+1)
	err := s.file.Close()
	s.file = nil
	return err
}
