package quality

import (
	"context"
	"log/slog"
	"testing"

	"sightline/decode"
	"sightline/ingest"
	"sightline/ingest/file"
)

// play decodes a video and hands every picture to see, which does not keep it.
func play(t testing.TB, path string, see func(f *decode.Frame)) {
	t.Helper()
	source, err := file.New(file.Config{Path: path, Pace: file.Fastest}, "clip", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d, err := decode.New(decode.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	emit := func(f *decode.Frame) error {
		see(f)
		f.Release()
		return nil
	}
	if err := source.Run(context.Background(), func(p ingest.Packet) error { return d.Decode(p, emit) }); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(emit); err != nil {
		t.Fatal(err)
	}
}
