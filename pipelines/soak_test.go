//go:build soak

package pipelines

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// soakLength is what SIGHTLINE_SOAK says, else usual.
func soakLength(t *testing.T, usual time.Duration) time.Duration {
	text := os.Getenv("SIGHTLINE_SOAK")
	if text == "" {
		return usual
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return length
}

// soakGrowth lets memory grow by 8 MiB in all, however long it takes: native
// allocators spread over their arenas for minutes, a leak goes on.
func soakGrowth(length time.Duration) growth {
	s := length.Seconds()
	return growth{memory: 8 << 20 / s, goroutines: 5 / s, frames: 5 / s, descriptors: 5 / s}
}

// TestSoakSteady is TestSteady for as long as SIGHTLINE_SOAK says, ten minutes
// otherwise.
func TestSoakSteady(t *testing.T) {
	length := soakLength(t, 10*time.Minute)
	steady(t, min(length, 5*time.Minute), length, length/500, soakGrowth(length))
}

// TestSoakCameras watches eight live cameras for half an hour, or as long as
// SIGHTLINE_SOAK says: nothing grows, nobody reconnects, every camera is analyzed
// at its rate.
func TestSoakCameras(t *testing.T) {
	length := soakLength(t, 30*time.Minute)
	warm := min(length, 5*time.Minute)
	server := serve(t, "", media(t, "vtest-south.mp4"))
	var text strings.Builder
	text.WriteString("version: 1\nname: cameras\ndetect: { fps: 5 }\nstreams:\n")
	for i := range 8 {
		fmt.Fprintf(&text, "  c%d: { url: '%s', transport: %s }\n", i, server.URL("main"), []string{"tcp", "udp"}[i%2])
	}
	fmt.Fprintf(&text, "sinks:\n  - { kind: jsonl, path: '%s' }\n", filepath.Join(t.TempDir(), "events.jsonl"))
	p := build(t, text.String(), parts(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()

	begin := time.Now()
	var samples []sample
	var first []StreamStatus
	tick := time.NewTicker(length / 500)
	defer tick.Stop()
	for now := range tick.C {
		age := now.Sub(begin)
		if age > warm+length {
			break
		}
		if age > warm {
			if first == nil {
				first = p.Streams()
			}
			samples = append(samples, take(t, begin, p))
		}
	}
	last, span := p.Streams(), samples[len(samples)-1].at-samples[0].at
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	flat(t, samples, soakGrowth(length))
	for i, s := range last {
		rate := float64(s.Ledger.Inferred-first[i].Ledger.Inferred) / span
		t.Logf("%s: %.2f inferences a second, skipped %v, undecoded %v", s.Name, rate, s.Ledger.Skipped, s.Ledger.Undecoded)
		if s.Epoch != first[i].Epoch {
			t.Errorf("%s connected again", s.Name)
		}
		if rate < 4.9 || rate > 5.1 {
			t.Errorf("%s: %.2f inferences a second, want 5", s.Name, rate)
		}
	}
}
