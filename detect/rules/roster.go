package rules

import "sightline/detect"

// roster keeps something for every confirmed track, in order of track ids.
type roster[T any] struct {
	scene   uint64
	entries map[uint64]*entry[T]
	order   []*entry[T]
}

type entry[T any] struct {
	track uint64
	scene uint64 // the last scene that had the track
	value T
}

// each calls f for every confirmed track of s that exists, first meaning that
// it was not there before.
func (r *roster[T]) each(s detect.Scene, f func(t *detect.Track, v *T, first bool)) {
	r.scene++
	if r.entries == nil {
		r.entries = map[uint64]*entry[T]{}
	}
	for i := range s.Tracks {
		t := &s.Tracks[i]
		if !t.Confirmed || t.ID == 0 {
			continue
		}
		e, ok := r.entries[t.ID]
		if !ok {
			e = &entry[T]{track: t.ID}
			r.entries[t.ID] = e
			r.order = append(r.order, e)
		}
		e.scene = r.scene
		f(t, &e.value, !ok)
	}
}

// gone forgets the tracks that the last scene did not have and calls f for each.
func (r *roster[T]) gone(f func(*T)) {
	kept := r.order[:0]
	for _, e := range r.order {
		if e.scene == r.scene {
			kept = append(kept, e)
			continue
		}
		delete(r.entries, e.track)
		f(&e.value)
	}
	clear(r.order[len(kept):])
	r.order = kept
}

// clear forgets all tracks and calls f for each.
func (r *roster[T]) clear(f func(*T)) {
	r.scene++
	r.gone(f)
}
