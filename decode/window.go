package decode

import (
	"slices"

	"sightline/ingest"
)

// maxWindow is how many packets later a picture may come out at most: 16
// reordered and 32 decoded side by side. A packet without picture for longer has none.
const maxWindow = 64

// window remembers the packets inside the decoder, to give a picture what its
// packet said.
type window struct {
	in []entry // in decoding order
	// owed counts errors about packets still in the window, where frame threads
	// do not tell which.
	owed int
}

type entry struct {
	id      uint64
	packet  ingest.Packet // without its data
	numbers *numbering
	group   uint64 // id of the keyframe before it, or of itself
	damaged bool
}

// add enters a packet.
func (w *window) add(e entry) {
	e.packet.Data, e.packet.Extradata = nil, nil
	if len(w.in) == 2*maxWindow {
		w.drop(1)
	}
	w.in = append(w.in, e)
}

// take removes and returns the packet of the picture id, and gives up those too far behind it.
func (w *window) take(id uint64) (entry, bool) {
	late := 0
	for late < len(w.in) && w.in[late].id+maxWindow < id {
		late++
	}
	w.drop(late)
	i := slices.IndexFunc(w.in, func(e entry) bool { return e.id == id })
	if i < 0 {
		return entry{}, false
	}
	e := w.in[i]
	w.in = slices.Delete(w.in, i, i+1)
	return e, true
}

// find returns the packet id, nil when it is not inside.
func (w *window) find(id uint64) *entry {
	for i := range w.in {
		if w.in[i].id == id {
			return &w.in[i]
		}
	}
	return nil
}

// remove forgets the packet id, which has no picture.
func (w *window) remove(id uint64) {
	w.in = slices.DeleteFunc(w.in, func(e entry) bool { return e.id == id })
}

// drop gives up the count oldest.
func (w *window) drop(count int) {
	w.in = slices.Delete(w.in, 0, count)
	w.owed = max(w.owed-count, 0)
}

// damage marks what follows the picture id in its group of pictures.
func (w *window) damage(id, group uint64) {
	for i := range w.in {
		if w.in[i].id > id && w.in[i].group == group {
			w.in[i].damaged = true
		}
	}
}

// clear forgets all of it.
//
// not lost: the caller counts what goes in and does not come out
func (w *window) clear() { w.in, w.owed = nil, 0 }

func (w *window) pending() int { return max(len(w.in)-w.owed, 0) }
