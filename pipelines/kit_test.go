package pipelines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/internal/libav"
	"sightline/internal/testkit"
	"sightline/internal/testkit/events"
	"sightline/pipelines/spec"
)

// TestMain looks for goroutines left behind. The client of a broker that was never
// there may still be about to notice that it is closed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == jobArgument {
		os.Exit(runJob(os.Args[2]))
	}
	libav.LimitArenas(2) // as the program does
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/segmentio/kafka-go.(*connPool).discover"))
}

// parts is what a whole pipeline needs to run.
func parts(t testing.TB) Options {
	t.Helper()
	testkit.Dep(t, "models/coco-nano.onnx")
	return Options{
		LibDirs:   []string{testkit.Dep(t, "onnxruntime/lib"), testkit.Dep(t, "openvino/lib")},
		ModelDirs: []string{testkit.Dep(t, "models")},
		Logger:    slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// testWriter makes the log a part of the test's.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

func parse(t testing.TB, text string) *spec.Pipeline {
	t.Helper()
	sp, err := spec.Parse("test.yaml", []byte(text), nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func build(t testing.TB, text string, o Options) *Pipeline {
	t.Helper()
	p, err := New(parse(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// everything is the types list of a sink that takes all events.
var everything = strings.Join([]string{
	"detections", "object.started", "object.updated", "object.ended", "line.crossed", "zone.entered", "zone.exited", "zone.dwell",
	"zone.occupancy", "count.reported", "stream.online", "stream.offline", "stream.degraded", "pipeline.accounting",
}, ", ")

var errCut = errors.New("cut here")

// cut plays the first packets of a file and then ends as if it were all.
type cut struct {
	ingest.Source
	packets int
}

func (c cut) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	n := 0
	err := c.Source.Run(ctx, func(p ingest.Packet) error {
		if n++; n > c.packets {
			return errCut
		}
		return emit(p)
	})
	if errors.Is(err, errCut) {
		return nil
	}
	return err
}

// cutFile is the Options.Source that plays the first packets of each stream's
// file as fast as they are taken.
func cutFile(t testing.TB, packets int) func(*spec.Stream) ingest.Source {
	return func(st *spec.Stream) ingest.Source {
		c := file.Defaults()
		c.Path, c.Pace, c.Start = st.Path, file.Fastest, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		s, err := file.New(c, st.Name, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Error(err)
			return nil
		}
		return cut{s, packets}
	}
}

// told is one event as a consumer sees it.
type told struct {
	Type, Subject, Source, ID, Sequence, Time string
	Data                                      struct {
		Stream struct{ Name, Epoch string }
		Frame  *struct {
			Index         int
			Width, Height int
		}
		Objects []struct {
			Class   string
			Score   float64
			TrackID string `json:"track_id"`
			BBox    detect.Rect
		}
		Object *struct {
			TrackID string `json:"track_id"`
		}
		Rule      *struct{ Name, Kind string }
		Zone      *struct{ Visit int }
		Reason    any
		Received  uint64
		Decoded   uint64
		Inferred  uint64
		InDecoder uint64 `json:"in_decoder"`
		InFlight  uint64 `json:"in_flight"`
		Undecoded map[string]uint64
		Skipped   map[string]uint64
		Sinks     map[string]detect.SinkLedger
	}
	raw string
}

// written validates and reads a jsonl sink's file, and checks what holds for the
// events of any run: they come in pairs, without gaps, in time.
func written(t testing.TB, path string) []told {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	events.ValidateLines(t, text)
	var all []told
	for line := range bytes.Lines(text) {
		all = append(all, read(t, line))
	}
	promises(t, all)
	return all
}

func read(t testing.TB, text []byte) told {
	t.Helper()
	e := told{raw: string(text)}
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	e.Type = strings.TrimPrefix(e.Type, "sightline.")
	return e
}

// promises checks what the contract promises of any sequence of one sink's events.
func promises(t testing.TB, all []told) {
	t.Helper()
	type place struct{ source, epoch string }
	last, times := map[place]int{}, map[place]string{}
	ids, open := map[string]bool{}, map[string]int{}
	for _, e := range all {
		at := place{e.Source, e.Data.Stream.Epoch}
		var sequence int
		fmt.Sscanf(e.Sequence, "%d", &sequence)
		if sequence != last[at]+1 {
			t.Errorf("%s %s: sequence %d after %d", e.Source, e.Type, sequence, last[at])
		}
		if e.Time < times[at] {
			t.Errorf("%s %s: time %s after %s", e.Source, e.Type, e.Time, times[at])
		}
		last[at], times[at] = sequence, e.Time
		if ids[e.ID] {
			t.Errorf("%s %s: id %s is there twice", e.Source, e.Type, e.ID)
		}
		ids[e.ID] = true
		var what string
		if e.Data.Object != nil {
			what = e.Source + " " + e.Data.Object.TrackID
		}
		switch e.Type {
		case "object.started":
			open[what]++
		case "object.ended":
			open[what]--
		case "zone.entered":
			open[fmt.Sprint(what, " ", e.Data.Rule.Name, " ", e.Data.Zone.Visit)]++
		case "zone.exited":
			open[fmt.Sprint(what, " ", e.Data.Rule.Name, " ", e.Data.Zone.Visit)]--
		case "pipeline.accounting":
			balancedEvent(t, e)
		}
	}
	for what, n := range open {
		if n != 0 {
			t.Errorf("%s: began %+d times more than it ended", what, n)
		}
	}
}

// balancedEvent checks the sums of one account.
func balancedEvent(t testing.TB, e told) {
	t.Helper()
	d := e.Data
	if d.Received != d.Decoded+sum(d.Undecoded)+d.InDecoder {
		t.Errorf("%s: received %d, decoded %d, undecoded %v, in decoder %d", e.Source, d.Received, d.Decoded, d.Undecoded, d.InDecoder)
	}
	if d.Decoded != d.Inferred+sum(d.Skipped)+d.InFlight {
		t.Errorf("%s: decoded %d, inferred %d, skipped %v, in flight %d", e.Source, d.Decoded, d.Inferred, d.Skipped, d.InFlight)
	}
	for name, s := range d.Sinks {
		if s.Made != s.Filtered+s.Acknowledged+s.Spooled+s.DeadLettered+s.Expired+sum(s.Dropped) {
			t.Errorf("%s: sink %s: %+v", e.Source, name, s)
		}
	}
}

// ofType counts events by type.
func ofType(all []told, typ string) (n int) {
	for _, e := range all {
		if e.Type == typ {
			n++
		}
	}
	return n
}

// perStream joins the raw events of each stream.
func perStream(all []told) map[string]string {
	out := map[string]string{}
	for _, e := range all {
		out[e.Data.Stream.Name] += e.raw
	}
	return out
}

// eventually polls until ok, and fails the test when that takes too long.
func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, limit, what, ok)
}

// media is the path of a sample video.
func media(t testing.TB, name string) string { return testkit.Dep(t, filepath.Join("media", name)) }
