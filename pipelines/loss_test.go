package pipelines

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/detect"
	"sightline/detect/onnx"
	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtsp"
	"sightline/internal/testkit"
)

// The clip of the loss test: a real scene, at a camera's rate.
const (
	lossFrames = 200
	lossStep   = 40 * time.Millisecond
)

// hashing is an engine that notes what is written for inference.
type hashing struct {
	seed maphash.Seed

	mu      sync.Mutex
	written []inferredFrame
}

type inferredFrame struct {
	pts time.Duration
	sum uint64
}

func (h *hashing) open(onnx.Shape, int) (batch, error) { return hashBatch{h}, nil }

type hashBatch struct{ *hashing }

func (b hashBatch) Write(_ int, _ *onnx.Writer, f *decode.Frame) error {
	sum := pixels(b.seed, f)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.written = append(b.written, inferredFrame{f.PTS, sum})
	return nil
}

func (hashBatch) Run(int) error                              { return nil }
func (hashBatch) Detections(int) ([]detect.Detection, error) { return nil, nil }
func (hashBatch) Close()                                     {}

// pixels is a digest of all samples that are shown.
func pixels(seed maphash.Seed, f *decode.Frame) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for i, p := range f.Planes {
		w, rows := f.Width, f.Height
		if i > 0 {
			w, rows = (w+1)/2, (rows+1)/2
		}
		for y := range rows {
			h.Write(unsafe.Slice((*byte)(unsafe.Add(p.Data, y*p.Stride)), w))
		}
	}
	return h.Sum64()
}

// cleanDecode is the number of each picture of a file by its digest.
func cleanDecode(t *testing.T, seed maphash.Seed, path string) map[uint64]int {
	t.Helper()
	source, err := file.New(file.Config{Path: path, Pace: file.Fastest}, "clean", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d, err := decode.New(decode.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	number := map[uint64]int{}
	emit := func(f *decode.Frame) error {
		number[pixels(seed, f)] = int(f.Index) - 1
		f.Release()
		return nil
	}
	if err := source.Run(t.Context(), func(p ingest.Packet) error { return d.Decode(p, emit) }); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(emit); err != nil {
		t.Fatal(err)
	}
	if len(number) != lossFrames {
		t.Fatalf("%d different pictures in the clip, want %d", len(number), lossFrames)
	}
	return number
}

// lossClip is made so that a loss costs something: a second between keyframes, and
// a few packets a picture.
func lossClip(t *testing.T) string {
	return testkit.Clip(t, "loss.mp4", "-i", media(t, "vtest.mp4"), "-vf", "setpts=N/25/TB,scale=480:360", "-r", "25", "-frames:v", fmt.Sprint(lossFrames),
		"-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "bframes=2:b-adapt=0:keyint=25:min-keyint=25:scenecut=0", "-crf", "24")
}

// TestLoss reads a camera over a network that loses and reorders. Every picture
// that is inferred is, sample by sample, the one of its time. What that costs is
// told beside the pictures that FFmpeg's own tool shows of the same stream.
func TestLoss(t *testing.T) { lossTest(t, 8*time.Second) }

func lossTest(t *testing.T, length time.Duration) {
	clip := lossClip(t)
	seed := maphash.MakeSeed()
	clean, theirs := cleanDecode(t, seed, clip), sums(t, clip)
	var all sync.WaitGroup
	for i, lost := range []float64{0.001, 0.01, 0.05} {
		server := serve(t, "", clip)
		address := strings.TrimSuffix(strings.TrimPrefix(server.URL("main"), "rtsp://"), "/main")
		loss := ingesttest.Loss{Lost: lost, Late: 0.02, Seed: uint64(i + 1)}
		all.Go(func() {
			url := "rtsp://" + ingesttest.NewRelay(t, address, loss).Addr() + "/main"
			shown, garbage := commandShows(t, url, length, theirs)
			t.Logf("%.1f %% lost: ffmpeg shows %d pictures in %v, %d of them garbage", 100*lost, shown, length, garbage)
		})
		all.Go(func() {
			relay := ingesttest.NewRelay(t, address, loss)
			s, seen := lossyStream(t, "rtsp://"+relay.Addr()+"/main", seed, length)
			exact(t, clean, seen)
			l := s.ledger.snapshot()
			passed, dropped, late := relay.Counts()
			t.Logf("%.1f %% lost (%d of %d packets, %d late): %d of %d pictures inferred, all exact; %.1f s of %.1f s not analyzed; %v %v",
				100*lost, dropped, passed+dropped+late, late, len(seen), l.Received, s.status.snapshot().LostSeconds, length.Seconds(), l.Undecoded, l.Skipped)
			if lost < 0.005 && float64(len(seen)) < 0.5*length.Seconds()*25 {
				t.Errorf("%.1f %% lost: only %d pictures were inferred", 100*lost, len(seen))
			}
			if lost > 0.005 && s.status.snapshot().LostSeconds == 0 {
				t.Errorf("%.1f %% lost: no time is said to be lost", 100*lost)
			}
		})
	}
	all.Wait()
}

// lossyStream runs a stream with a real source and decoder for so long and returns
// what it inferred.
func lossyStream(t *testing.T, url string, seed maphash.Seed, length time.Duration) (*stream, []inferredFrame) {
	c := rtsp.Defaults()
	c.URL, c.Transport = url, rtsp.UDP
	s, _ := newTestStream(t, true, rtsp.New(c, "gate", slog.New(slog.DiscardHandler)), &fakeDecoder{})
	d, err := decode.New(decode.Config{Threads: 1, Live: true, Frames: decodetest.Live(t)})
	if err != nil {
		t.Error(err)
		return s, nil
	}
	h := &hashing{seed: seed}
	s.decoder, s.hold = d, true
	stop := analyzing(t, s, &fakeEngine{})
	s.batcher.opened = h.open
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	if err := s.run(ctx); err != nil {
		t.Error(err)
	}
	stop()
	return s, h.written
}

// exact checks that each picture is one of the clip's, and that of its time: the
// camera plays the clip over and over.
func exact(t *testing.T, clean map[uint64]int, seen []inferredFrame) {
	t.Helper()
	for i, w := range seen {
		n, ok := clean[w.sum]
		if !ok {
			t.Errorf("picture %d of those inferred, shown at %v, is none of the clip's", i, w.pts)
			continue
		}
		first, known := clean[seen[0].sum]
		steps := int((w.pts - seen[0].pts + lossStep/2) / lossStep)
		if want := (first + steps) % lossFrames; known && n != want {
			t.Errorf("the picture shown at %v is number %d, want %d", w.pts, n, want)
		}
	}
}

// sums are FFmpeg's own digests of a video's pictures.
func sums(t *testing.T, args ...string) map[string]bool {
	out := map[string]bool{}
	for _, sum := range frameSums(t, "-i", args[0]) {
		out[sum] = true
	}
	return out
}

func frameSums(t *testing.T, args ...string) (all []string) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	testkit.Require(t, "ffmpeg", err == nil, "install the Debian package ffmpeg")
	cmd := exec.Command(ffmpeg, append(append([]string{"-v", "quiet", "-nostdin"}, args...), "-an", "-vsync", "passthrough", "-pix_fmt", "yuv420p", "-f", "framemd5", "-")...)
	text, err := cmd.Output()
	if err != nil && len(text) == 0 {
		t.Errorf("ffmpeg %q: %v", args, err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ","); len(fields) == 6 {
			all = append(all, strings.TrimSpace(fields[5]))
		}
	}
	return all
}

// commandShows is how many pictures the ffmpeg command gives of a stream, and how
// many of those are none of the clip's.
func commandShows(t *testing.T, url string, length time.Duration, clean map[string]bool) (shown, garbage int) {
	for _, sum := range frameSums(t, "-rtsp_transport", "udp", "-i", url, "-t", fmt.Sprint(length.Seconds())) {
		shown++
		if !clean[sum] {
			garbage++
		}
	}
	return shown, garbage
}
