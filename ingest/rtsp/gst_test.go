package rtsp_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtsp"
	"sightline/internal/testkit"
)

// gstCamera starts a camera that shares no code with ours and returns its URL.
func gstCamera(t *testing.T, args ...string) string {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's: it has the GObject bindings
	probe := `import gi; gi.require_version("GstRtspServer", "1.0")`
	testkit.Require(t, "gst", exec.Command(python, "-c", probe).Run() == nil,
		"run `make setup` (gst-rtsp-server for Debian's Python)")
	return testkit.Peer(t, exec.Command(python, append([]string{"testdata/gst_camera.py"}, args...)...))
}

func TestGstContract(t *testing.T) {
	ingesttest.Run(t, ingesttest.Case{Name: "gst", Live: true, New: func(t *testing.T) ingest.Source {
		return newSource(configFor(gstCamera(t)))
	}})
}

func TestGst(t *testing.T) {
	for _, c := range []struct {
		name      string
		args      []string
		transport rtsp.Transport
		codec     ingest.Codec
	}{
		{"h264 tcp", nil, rtsp.TCP, ingest.H264},
		{"h264 udp", nil, rtsp.UDP, ingest.H264},
		{"h264 b-frames", []string{"--bframes=2"}, rtsp.TCP, ingest.H264},
		{"h264 and sound", []string{"--sound"}, rtsp.TCP, ingest.H264},
		{"h264 udp only", []string{"--udp-only"}, rtsp.Auto, ingest.H264},
		{"h265 tcp digest", []string{"--codec=h265", "--auth=digest"}, rtsp.TCP, ingest.H265},
		{"h265 udp digest", []string{"--codec=h265", "--auth=digest"}, rtsp.UDP, ingest.H265},
		{"h264 udp basic", []string{"--auth=basic"}, rtsp.UDP, ingest.H264},
		{"vp8", []string{"--codec=vp8"}, rtsp.TCP, ingest.VP8},
		{"vp9", []string{"--codec=vp9"}, rtsp.TCP, ingest.VP9},
		{"mjpeg", []string{"--codec=mjpeg"}, rtsp.TCP, ingest.MJPEG},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := configFor(gstCamera(t, c.args...))
			config.Transport, config.Username, config.Password = c.transport, "viewer", "secret"
			packets, err := read(t, config, 60)
			if err != nil {
				t.Fatalf("%v after %d packets", err, len(packets))
			}
			checkGst(t, c.codec, packets)
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		config := configFor(gstCamera(t, "--auth=digest"))
		config.Username, config.Password = "viewer", "wrong"
		if _, err := read(t, config, 1); ingest.ReasonOf(err) != ingest.ReasonUnauthorized {
			t.Errorf("%v, want reason unauthorized", err)
		}
	})
}

// GStreamer sends its first report some seconds after the first picture.
func TestGstReports(t *testing.T) {
	t.Parallel()
	source := newSource(configFor(gstCamera(t)))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var before, after ingest.Packet
	err := source.Run(ctx, func(p ingest.Packet) error {
		if p.Clock.Source == ingest.ClockRTCP {
			after = p
			return errEnough
		}
		before = p
		return nil
	})
	if err != errEnough {
		t.Fatalf("no capture time by the camera's reports: %v", err)
	}
	// Camera and test have the same clock, and arrivals were a fair estimate.
	if after.Clock.Offset.Abs() > 100*time.Millisecond {
		t.Errorf("offset %v between clocks that are one", after.Clock.Offset)
	}
	if step := after.Captured.Sub(before.Captured); step < 0 || step > time.Second {
		t.Errorf("capture time steps by %v at the first report", step)
	}
}

// checkGst looks at 60 packets of the test camera: 25 a second, a keyframe each
// second (Motion JPEG: all), no loss.
func checkGst(t *testing.T, codec ingest.Codec, packets []ingest.Packet) {
	t.Helper()
	keyframes := 0
	var longest time.Duration
	for i, p := range packets {
		if p.Codec != codec || p.Break {
			t.Errorf("packet %d: codec %s, break %v", i, p.Codec, p.Break)
		}
		if p.Keyframe {
			keyframes++
		}
		if delay := p.Received.Sub(p.Captured); delay < -time.Second || delay > 3*time.Second {
			t.Errorf("packet %d: captured %v before it came", i, delay)
		}
		longest = max(longest, p.PTS)
	}
	if want := 59 * 40 * time.Millisecond; (longest - want).Abs() > 300*time.Millisecond {
		t.Errorf("60 pictures take %v, want %v", longest, want)
	}
	if want := 60 / 25; keyframes < want {
		t.Errorf("%d keyframes, want %d", keyframes, want)
	}
	if codec == ingest.H264 || codec == ingest.H265 {
		decodes(t, codec, packets)
	}
}

// decodes checks that FFmpeg finds every picture and no fault.
func decodes(t *testing.T, codec ingest.Codec, packets []ingest.Packet) {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	testkit.Require(t, "ffmpeg", err == nil, "install FFmpeg's command line tool")
	var stream []byte
	for _, p := range packets {
		stream = append(stream, p.Data...)
	}
	file := filepath.Join(t.TempDir(), "stream")
	if err := os.WriteFile(file, stream, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(ffmpeg, "-v", "warning", "-stats", "-f", string(codec), "-i", file, "-f", "null", "-").CombinedOutput()
	text := string(out)
	if err != nil || !strings.Contains(text, "frame=   60") || strings.Contains(text, "error") {
		t.Errorf("decoding: %v\n%s", err, text)
	}
}
