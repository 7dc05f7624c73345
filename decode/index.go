package decode

import (
	"cmp"
	"slices"
	"time"
)

// maxUnnumbered is more pictures than any codec reorders, so that a stream whose
// packets are all passed over does not collect them.
const maxUnnumbered = 128

// numbering counts the pictures of one epoch in presentation order. Pictures
// enter in decoding order and are numbered when one comes out: whatever is shown
// before it must have entered by then.
type numbering struct {
	done    uint64    // pictures numbered
	waiting []picture // in presentation order
}

type picture struct {
	pts time.Duration
	id  uint64
}

func (p picture) compare(q picture) int {
	return cmp.Or(cmp.Compare(p.pts, q.pts), cmp.Compare(p.id, q.id))
}

// enter adds a picture, decoded or not.
func (n *numbering) enter(p picture) {
	i, _ := slices.BinarySearchFunc(n.waiting, p, picture.compare)
	n.waiting = slices.Insert(n.waiting, i, p)
	if len(n.waiting) > maxUnnumbered {
		n.pass(maxUnnumbered / 2)
	}
}

// number takes p and all shown before it, and returns p's index, from 1.
func (n *numbering) number(p picture) uint64 {
	i, found := slices.BinarySearchFunc(n.waiting, p, picture.compare)
	if found {
		i++
	}
	n.pass(i)
	return max(n.done, 1)
}

func (n *numbering) pass(count int) {
	n.done += uint64(count)
	n.waiting = slices.Delete(n.waiting, 0, count)
}
