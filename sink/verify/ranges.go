package verify

import "slices"

// Range is a run of sequences, both ends included.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// ranges are ascending and apart.
type ranges []Range

// total is how many sequences there are in all.
func (rs ranges) total() (n uint64) {
	for _, r := range rs {
		n += r.Last - r.First + 1
	}
	return n
}

// remove takes n out and reports whether it was there.
func (rs *ranges) remove(n uint64) bool {
	i, _ := slices.BinarySearchFunc(*rs, n, func(r Range, n uint64) int {
		if r.Last < n {
			return -1
		}
		return 1
	})
	if i == len(*rs) || (*rs)[i].First > n {
		return false
	}
	switch r := &(*rs)[i]; {
	case r.First == r.Last:
		*rs = slices.Delete(*rs, i, i+1)
	case r.First == n:
		r.First++
	case r.Last == n:
		r.Last--
	default:
		right := Range{n + 1, r.Last}
		r.Last = n - 1
		*rs = slices.Insert(*rs, i+1, right)
	}
	return true
}
