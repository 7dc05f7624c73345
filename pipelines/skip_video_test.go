package pipelines

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/internal/testkit"
)

// structures are ways in which real cameras code.
var structures = []struct {
	name, params string
	faster       float64 // than decoding everything, at least, in pictures decoded
}{
	{"non-reference pictures", "bframes=2:b-adapt=0:b-pyramid=0:keyint=50:min-keyint=50", 2},
	{"short groups", "bframes=0:keyint=5:min-keyint=5", 4},
	{"all references", "bframes=0:keyint=50:min-keyint=50", 1.05},
}

// structured is a real scene at 25 pictures a second.
func structured(t testing.TB, params string, width, height, frames int) string {
	return testkit.Clip(t, "structure.mp4", "-stream_loop", "-1", "-i", media(t, "vtest.mp4"), "-vf", fmt.Sprintf("setpts=N/25/TB,scale=%d:%d", width, height),
		"-r", "25", "-frames:v", fmt.Sprint(frames), "-c:v", "libx264", "-preset", "veryfast", "-x264-params", params+":scenecut=0")
}

// decoded is what came of a clip with one way to skip.
type decoded struct {
	inferred []inferredFrame
	pictures uint64
	cpu      time.Duration
	status   StreamStatus
	asked    bool // for a keyframe
}

// decodeClip hands a clip's packets, one after the other and as fast as it can, to
// a live stream with a real decoder.
func decodeClip(t testing.TB, path string, seed maphash.Seed, fps float64, skip Skip) decoded {
	t.Helper()
	return decodeWith(t, decode.Config{Threads: 1, Live: true, Frames: decodetest.Live(t)}, path, seed, fps, skip)
}

func decodeWith(t testing.TB, config decode.Config, path string, seed maphash.Seed, fps float64, skip Skip) decoded {
	t.Helper()
	source, err := file.New(file.Config{Path: path, Pace: file.Fastest}, "clip", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d, err := decode.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.(decode.Tuner).SetKeyframesOnly(skip == SkipNonkey)
	h := &hashing{seed: seed}
	s := &stream{
		name: "clip", live: true, analyze: true, hold: true, log: slog.New(slog.DiscardHandler), decoder: d, gate: newGate(2, 1, threadTime),
		shapes: &shapes{session: &fakeSizes{}, failed: func(error) {}}, ledger: newLedger(), status: &state{}, watch: newWatchers(),
		pull: &puller{inputs: []*input{{source: source}}}, sampler: newGridSampler(fps, skip, held(1)),
	}
	s.analyst = (&analyst{}).prepare()
	s.batcher = newBatcher(h.open, s.gate, 1)
	s.lane = &lane{live: true, replace: func(*row) { s.ledger.skip("replaced") }}
	if err := source.Run(t.Context(), func(p ingest.Packet) error {
		p.Received = time.Now()
		if s.epoch.name == "" {
			s.startEpoch(p)
		}
		s.packet(p)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.finishEpoch()
	s.shapes.compiling.Wait()
	status := s.status.snapshot()
	status.Ledger = s.ledger.snapshot()
	return decoded{h.written, s.ledger.pictures(), time.Duration(s.spent.Load()), status, !s.keyframe.asked.IsZero()}
}

// TestSkippingChangesNoPicture: what is inferred of a real stream is sample by
// sample what decoding all of it gives, and as much.
func TestSkippingChangesNoPicture(t *testing.T) {
	const frames = 500
	seed := maphash.MakeSeed()
	for _, c := range structures {
		t.Run(c.name, func(t *testing.T) {
			path := structured(t, c.params, 320, 240, frames)
			before := processTime(t)
			everything := decodeClip(t, path, seed, 0, SkipNone)
			if spent := processTime(t) - before; everything.cpu > spent || everything.cpu < spent/10 {
				t.Errorf("decoding is said to have taken %v of the process's %v", everything.cpu, spent)
			}
			at := map[time.Duration]uint64{}
			for _, f := range everything.inferred {
				at[f.pts] = f.sum
			}
			none, auto := decodeClip(t, path, seed, 5, SkipNone), decodeClip(t, path, seed, 5, SkipAuto)
			for _, f := range auto.inferred {
				if at[f.pts] != f.sum {
					t.Errorf("the picture shown at %v is another with pictures skipped", f.pts)
				}
			}
			if len(at) != frames || len(none.inferred) != frames/5 || len(auto.inferred) < frames/5-1 || len(auto.inferred) > frames/5+1 {
				t.Errorf("%d pictures; %d inferred, and %d with pictures skipped", len(at), len(none.inferred), len(auto.inferred))
			}
			for skip, least := range map[Skip]int{SkipNonref: frames / 4, SkipNonkey: frames / 60} {
				told := decodeClip(t, path, seed, 0, skip)
				for _, f := range told.inferred {
					if at[f.pts] != f.sum {
						t.Errorf("%s: the picture shown at %v is another", skip, f.pts)
					}
				}
				if len(told.inferred) < least || uint64(len(told.inferred)) != told.pictures {
					t.Errorf("%s: %d inferred of %d decoded", skip, len(told.inferred), told.pictures)
				}
			}
			if float64(auto.pictures)*c.faster > float64(none.pictures) {
				t.Errorf("%d of %d pictures were decoded", auto.pictures, none.pictures)
			}
		})
	}
}

// TestSkippingIsNoDamage: pictures shown before a keyframe of an open group lack
// those that were passed over. They are withheld, and nobody is told of a loss.
func TestSkippingIsNoDamage(t *testing.T) {
	path := structured(t, "open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal:keyint=50:min-keyint=50", 320, 240, 500)
	seed := maphash.MakeSeed()
	at := map[time.Duration]uint64{}
	for _, f := range decodeClip(t, path, seed, 0, SkipNone).inferred {
		at[f.pts] = f.sum
	}
	got := decodeClip(t, path, seed, 0.5, SkipAuto)
	for _, f := range got.inferred {
		if at[f.pts] != f.sum {
			t.Errorf("the picture shown at %v is another with pictures skipped", f.pts)
		}
	}
	l := got.status.Ledger
	if len(got.inferred) != 10 || l.Undecoded[skippedNonkey] < 400 {
		t.Errorf("%d inferred, undecoded %v", len(got.inferred), l.Undecoded)
	}
	if got.status.LostSeconds > 0 || got.status.Degraded != nil || l.Skipped[damaged] > 0 || got.asked {
		t.Errorf("lost %.1f s, degraded %v, skipped %v, keyframe asked for: %v", got.status.LostSeconds, got.status.Degraded, l.Skipped, got.asked)
	}
}

// processTime is the processor time of the whole process, as the system counts it.
func processTime(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSkip is the processor time of decoding 1080p25 for 5 inferences a
// second: of a second of video with everything decoded, and with what the
// stream's structure allows to skip; and with that and without the loop filter,
// which is no part of auto: pictures are then not those that were coded.
func BenchmarkSkip(b *testing.B) {
	const frames = 250
	for _, c := range structures {
		b.Run(c.name, func(b *testing.B) {
			path := structured(b, c.params, 1920, 1080, frames)
			var none, auto, rough time.Duration
			config := decode.Config{Threads: 1, Live: true, SkipLoopFilter: true}
			rounds := 0
			for b.Loop() {
				none += decodeClip(b, path, maphash.MakeSeed(), 5, SkipNone).cpu
				auto += decodeClip(b, path, maphash.MakeSeed(), 5, SkipAuto).cpu
				rough += decodeWith(b, config, path, maphash.MakeSeed(), 5, SkipAuto).cpu
				rounds++
			}
			seconds := float64(rounds) * frames / 25
			b.ReportMetric(1e3*none.Seconds()/seconds, "ms-none/s")
			b.ReportMetric(1e3*auto.Seconds()/seconds, "ms-auto/s")
			b.ReportMetric(none.Seconds()/auto.Seconds(), "none/auto")
			b.ReportMetric(none.Seconds()/rough.Seconds(), "none/auto+filter-off")
		})
	}
}
