package sink

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func stored(t testing.TB, r Record) []byte {
	t.Helper()
	b, err := AppendRecord(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func data(t *testing.T, r Record) []byte {
	t.Helper()
	b, err := AppendData(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordReadBackIsTheSame(t *testing.T) {
	r := crossing()
	r.Route = Route{Topic: "sightline.hq", Key: "hq/gate/17-1"}
	r.Event.DataRef = "file:///snapshots/17-1.jpg"
	back, err := ParseRecord(stored(t, r))
	if err != nil {
		t.Fatal(err)
	}
	if back.Route != r.Route || back.Sequence != r.Sequence || back.Event.ID != r.Event.ID || back.Event.Type != r.Event.Type {
		t.Errorf("read back as %+v of %+v", back, back.Event)
	}
	if diff := cmp.Diff(Attributes(r), Attributes(back)); diff != "" {
		t.Errorf("attributes differ:\n%s", diff)
	}
	if got, want := data(t, back), data(t, r); string(got) != string(want) {
		t.Errorf("data:\n got %s\nwant %s", got, want)
	}
	whole, err := back.Full()
	if err != nil {
		t.Fatal(err)
	}
	again := Record{Event: whole, Route: back.Route, Sequence: back.Sequence}
	if got, want := stored(t, again), stored(t, r); string(got) != string(want) {
		t.Errorf("written again:\n got %s\nwant %s", got, want)
	}
}

// FuzzParseRecord reads anything; what it takes is written as the same again.
func FuzzParseRecord(f *testing.F) {
	f.Add(stored(f, crossing()))
	f.Add([]byte{recordVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		again, err := ParseRecord(stored(t, r))
		if err != nil || !cmp.Equal(Attributes(r), Attributes(again)) || string(r.JSON) != string(again.JSON) {
			t.Errorf("% x is read back otherwise (%v)", b, err)
		}
	})
}
