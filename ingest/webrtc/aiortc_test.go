package webrtc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/webrtc"
	"sightline/internal/testkit"
)

// published is what whip_publish.py reports.
type published struct {
	Status, Deleted, Packets int
	States                   []string
}

// aiortc starts a publisher that shares no code with Pion; its report comes when
// it has ended.
func aiortc(t *testing.T, url string, args ...string) <-chan published {
	t.Helper()
	python := filepath.Join(testkit.Root(t), ".deps", "venv", "bin", "python")
	testkit.Require(t, "aiortc", exec.Command(python, "-c", "import aiohttp, aiortc").Run() == nil,
		"run `make setup-test` (aiortc in .deps/venv)")
	clip := testkit.Dep(t, "media/vtest.mp4")
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	command := exec.CommandContext(ctx, python, append([]string{"testdata/whip_publish.py", url, clip}, args...)...)
	var errors bytes.Buffer
	command.Stderr = &errors
	report, done := make(chan published, 1), make(chan struct{})
	go func() {
		defer close(done)
		out, err := command.Output()
		var p published
		if err == nil {
			err = json.Unmarshal(out, &p)
		}
		if err != nil && ctx.Err() == nil {
			t.Errorf("the publisher fails: %v\n%s", err, errors.String())
		}
		report <- p
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return report
}

func TestAiortc(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		codec ingest.Codec
		token string
	}{
		{"h264", []string{"--codec=h264"}, ingest.H264, ""},
		{"vp8 with token", []string{"--codec=vp8", "--token=t0ken"}, ingest.VP8, "t0ken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			source := newSource(func(config *webrtc.Config) { config.Token = c.token })
			url := endpoint(t, source)
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			report := aiortc(t, url, c.args...)
			var packets []ingest.Packet
			err := source.Run(ctx, func(p ingest.Packet) error {
				packets = append(packets, p)
				return nil
			})
			if err == nil || ingest.ReasonOf(err) != ingest.ReasonEnded {
				t.Errorf("%v, want reason ended", err)
			}
			got := <-report
			if got.Status != 201 || got.Deleted != 200 || !slices.Contains(got.States, "connected") {
				t.Errorf("the publisher saw %+v", got)
			}
			checkAiortc(t, c.codec, packets)
		})
	}
}

// checkAiortc looks at three seconds of a clip of ten pictures a second.
func checkAiortc(t *testing.T, codec ingest.Codec, packets []ingest.Packet) {
	t.Helper()
	if len(packets) < 20 {
		t.Fatalf("%d packets in 3 s", len(packets))
	}
	reported := false
	for i, p := range packets {
		if p.Codec != codec || i == 0 && !p.Keyframe || p.Break {
			t.Errorf("packet %d: codec %s, keyframe %v, break %v", i, p.Codec, p.Keyframe, p.Break)
		}
		reported = reported || p.Clock.Source == ingest.ClockRTCP
	}
	span := packets[len(packets)-1].PTS - packets[0].PTS
	if rate := float64(len(packets)-1) / span.Seconds(); rate < 9 || rate > 11 {
		t.Errorf("%.1f pictures a second, the clip has 10", rate)
	}
	if !reported {
		t.Error("no capture time comes from the publisher's reports")
	}
}

func TestAiortcIsRefused(t *testing.T) {
	source := newSource(func(config *webrtc.Config) { config.Token = "t0ken" })
	url := endpoint(t, source)
	runInBackground(t, source)
	if got := <-aiortc(t, url, "--token=other"); got.Status != 401 {
		t.Errorf("status %d with a wrong token", got.Status)
	}
}

func TestAiortcLeavesWithoutDelete(t *testing.T) {
	source := newSource(nil)
	url := endpoint(t, source)
	packets, ended := runInBackground(t, source)
	report := aiortc(t, url, "--seconds=1", "--codec=vp8", "--keep")
	waitFor(t, "packet", packets)
	<-report
	if err := waitFor(t, "end", ended); err == nil || ingest.ReasonOf(err) != ingest.ReasonEnded {
		t.Errorf("%v, want reason ended", err)
	}
}

// A publisher that shares no code with ours is told at once when another takes
// over, long before its own checks would notice.
func TestAiortcIsReplaced(t *testing.T) {
	source := newSource(func(config *webrtc.Config) { config.Token = "t0ken" })
	url := endpoint(t, source)
	epochs, ends := supervised(t, source)
	report := aiortc(t, url, "--codec=vp8", "--token=t0ken", "--seconds=30")
	waitFor(t, "epoch", epochs)
	began := time.Now()
	second := newPublisher(url, h264)
	second.token = "t0ken"
	goLive(t, second)
	waitFor(t, "end of the first", ends)
	waitFor(t, "epoch", epochs)
	got := waitFor(t, "report", report)
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("the first publisher was told after %v", took)
	}
	if got.Deleted != 404 || !slices.Contains(got.States, "closed") {
		t.Errorf("the first publisher saw %+v", got)
	}
}
