package spool

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sightline/sink"
	"sightline/sink/sinktest"
)

func TestNotesReadBack(t *testing.T) {
	notes := []note{
		{name: sink.Route{Key: "hq/gate"}, firm: 7, upTo: 7},
		{name: sink.Route{Topic: "t", Key: "hq"}, firm: 1 << 40, upTo: 3, singles: []uint64{5, 6, 900}},
	}
	got, err := parseNotes(appendNotes(notes))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(notes, got, cmp.AllowUnexported(note{})); diff != "" {
		t.Error(diff)
	}
	for n := range appendNotes(notes[:1]) {
		if b := appendNotes(notes[:1])[:n]; n > 1 {
			if _, err := parseNotes(b); err == nil {
				t.Errorf("%d bytes of a note are one", n)
			}
		}
	}
}

func TestRecordReadBack(t *testing.T) {
	h := &held{record: sinktest.Record("gate", 5), offered: time.UnixMicro(1_800_000_000_000_001)}
	h.record.Topic = "t"
	if _, err := h.encode(nil); err != nil {
		t.Fatal(err)
	}
	r, offered, err := parseRecord(h.body)
	if err != nil || !offered.Equal(h.offered) || r.Route != h.record.Route || r.Sequence != 5 || string(r.JSON) != string(h.record.JSON) {
		t.Errorf("got %+v, offered %v, %v", r, offered, err)
	}
}

// FuzzEntry takes any bytes for an entry of the journal, and a good record behind it.
func FuzzEntry(f *testing.F) {
	h := &held{record: sinktest.Record("gate", 5), offered: time.UnixMicro(1)}
	if _, err := h.encode(nil); err != nil {
		f.Fatal(err)
	}
	f.Add(h.body)
	f.Add(appendNotes([]note{{name: sink.Route{Topic: "t", Key: "hq"}, firm: 9, upTo: 3, singles: []uint64{5, 6}}}))
	f.Add(appendText(appendText([]byte{kindForgets}, "t"), "hq"))
	f.Add([]byte{})
	f.Add([]byte{kindNotes, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, gone := open(t, Config{WhenFull: DropLowestSeverity})
		q.disk = &disk{segment: 1 << 20}
		rc := &recovery{q: q, routes: map[sink.Route]*route{}, late: map[*route][]*lane{}}
		for i, entry := range [][]byte{b, h.body, b} {
			if err := rc.entry(uint64(i+1), entry, nil); err != nil {
				t.Fatal(err)
			}
		}
		for r, late := range rc.late {
			r.merge(late)
		}
		rc.finish()
		events := 0
		for _, r := range q.routes {
			for i := range r.lanes {
				last := uint64(0)
				r.lanes[i].each(func(e *entry) {
					if events++; e.sequence < last {
						t.Errorf("%v: %d after %d", r.name, e.sequence, last)
					}
					last = e.sequence
				})
			}
		}
		if events != q.events || gone.sum() != rc.damaged {
			t.Errorf("%d records, counted %d; gave up %v of %d damaged", events, q.events, gone, rc.damaged)
		}
	})
}
