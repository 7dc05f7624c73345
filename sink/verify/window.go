package verify

// entry is what is remembered of an event that has arrived.
type entry struct {
	sequence uint64
	whole    uint64 // digest of the message: all of it
	content  uint64 // digest of what the event tells: neither its number nor when it was made
	key      uint32 // number of its key; no pointer, or collecting garbage would look at all entries
}

// window remembers the last events by id: at least size of them, at most twice as
// many, in two generations.
type window struct {
	size int
	now  map[[16]byte]entry
	old  map[[16]byte]entry
	turn func() // called when the older half is forgotten
}

func newWindow(size int, turn func()) *window {
	return &window{size: size, now: map[[16]byte]entry{}, old: map[[16]byte]entry{}, turn: turn}
}

func (w *window) find(id [16]byte) (entry, bool) {
	if e, ok := w.now[id]; ok {
		return e, true
	}
	e, ok := w.old[id]
	return e, ok
}

func (w *window) keep(id [16]byte, e entry) {
	if _, ok := w.now[id]; !ok && len(w.now) >= w.size {
		w.old, w.now = w.now, w.old
		clear(w.now)
		w.turn()
	}
	w.now[id] = e
}
