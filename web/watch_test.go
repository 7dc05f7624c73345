package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/internal/testkit"
)

const watchStation = `
version: 1
name: watch
site: hq
detect: { model: coco-nano, fps: 5, input: 256x192, classes: [person] }
streams:
  north: { url: "${NORTH}" }
  reordered: { url: "file:${REORDERED}", pace: realtime, loop: true }
  fast: { url: "file:${REORDERED}", pace: fastest }
web: { listen: "127.0.0.1:0" }
`

// TestAiortcWatches has a viewer that shares no code with Pion.
func TestAiortcWatches(t *testing.T) {
	python := filepath.Join(testkit.Root(t), ".deps", "venv", "bin", "python")
	testkit.Require(t, "aiortc", exec.Command(python, "-c", "import aiohttp, aiortc").Run() == nil, "run `make setup-test` (aiortc in .deps/venv)")
	video := testkit.Dep(t, "media/vtest.mp4")
	reordered := testkit.Clip(t, "reordered.mp4", "-f", "lavfi", "-i", "testsrc=s=320x240:r=10:d=4", "-c:v", "libx264", "-bf", "3", "-g", "20", "-pix_fmt", "yuv420p")
	leavesNothing(t)
	cams := cameras(t, map[string]string{"north": video})
	s := newStation(t, watchStation, map[string]string{"NORTH": cams.URL("north"), "REORDERED": reordered})
	watch := func(stream string, frames string) (got struct {
		Status, Frames, Deleted, Again int
		Size                           []int
	}) {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		c := exec.CommandContext(ctx, python, "testdata/whep_watch.py", s.URL()+"whep/"+stream, frames)
		var complaints bytes.Buffer
		c.Stderr = &complaints
		out, err := c.Output()
		if err == nil {
			err = json.Unmarshal(out, &got)
		}
		if err != nil {
			t.Fatalf("%v\n%s%s", err, out, complaints.String())
		}
		return got
	}
	got := watch("north", "20")
	if got.Status != 201 || got.Frames < 20 || got.Size[0] != 768 || got.Size[1] != 576 {
		t.Errorf("watching: %+v", got)
	}
	if got.Deleted != 200 || got.Again != 404 {
		t.Errorf("DELETE: %d, and again %d", got.Deleted, got.Again)
	}
	until(t, 5*time.Second, "the end of the session", func() bool {
		s.viewers.mu.Lock()
		defer s.viewers.mu.Unlock()
		return len(s.viewers.open) == 0 && s.viewers.places == 0
	})
	if got := watch("fast", "1"); got.Status != 406 {
		t.Errorf("a file read as fast as possible: status %d", got.Status)
	}
	// Pictures that are shown in another order than sent are found out, and from
	// then on shown as stills.
	watch("reordered", "1000")
	until(t, 10*time.Second, "a refusal", func() bool {
		resp, err := http.Post(s.URL()+"whep/reordered", "application/sdp", strings.NewReader(chromiumOffer))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == 406
	})
}
