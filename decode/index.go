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
	last    uint64    // index given last

	// Time does not run backwards: a picture out of its place, as in damaged
	// streams, takes the times of the one before it, and is no picture of them.
	pts      time.Duration
	captured time.Time
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
		n.waiting = slices.Delete(n.waiting, 0, maxUnnumbered/2)
		n.done += maxUnnumbered / 2
	}
}

// number returns the index of a picture that came out, from 1, and counts those
// shown before it. One that comes out of its place, as in damaged streams, was
// counted already and takes the next index instead.
func (n *numbering) number(p picture) uint64 {
	i, found := slices.BinarySearchFunc(n.waiting, p, picture.compare)
	if found {
		i++
	}
	n.waiting = slices.Delete(n.waiting, 0, i)
	n.done = max(n.done+uint64(i), n.last+1)
	n.last = n.done
	return n.last
}

// clock returns the times of the next picture, never before those of the last,
// and whether they are its own.
func (n *numbering) clock(pts time.Duration, captured time.Time) (_ time.Duration, _ time.Time, own bool) {
	own = pts >= n.pts
	n.pts = max(n.pts, pts)
	if captured.After(n.captured) {
		n.captured = captured
	}
	return n.pts, n.captured, own
}
