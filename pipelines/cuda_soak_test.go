//go:build cuda

package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/kernels/emu"
	"sightline/pipelines/spec"
)

var errLine = errors.New("the line is cut")

// failing is a source that fails after so many packets, each time.
type failing struct {
	ingest.Source
	packets int
}

func (f failing) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	n := 0
	return f.Source.Run(ctx, func(p ingest.Packet) error {
		if n++; n > f.packets {
			return errLine
		}
		return emit(p)
	})
}

// injuries are what is done to the device, each several times as likely as it stands
// here. What the device does not outlive is followed by its return.
var injuries = []string{
	emu.Alloc, emu.Pinned, emu.Stream, emu.Event, emu.Copy, emu.Copy, emu.Launch, emu.Launch, emu.Device, emu.Picture, emu.Picture, emu.Map, emu.Map, emu.Decoder,
}

// traffic is a pipeline of files that are decoded on the device, one that is uploaded,
// and a camera that fails every other second.
func traffic(t testing.TB, out string) string {
	text := nvdec(t, out, 2, "")
	text = strings.ReplaceAll(text, "pace: fastest", "pace: fastest, loop: true")
	upload := fmt.Sprintf("  cam2: { url: 'file:%s', pace: fastest, loop: true, decode: { hwaccel: none } }\n", media(t, "vtest.mp4"))
	camera := "  cam3: { url: 'rtsp://127.0.0.1/none' }\n"
	return strings.Replace(text, "sinks:", upload+camera+"sinks:", 1)
}

// TestCUDASoak injures a device again and again under streams that come and go. After
// each injury all of them go on, and the sums hold; at the end nothing is left.
func TestCUDASoak(t *testing.T) {
	emu.Need(t)
	emu.KeepsNothing(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	counts := map[string]int{}
	for began, run := time.Now(), 0; run == 0 || time.Since(began) < soakCUDA; run++ {
		soakRun(t, random, counts)
		if t.Failed() {
			break
		}
	}
	t.Logf("injuries: %v", counts)
}

// soakRun is one pipeline and some injuries.
func soakRun(t *testing.T, random *rand.Rand, counts map[string]int) {
	const streams, perRun = 4, 6
	var p *Pipeline
	var steps []step
	for range perRun {
		kind := injuries[random.IntN(len(injuries))]
		after := 1 + random.IntN(40)
		steps = append(steps, step{"every stream to go on before " + kind, each(streams, 2, "detections"), func() {
			counts[kind]++
			emu.Fail(kind, after)
			for _, s := range p.Streams() {
				accountHolds(t, s)
			}
		}}, step{"time for " + kind, func(n map[string]int) bool { return n["detections"] > 12 || n["stream.degraded gpu_lost"] > 0 }, func() {
			emu.Fail(kind, 0)
			emu.Restore(0)
		}})
	}
	steps = append(steps, step{"every stream to go on at last", each(streams, 3, "detections"), nil})
	q := newSequence(steps...)
	out := filepath.Join(t.TempDir(), "events.jsonl")
	o := parts(t)
	o.OnEvent = q.see
	o.Source = func(st *spec.Stream) ingest.Source {
		if st.Name != "cam3" {
			return nil
		}
		played := *st
		played.Path = media(t, "vtest.avi")
		return failing{realtime(t, &played), 15}
	}
	p = build(t, traffic(t, out), o)
	runSequence(t, p, q)
	for _, s := range p.Streams() {
		accountHolds(t, s)
		if s.Ledger.InFlight != 0 || s.Ledger.InDecoder != 0 {
			t.Errorf("%s: left under way: %+v", s.Name, s.Ledger)
		}
	}
	if n := p.Frames(); n != 0 {
		t.Errorf("%d frames are held", n)
	}
}

// accountHolds wants nothing to be counted twice.
func accountHolds(t *testing.T, s StreamStatus) {
	t.Helper()
	l := s.Ledger
	if l.Received != l.Decoded+sum(l.Undecoded)+l.InDecoder || l.Decoded != l.Inferred+sum(l.Skipped)+l.InFlight || l.InFlight > 1000 || l.InDecoder > 1000 {
		t.Errorf("%s: %+v", s.Name, l)
	}
}

// realtime plays a file as a camera would send it.
func realtime(t testing.TB, st *spec.Stream) ingest.Source {
	c := file.Defaults()
	c.Path, c.Loop = st.Path, true
	s, err := file.New(c, st.Name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Error(err)
		return nil
	}
	return s
}
