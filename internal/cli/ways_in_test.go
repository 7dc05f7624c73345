package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/internal/testkit/events"
)

// TestRunImages plays a folder of pictures twice, with a bad one in it: the bytes
// are the same.
func TestRunImages(t *testing.T) {
	needParts(t)
	dir := filepath.Dir(pattern(t, "p%d.png", "320x240"))
	v := videos{dir}
	v.write(t, "p3.png", []byte("no picture"))
	text := fmt.Sprintf("version: 1\nname: pics\ndetect: { engine: onnxruntime }\nstreams: { pics: { url: 'images:%s', pace: fastest, every: 500ms, start: 2026-01-01T00:00:00Z } }\n"+
		"sinks: [{ kind: jsonl, path: \"-\", types: [detections, stream.online, stream.offline, pipeline.accounting] }]\n", dir)
	path := writeFile(t, text)
	first, second := sightline("run", path), sightline("run", path)
	if first.code != exitDone || first.out != second.out {
		t.Errorf("exit %d:\n%s\n%s\n%s", first.code, first.errOut, first.out, second.out)
	}
	if !strings.Contains(first.errOut, "p3.png: not a JPEG") {
		t.Errorf("the bad picture is not named:\n%s", first.errOut)
	}
	for _, part := range []string{`"pts_ms":0,`, `"pts_ms":9500,`, `"received":19,"decoded":19,`, `"time":"2026-01-01T00:00:09.500000Z"`} {
		if !strings.Contains(first.out, part) {
			t.Errorf("no %s in\n%s", part, first.out)
		}
	}
	events.ValidateLines(t, []byte(first.out))
}

// TestRunHTTP runs Motion JPEG, a still and the test pattern beside each other.
func TestRunHTTP(t *testing.T) {
	needParts(t)
	still, err := os.ReadFile(pattern(t, "a.jpg", "320x240", "-frames:v", "1", "-update", "1"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/still.jpg" {
			w.Write(still)
			return
		}
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
		for r.Context().Err() == nil {
			fmt.Fprintf(w, "--b\r\nContent-Type: image/jpeg\r\n\r\n%s\r\n", still)
			w.(http.Flusher).Flush()
			<-time.After(50 * time.Millisecond)
		}
	}))
	defer server.Close()
	path := writeFile(t, fmt.Sprintf(`version: 1
name: http
detect: { engine: onnxruntime, fps: 2 }
streams:
  motion: { url: "%s/video" }
  still: { url: "%s/still.jpg", every: 200ms }
  bars: { url: "pattern:320x240@10" }
sinks: [{ kind: jsonl, path: "-", types: [detections, stream.online, stream.offline, pipeline.accounting] }]
`, server.URL, server.URL))
	names := []string{"motion", "still", "bars"}
	got := interrupted(t, func(out, _ string) bool {
		for _, name := range names {
			if strings.Count(out, `"type":"sightline.detections","subject":"stream/`+name+`"`) < 3 {
				return false
			}
		}
		return true
	}, "run", path)
	if got.code != exitDone {
		t.Errorf("exit %d:\n%s", got.code, got.errOut)
	}
	for _, name := range names {
		if n := strings.Count(got.out, `"type":"sightline.stream.online","subject":"stream/`+name+`"`); n != 1 {
			t.Errorf("%s was online %d times:\n%s", name, n, got.errOut)
		}
	}
	events.ValidateLines(t, []byte(got.out))
}
