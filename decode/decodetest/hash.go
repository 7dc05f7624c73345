package decodetest

import (
	"hash/maphash"
	"unsafe"

	"sightline/decode"
)

// Hasher tells pictures apart by all their samples.
type Hasher struct{ seed maphash.Seed }

// NewHasher returns one whose sums are its own.
func NewHasher() Hasher { return Hasher{maphash.MakeSeed()} }

// Sum is equal for frames in host memory that have the same size and samples.
func (h Hasher) Sum(f *decode.Frame) uint64 {
	var sum maphash.Hash
	sum.SetSeed(h.seed)
	maphash.WriteComparable(&sum, [3]int{f.Width, f.Height, int(f.Format)})
	rows := func(p decode.Plane, width, height int) {
		for y := range height {
			sum.Write(unsafe.Slice((*byte)(unsafe.Add(p.Data, y*p.Stride)), width))
		}
	}
	rows(f.Planes[0], f.Width, f.Height)
	width, height := (f.Width+1)/2, (f.Height+1)/2
	if f.Format == decode.NV12 {
		rows(f.Planes[1], 2*width, height)
		return sum.Sum64()
	}
	rows(f.Planes[1], width, height)
	rows(f.Planes[2], width, height)
	return sum.Sum64()
}
