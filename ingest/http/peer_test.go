package http_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sightline/ingest"
	"sightline/ingest/http"
	"sightline/ingest/ingesttest"
	"sightline/internal/testkit"
)

// peer starts a camera that shares no code with ours, which serves the folder of
// a picture, and returns its URL.
func peer(t *testing.T, args ...string) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	testkit.Require(t, "python", err == nil, "install python3")
	_, err = exec.LookPath("ffmpeg")
	testkit.Require(t, "ffmpeg", err == nil, "install the Debian package ffmpeg")
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "still.jpg"), picture(t, 160), 0o600); err != nil {
		t.Fatal(err)
	}
	return testkit.Peer(t, exec.Command(python, append([]string{"testdata/camera.py", "--folder", folder}, args...)...))
}

func TestContract(t *testing.T) {
	for _, path := range []string{"/video", "/still.jpg"} {
		ingesttest.Run(t, ingesttest.Case{Name: path[1:], Live: true, New: func(t *testing.T) ingest.Source {
			return newSource(configFor(peer(t) + path))
		}})
	}
}

// TestLogin reads both kinds of camera with both kinds of login.
func TestLogin(t *testing.T) {
	for _, auth := range []string{"basic", "digest"} {
		url := peer(t, "--auth="+auth)
		for _, path := range []string{"/video", "/still.jpg"} {
			config := configFor(url + path)
			config.Username, config.Password = "viewer", "secret"
			packets, err := read(t, config, 5)
			if err != nil {
				t.Errorf("%s %s: %v after %d packets", auth, path, err, len(packets))
			}
			config.Password = "hunter2"
			_, err = read(t, config, 1)
			if ingest.ReasonOf(err) != ingest.ReasonUnauthorized || !strings.Contains(err.Error(), "wrong username or password") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s %s: a wrong password: %v", auth, path, err)
			}
			config = http.Config{URL: url + path, Every: config.Every, Timeout: config.Timeout}
			if _, err = read(t, config, 1); ingest.ReasonOf(err) != ingest.ReasonUnauthorized || !strings.Contains(err.Error(), "asks for username and password") {
				t.Errorf("%s %s: no password: %v", auth, path, err)
			}
		}
	}
}

// TestPictures looks at what the peer's pictures became.
func TestPictures(t *testing.T) {
	url := peer(t)
	for _, path := range []string{"/video", "/still.jpg"} {
		packets, err := read(t, configFor(url+path), 20)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range packets {
			codec, err := ingest.InspectStill(p.Data)
			if p.Codec != ingest.MJPEG || codec != ingest.MJPEG || err != nil || !p.Keyframe || p.Break || cap(p.Data)-len(p.Data) < ingest.PacketPadding {
				t.Errorf("%s, packet %d: %s, %v, keyframe %v, break %v", path, i, p.Codec, err, p.Keyframe, p.Break)
			}
		}
		// A still that has not changed is not transferred again.
		if same := &packets[0].Data[0] == &packets[19].Data[0]; same != (path == "/still.jpg") {
			t.Errorf("%s: the same data: %v", path, same)
		}
	}
}
