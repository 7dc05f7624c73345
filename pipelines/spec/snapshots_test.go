package spec

import (
	"slices"
	"testing"
	"time"
)

func TestSnapshotsDefaults(t *testing.T) {
	const head = "version: 1\nname: crossing\nstreams: { gate: { url: rtsp://10.0.0.3/main } }\n"
	p, err := Parse("site/a.yaml", []byte(head+"snapshots: {}\n"), nil, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	s := p.Snapshots
	if s == nil || s.Path != "site/snapshots" || s.Quality != 85 || s.Margin != 0.1 || s.Max != 10<<30 || s.MaxAge != 720*time.Hour || s.S3 != nil {
		t.Errorf("defaults are %+v", s)
	}
	if want := []string{"object.ended", "line.crossed", "zone.dwell"}; !slices.Equal(s.Types, want) {
		t.Errorf("types are %q, want %q", s.Types, want)
	}
	for _, text := range []string{head, head + "snapshots: null\n"} {
		if p, err = Parse("a.yaml", []byte(text), nil, noEnv); err != nil || p.Snapshots != nil {
			t.Errorf("without snapshots: %+v, %v", p.Snapshots, err)
		}
	}
}
