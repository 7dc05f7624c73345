package web

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"sightline/detect"
	"sightline/internal/testkit"
)

// The same picture comes as a file, whose boxes the published ones must have.
const publishStation = `
version: 1
name: publish
site: hq
detect: { model: coco-nano, classes: [person], confidence: 0.2, input: 416x320 }
streams:
  lobby: { url: "whip://", token: lobby-t0ken, detect: { fps: 5 } }
  same: { url: "file:${SAME}", pace: fastest }
web: { listen: "127.0.0.1:0", auth: { token: web-t0ken, username: anna, password: s3cret } }
`

// tileSeen is what publish.mjs tells of the watched tile.
type tileSeen struct {
	Width, Still  int
	Time, Shape   float64
	Notice, State string
	Boxes         []detect.Rect
}

func TestChromiumPublishes(t *testing.T) {
	browser, video := chromium(t), testkit.Dep(t, "media/vtest.mp4")
	// One picture, again and again: whatever size it is sent in, the boxes stay.
	still := testkit.Clip(t, "still.y4m", "-ss", "21", "-i", video, "-vf", "crop=384:288:384:200,scale=640:480,trim=end_frame=1,loop=9:1:0,fps=10", "-pix_fmt", "yuv420p")
	leavesNothing(t)
	s := newStation(t, publishStation, map[string]string{"SAME": still})
	var got struct {
		Before, After         *tileSeen
		Wrong, Right, Deleted int
		Sizes                 []tileSeen
		Errors                []string
	}
	out := node(t, browserTime, "publish.mjs", browser, filepath.Join(testkit.Root(t), ".deps"), withLogin(s.URL()), still, "lobby-t0ken")
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Wrong != 401 || got.Right != 201 || got.Deleted != 200 {
		t.Errorf("wrong token %d, right token %d, DELETE %d", got.Wrong, got.Right, got.Deleted)
	}
	if got.Before == nil || got.Before.Width != 0 {
		t.Errorf("nothing says that a publisher is waited for: %+v", got.Before)
	}
	if got.After == nil || got.After.Still < 160 {
		t.Errorf("the last picture does not stay: %+v", got.After)
	}
	if len(got.Errors) > 0 {
		t.Errorf("the page complains: %q", got.Errors)
	}
	for i, small := range []bool{false, true, false} {
		if i >= len(got.Sizes) || got.Sizes[i].Width == 0 || got.Sizes[i].Width <= 320 != small || math.Abs(got.Sizes[i].Shape-4.0/3) > 0.02 {
			t.Fatalf("%d: not shown in its size (small: %v): %s", i, small, out)
		}
	}
	checkSizes(t, s)
}

// checkSizes holds the boxes found in each size against those of the file.
func checkSizes(t *testing.T, s *station) {
	t.Helper()
	var want []detect.Rect
	if seen := s.of("same", detect.Detections); len(seen) > 0 {
		for _, o := range *seen[0].Data.Objects {
			if o.Score > 0.5 {
				want = append(want, o.BBox)
			}
		}
	}
	if len(want) == 0 {
		t.Fatal("the file shows nobody")
	}
	right, all := map[bool]int{}, map[bool]int{} // by whether the picture is small
	for _, ev := range s.of("lobby", detect.Detections) {
		small := ev.Data.Frame.Width <= 320
		all[small]++
		found := 0
		for _, w := range want {
			for _, o := range *ev.Data.Objects {
				if overlap(w, o.BBox) > 0.6 {
					found++
					break
				}
			}
		}
		if found == len(want) {
			right[small]++
		}
	}
	for _, small := range []bool{false, true} {
		if right[small] < 3 || right[small] < all[small]*8/10 {
			t.Errorf("small %v: everybody is found where they are in %d of %d pictures", small, right[small], all[small])
		}
	}
}

// overlap is the intersection of two boxes over their union.
func overlap(a, b detect.Rect) float64 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.W*a.H + b.W*b.H - w*h)
}

// Chromium publishes in every codec that it encodes, each time taking over from
// itself: an epoch ends and another begins.
func TestChromiumPublishesEveryCodec(t *testing.T) {
	browser, video := chromium(t), testkit.Dep(t, "media/vtest.mp4")
	still := testkit.Clip(t, "still.y4m", "-ss", "21", "-i", video, "-vf", "scale=320:240,trim=end_frame=1,loop=9:1:0,fps=10", "-pix_fmt", "yuv420p")
	leavesNothing(t)
	s := newStation(t, publishStation, map[string]string{"SAME": still})
	codecs := map[string]string{"VP9": "vp9", "AV1": "av1", "H264": "h264", "VP8": "vp8"}
	var got []struct {
		Codec, As, Epoch string
		Status, Width    int
	}
	out := node(t, browserTime, "codecs.mjs", browser, filepath.Join(testkit.Root(t), ".deps"), withLogin(s.URL()), still, "lobby-t0ken", "VP9", "AV1", "H264", "VP8", "VP8/3")
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	epochs := map[string]bool{}
	for _, g := range got {
		switch {
		case g.Status == 0:
			t.Logf("this Chromium encodes no %s", g.Codec)
			continue
		case g.Status != 201 || g.As != codecs[g.Codec] || g.Width == 0 || epochs[g.Epoch]:
			t.Errorf("%+v", g)
		}
		epochs[g.Epoch] = true
	}
	if last := got[len(got)-1]; last.Width != 320 {
		t.Errorf("of three sizes the one %d wide is sent", last.Width)
	}
	if len(epochs) < 3 {
		t.Errorf("%d epochs in %s", len(epochs), out)
	}
	if online := len(s.of("lobby", detect.StreamOnline)); online != len(epochs) {
		t.Errorf("the stream came online %d times in %d epochs", online, len(epochs))
	}
	taken := 0
	for _, ev := range s.of("lobby", detect.StreamOffline) {
		if ev.Data.Reason != nil && strings.Contains(ev.Data.Reason.Message, "took over") {
			taken++
		}
	}
	if taken != len(epochs)-1 {
		t.Errorf("%d publishers were replaced of %d", taken, len(epochs))
	}
}
