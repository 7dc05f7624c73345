package hls

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/internal/testkit"
)

func ffmpeg(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	testkit.Require(t, "ffmpeg", err == nil, "install the Debian package ffmpeg")
	return path
}

// encoder is what every test's encoder is told: 25 pictures a second, a keyframe
// every second, a segment every second.
func encoder(extra ...string) []string {
	return append([]string{
		"-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25", "-f", "lavfi", "-i", "sine",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac", "-f", "hls", "-hls_time", "1",
	}, extra...)
}

// live starts an encoder that writes a stream as it is made, and returns its folder.
func live(t *testing.T, extra ...string) string {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"-v", "error", "-nostdin", "-re"}, encoder(append([]string{"-hls_list_size", "5"}, extra...)...)...)
	c := exec.Command(ffmpeg(t), append(args, "live.m3u8")...)
	c.Dir, c.Stderr = dir, os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	for deadline := time.Now().Add(15 * time.Second); ; {
		text, _ := os.ReadFile(filepath.Join(dir, "live.m3u8"))
		if strings.Count(string(text), "#EXTINF") >= 1 {
			return dir
		}
		if time.Now().After(deadline) {
			t.Fatal("the encoder does not start")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// recording makes three seconds of video and returns its folder.
func recording(t *testing.T, extra ...string) string {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"-v", "error", "-nostdin"}, encoder(append([]string{"-t", "3", "-hls_playlist_type", "vod"}, extra...)...)...)
	c := exec.Command(ffmpeg(t), append(args, "live.m3u8")...)
	c.Dir = dir
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, text)
	}
	return dir
}

// serve gives out a folder by Go's own server.
func serve(t *testing.T, dir string) string {
	t.Helper()
	return handle(t, http.FileServer(http.Dir(dir)))
}

func handle(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL + "/live.m3u8"
}

func source(url string) *Source {
	c := Defaults()
	c.URL = url
	return New(c, "cam", slog.New(slog.DiscardHandler))
}

func TestContract(t *testing.T) {
	for _, c := range []struct {
		name string
		dir  func(*testing.T) string
	}{
		{"live transport stream", func(t *testing.T) string { return live(t) }},
		{"live mp4 with dates", func(t *testing.T) string {
			return live(t, "-hls_segment_type", "fmp4", "-hls_flags", "program_date_time+delete_segments")
		}},
		{"recording", func(t *testing.T) string { return recording(t) }},
	} {
		ingesttest.Run(t, ingesttest.Case{Name: c.name, Live: true, New: func(t *testing.T) ingest.Source {
			return source(serve(t, c.dir(t)))
		}})
	}
}

// TestRecording reads every picture once, at the speed they were made, to the end.
func TestRecording(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		codec ingest.Codec
	}{
		{"transport stream", nil, ingest.H264},
		{"b-frames", []string{"-bf", "2", "-preset", "veryfast"}, ingest.H264},
		{"mp4", []string{"-hls_segment_type", "fmp4", "-bf", "2", "-preset", "veryfast"}, ingest.H264},
		{"h265 in mp4", []string{"-hls_segment_type", "fmp4", "-c:v", "libx265", "-x265-params", "log-level=none:keyint=25:min-keyint=25:scenecut=0", "-tag:v", "hvc1"}, ingest.H265},
		{"one file", []string{"-hls_flags", "single_file"}, ingest.H264},
		{"one mp4 file", []string{"-hls_flags", "single_file", "-hls_segment_type", "fmp4"}, ingest.H264},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			packets, err := ingesttest.Read(t, source(serve(t, recording(t, c.args...))), 0)
			if err != nil || len(packets) != 75 {
				t.Fatalf("%d pictures, error %v", len(packets), err)
			}
			if took := time.Since(began); took < 2800*time.Millisecond || took > 10*time.Second {
				t.Errorf("three seconds took %v", took)
			}
			seen := map[time.Duration]bool{}
			keyframes := 0
			for i, p := range packets {
				seen[p.PTS] = true
				if p.Keyframe {
					keyframes++
				}
				if p.PTS%(40*time.Millisecond) != 0 || p.PTS >= 3*time.Second || p.Break || p.Codec != c.codec {
					t.Errorf("packet %d: %s at %v, break %v", i, p.Codec, p.PTS, p.Break)
				}
			}
			if len(seen) != 75 || keyframes != 3 {
				t.Errorf("%d times and %d keyframes", len(seen), keyframes)
			}
		})
	}
}

// TestLiveEdge begins with the newest segment.
func TestLiveEdge(t *testing.T) {
	dir := live(t, "-hls_flags", "program_date_time")
	url := serve(t, dir)
	for deadline := time.Now().Add(20 * time.Second); ; { // four segments are listed
		text, _ := os.ReadFile(filepath.Join(dir, "live.m3u8"))
		if strings.Count(string(text), "#EXTINF") >= 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the encoder makes no segments")
		}
		<-time.After(20 * time.Millisecond)
	}
	packets, err := ingesttest.Read(t, source(url), 60)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		// One segment, a reload of half one, and the encoder's own delay.
		if late := p.Received.Sub(p.Captured); late < 0 || late > 5*time.Second || p.Clock.Source != ingest.ClockPlaylist {
			t.Errorf("packet %d: received %v after its capture, by %s", i, late, p.Clock.Source)
		}
		if p.Break {
			t.Errorf("packet %d: break", i)
		}
	}
}
