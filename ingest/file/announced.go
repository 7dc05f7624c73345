package file

import (
	"encoding/binary"
	"io"
	"math"
	"math/bits"
)

// announced is the size that a file's container says the file has, where its
// outer structure tells: MP4 and its kin (ISO/IEC 14496-12 boxes), RIFF (AVI) and
// Matroska (RFC 8794 elements). It is 0 where it does not. Containers made for
// streaming (MPEG-TS) never tell.
func announced(f io.ReaderAt, size int64) int64 {
	var b [16]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return 0
	}
	switch {
	case string(b[:4]) == "RIFF":
		return 8 + int64(binary.LittleEndian.Uint32(b[4:]))
	case string(b[:4]) == "\x1a\x45\xdf\xa3":
		return matroska(f)
	}
	switch string(b[4:8]) { // files without ftyp are older
	case "ftyp", "moov", "mdat", "wide", "free", "skip":
		return boxes(f, size)
	}
	return 0
}

// boxes follows the chain of top level boxes to its end.
func boxes(f io.ReaderAt, size int64) int64 {
	at := int64(0)
	for at < size {
		var b [16]byte
		n, _ := f.ReadAt(b[:], at)
		if n < 8 {
			return at + 8
		}
		length := int64(binary.BigEndian.Uint32(b[:]))
		switch {
		case length == 0: // to the end of the file
			return size
		case length == 1 && n == 16:
			length = int64(binary.BigEndian.Uint64(b[8:]))
		}
		if length < 8 || length > math.MaxInt64-at { // not a box
			return 0
		}
		at += length
	}
	return at
}

// matroska adds the sizes of the EBML header and the segment.
func matroska(f io.ReaderAt) int64 {
	at := int64(0)
	for range 2 {
		var b [12]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return 0
		}
		length, n := ebmlSize(b[4:]) // both ids have 4 bytes
		if length < 0 {
			return 0
		}
		at += int64(4+n) + length
	}
	return at
}

// ebmlSize reads a variable size integer; -1 is an unknown size, as live recordings have.
func ebmlSize(b []byte) (value int64, n int) {
	n = bits.LeadingZeros8(b[0]) + 1
	if n > 8 {
		return -1, n
	}
	v := uint64(b[0]) & (1<<(8-n) - 1)
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	if v == 1<<(7*n)-1 {
		return -1, n
	}
	return int64(v), n
}
