package onnx

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"sightline/decode"
	"sightline/detect"
	"sightline/internal/testkit"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// config is the default configuration with a model from .deps and an engine.
func config(t testing.TB, model, engine string) Config {
	t.Helper()
	cfg := Defaults()
	cfg.Model = testkit.Dep(t, "models/"+model+".onnx")
	cfg.Engine, cfg.Workers = engine, 2
	testkit.Dep(t, engine+"/lib/"+libraryName(engine))
	return cfg
}

// open makes a session, with the size for vtest.avi's frames ready.
func open(t testing.TB, cfg Config) *Session {
	t.Helper()
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Prepare(s.Ideal(768, 576)); err != nil {
		t.Fatal(err)
	}
	return s
}

func newWriter(t testing.TB, s *Session, cfg WriterConfig) *Writer {
	t.Helper()
	w, err := s.NewWriter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// batch opens a batch for vtest.avi's frames and writes frames to its rows.
func batch(t testing.TB, s *Session, w *Writer, frames ...*decode.Frame) *Batch {
	t.Helper()
	b, err := s.Open(s.ShapeFor(768, 576), len(frames))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		if err := b.Write(i, w, f); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// look runs one batch and returns each frame's detections.
func look(t testing.TB, s *Session, w *Writer, frames ...*decode.Frame) [][]detect.Detection {
	t.Helper()
	b := batch(t, s, w, frames...)
	defer b.Close()
	if err := b.Run(len(frames)); err != nil {
		t.Fatal(err)
	}
	var all [][]detect.Detection
	for i := range frames {
		found, err := b.Detections(i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found)
	}
	return all
}

// reference is testdata/reference.json.
type reference struct {
	Threshold float64
	Frames    []struct {
		Index int
		Boxes []struct {
			Class string
			Score float64
			Box   [4]float64
		}
	}
}

func readReference(t testing.TB) reference {
	t.Helper()
	text, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r reference) boxes(i int) []detect.Detection {
	var all []detect.Detection
	for _, b := range r.Frames[i].Boxes {
		all = append(all, detect.Detection{Class: b.Class, Score: b.Score, Box: detect.Rect{X: b.Box[0], Y: b.Box[1], W: b.Box[2], H: b.Box[3]}})
	}
	return all
}

// frames decodes the reference's frames of vtest.avi with the ffmpeg program,
// so that this package's tests need no decoder of ours.
func frames(t testing.TB) []*decode.Frame {
	t.Helper()
	const width, height = 768, 576
	video := testkit.Dep(t, "media/vtest.avi")
	var picks []string
	for _, f := range readReference(t).Frames {
		picks = append(picks, fmt.Sprintf(`eq(n\,%d)`, f.Index))
	}
	tool, err := exec.LookPath("ffmpeg")
	testkit.Require(t, "ffmpeg", err == nil, "apt-get install ffmpeg")
	cmd := exec.CommandContext(context.Background(), tool, "-v", "error", "-i", video, "-vf", "select="+strings.Join(picks, "+"),
		"-vsync", "0", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []*decode.Frame
	for range picks {
		data := make([]byte, width*height*3/2)
		if _, err := io.ReadFull(pipe, data); err != nil {
			t.Fatal(err)
		}
		all = append(all, i420(data, width, height))
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

// i420 is a frame over contiguous planes.
func i420(data []byte, width, height int) *decode.Frame {
	half := (width + 1) / 2
	luma, chroma := width*height, half*((height+1)/2)
	plane := func(at, stride int) decode.Plane {
		return decode.Plane{Data: unsafe.Pointer(&data[at]), Stride: stride}
	}
	return decode.NewFrame(decode.Frame{
		Width: width, Height: height, Format: decode.I420, Memory: decode.Host, Color: decode.Color{Matrix: decode.BT601},
		Planes: [3]decode.Plane{plane(0, width), plane(luma, half), plane(luma+chroma, half)},
	}, func() {})
}

// noise is a frame of given size whose samples follow from seed.
func noise(width, height int, seed byte) *decode.Frame {
	data := make([]byte, width*height+2*((width+1)/2)*((height+1)/2))
	for i := range data {
		data[i] = byte(i*7) ^ byte(i>>9) + seed
	}
	return i420(data, width, height)
}

// different says how got differs from want, where scores and IoU may differ by
// slack and boxes that score within slack of threshold may be missing in either.
func different(got, want []detect.Detection, threshold, slack float64) error {
	missing := func(a, b []detect.Detection, text string) error {
		for _, d := range a {
			found := d.Score < threshold+slack
			for _, o := range b {
				found = found || o.Class == d.Class && o.Box.IoU(d.Box) > 1-2*slack && abs(o.Score-d.Score) <= slack
			}
			if !found {
				return fmt.Errorf("%s: %+v", text, d)
			}
		}
		return nil
	}
	if err := missing(want, got, "not found"); err != nil {
		return err
	}
	return missing(got, want, "found too much")
}

func abs(x float64) float64 { return max(x, -x) }

// copyModel puts a model of .deps into a new folder, with a sidecar unless it is empty.
func copyModel(t testing.TB, model, sidecar string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(model)+".onnx")
	if err := os.Symlink(testkit.Dep(t, "models/"+model+".onnx"), path); err != nil {
		t.Fatal(err)
	}
	if sidecar != "" {
		if err := os.WriteFile(SidecarName(path), []byte(sidecar), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}
