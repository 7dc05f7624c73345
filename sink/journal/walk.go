package journal

import (
	"encoding/binary"
	"io"
	"math"
)

const (
	windowBytes = 256 << 10
	pageBytes   = 4 << 10 // what is passed over where the disk cannot read
)

// window reads a file piece by piece; what cannot be read is zeros.
type window struct {
	file  File
	size  int64
	buf   []byte
	start int64 // of buf in the file
	err   error // the first of the disk
}

// at returns the n bytes at off, which are in the file, until the next call;
// n is at most pageBytes.
func (w *window) at(off int64, n int) []byte {
	if off < w.start || off+int64(n) > w.start+int64(len(w.buf)) {
		w.load(off)
	}
	i := off - w.start
	return w.buf[i : i+int64(n)]
}

func (w *window) load(off int64) {
	n := int(min(windowBytes, w.size-off))
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	w.start, w.buf = off, w.buf[:n]
	if got, err := w.file.ReadAt(w.buf, off); got == n {
		return
	} else if err == io.EOF { // shorter than it said
		clear(w.buf[got:])
		return
	}
	for i := 0; i < n; i += pageBytes {
		page := w.buf[i:min(i+pageBytes, n)]
		clear(page)
		if got, err := w.file.ReadAt(page, off+int64(i)); got < len(page) && err != io.EOF {
			clear(page)
			if w.err == nil {
				w.err = err
			}
		}
	}
}

// why is the disk's error, where there was one.
func (w *window) why(otherwise string) string {
	if w.err != nil {
		return w.err.Error()
	}
	return otherwise
}

// sum is the checksum of the n bytes at off.
func (w *window) sum(off int64, n int) (sum uint32) {
	for n > 0 {
		part := min(n, pageBytes)
		sum = checksum(sum, w.at(off, part))
		off, n = off+int64(part), n-part
	}
	return sum
}

// found is what a walk through a file learned.
type found struct {
	offsets []uint32 // as in segment
	bad     []Damage
	next    uint64 // index behind the last frame with a whole head
	tail    int64  // where what follows the last whole entry begins; the file's size where nothing does
	sealed  int64  // where a whole sealed entry is; 0: there is none
	seal    head   // its head
	err     error  // of the disk
}

// walk finds the entries of a file, those before index limit. A damaged payload
// costs its entry; a damaged head costs what lies before the next whole one.
func walk(file File, size int64, id fileID, limit uint64) found {
	w := &window{file: file, size: min(size, math.MaxUint32)}
	seed, name := id.seed(), id.name()
	f := found{}
	next, good := id.first, int64(headerSize) // index and place behind the last frame with a whole head
	whole, wholeAt := 0, good                 // the same of the last whole entry: offsets until there count
	for off := good; off+headSize <= w.size; {
		h, ok := parseHead(w.at(off, headSize), seed)
		// An entry takes headSize bytes at least: so many can be lost, no more.
		ok = ok && h.index >= next && h.index-next <= uint64(off-good)/headSize && off+headSize+int64(h.size) <= w.size
		if !ok {
			off = resync(w, off+1, next, good)
			continue
		}
		if h.index >= limit {
			break // given up later
		}
		if h.index > next {
			f.bad = append(f.bad, Damage{File: name, Offset: good, Entries: h.index - next, Why: w.why("frames are damaged")})
			f.offsets = append(f.offsets, make([]uint32, h.index-next)...)
		}
		f.offsets = append(f.offsets, uint32(off))
		frame := off
		off += headSize + int64(h.size)
		next, good = h.index+1, off
		if w.sum(frame+headSize, int(h.size)) != h.sum {
			f.bad = append(f.bad, Damage{File: name, Offset: frame, Entries: 1, Why: w.why("the entry does not fit its checksum")})
			continue
		}
		whole, wholeAt = len(f.offsets), off
		if h.sealed {
			f.sealed, f.seal = frame, h
		}
	}
	f.offsets, f.next, f.tail, f.err = f.offsets[:whole], next, wholeAt, w.err
	for len(f.bad) > 0 && f.bad[len(f.bad)-1].Offset >= wholeAt {
		f.bad = f.bad[:len(f.bad)-1] // not lost: it is part of the tail
	}
	return f
}

// resync is where the next head after damage may be, from off on, or the file's end.
func resync(w *window, off int64, next uint64, good int64) int64 {
	for ; off+headSize <= w.size; off++ {
		index := binary.LittleEndian.Uint64(w.at(off, headSize)[4:])
		if index >= next && index-next <= uint64(off-good)/headSize {
			return off
		}
	}
	return w.size
}

// nothing says that only zeros follow off, as where a file has grown and its bytes
// have not been written.
func (w *window) nothing(off int64) bool {
	for ; off < w.size; off += pageBytes {
		for _, b := range w.at(off, int(min(pageBytes, w.size-off))) {
			if b != 0 {
				return false
			}
		}
	}
	return true
}
