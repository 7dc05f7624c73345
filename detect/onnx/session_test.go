package onnx

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"sightline/decode"
	"sightline/internal/testkit"
)

func engines() []string { return []string{openVINO, onnxRuntime} }

func TestInfo(t *testing.T) {
	for _, engine := range engines() {
		cfg := config(t, "coco-nano", engine)
		cfg.Name, cfg.Precision = "people", "f32"
		s := open(t, cfg)
		got := s.Info()
		if got.Name != "people" || got.Engine != engine || got.Precision != "f32" || got.Digest != s.Spec().Digest[:12] {
			t.Errorf("%s: %+v", engine, got)
		}
	}
}

// TestAuto checks that OpenVINO runs where it is found, ONNX Runtime elsewhere,
// and that nothing at all is said with what would help.
func TestAuto(t *testing.T) {
	cfg := config(t, "coco-nano", openVINO)
	cfg.Engine = "auto"
	s := open(t, cfg)
	if info := s.Info(); info.Engine != openVINO || info.Precision == "" {
		t.Errorf("auto runs %+v", info)
	}
	for _, e := range Engines(nil) {
		if e.Err != nil || e.Version == "" || !strings.HasPrefix(e.Path, "/") {
			t.Errorf("engine %+v", e)
		}
	}
	runtime := testkit.Dep(t, "onnxruntime/lib/libonnxruntime.so")
	t.Chdir(t.TempDir()) // no .deps here or above
	if err := os.Symlink(runtime, "libonnxruntime.so.1.99"); err != nil {
		t.Fatal(err)
	}
	cfg.LibDirs = []string{"."}
	if s, err := New(cfg, quiet()); err != nil || s.Info().Engine != onnxRuntime {
		t.Errorf("without OpenVINO: %v", err)
	} else {
		s.Close()
	}
	cfg.LibDirs = nil
	_, err := New(cfg, quiet())
	for _, want := range []string{"no inference engine", "libopenvino_c.so", "libonnxruntime.so", "SIGHTLINE_LIBS", "make setup"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without engines: %v, want %q in it", err, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := config(t, "coco-nano", onnxRuntime)
	for want, change := range map[string]func(*Config){
		"model: missing":               func(c *Config) { c.Model = "" },
		`engine: "caffe" is none of`:   func(c *Config) { c.Engine = "caffe" },
		`device: "cuda:0" is none of`:  func(c *Config) { c.Device = "cuda:0" },
		`precision: "f8" is none of`:   func(c *Config) { c.Precision = "f8" },
		`input: size "big"`:            func(c *Config) { c.Input = "big" },
		"batch.max: 0 is not within":   func(c *Config) { c.MaxBatch = 0 },
		"workers: -1 is not within":    func(c *Config) { c.Workers = -1 },
		"must be multiples of 32":      func(c *Config) { c.Input = "416x300" },
		"is not quantized":             func(c *Config) { c.Precision = "int8" },
		"computes in f32 or int8":      func(c *Config) { c.Precision = "bf16" },
		"no such file":                 func(c *Config) { c.Model += "x" },
		"the network takes 416x416 on": func(c *Config) { c.Model, c.Input = testkit.Dep(t, "models/testing/yolov8.onnx"), "640x640" },
	} {
		cfg := good
		change(&cfg)
		s, err := New(cfg, quiet())
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestSizes(t *testing.T) {
	s, err := New(config(t, "coco-nano", onnxRuntime), quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wide, photo, square, tall, flat := Shape{416, 256}, Shape{416, 320}, Shape{416, 416}, Shape{256, 416}, Shape{416, 32}
	if got := s.ShapeFor(1920, 1080); got != wide || s.Ready(wide) {
		t.Errorf("nothing prepared: %s", got)
	}
	if _, err := s.Open(wide, 1); err == nil || !strings.Contains(err.Error(), "416x256 is not compiled") {
		t.Errorf("open before prepare: %v", err)
	}
	for _, shape := range []Shape{photo, photo, wide, square, tall} {
		if err := s.Prepare(shape); err != nil {
			t.Fatal(err)
		}
		if shape == photo && (s.ShapeFor(1920, 1080) != photo || s.Ideal(1920, 1080) != wide) {
			t.Errorf("while %s is not ready: %s, ideal %s", wide, s.ShapeFor(1920, 1080), s.Ideal(1920, 1080))
		}
	}
	if got := s.ShapeFor(1920, 1080); got != wide {
		t.Errorf("prepared: %s", got)
	}
	if err := s.Prepare(flat); err == nil || !strings.Contains(err.Error(), "4 sizes are compiled already") {
		t.Errorf("a fifth size: %v", err)
	}
	if got := s.Ideal(4000, 10); got != wide {
		t.Errorf("a fifth size: %s, want %s", got, wide)
	}
}

func TestSizeSettings(t *testing.T) {
	for input, want := range map[string]Shape{"model": {416, 416}, "320x192": {320, 192}} {
		cfg := config(t, "coco-nano", onnxRuntime)
		cfg.Input = input
		s, err := New(cfg, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.ShapeFor(1920, 1080); got != want {
			t.Errorf("%s: %s", input, got)
		}
		s.Close()
	}
}

func TestModelChanges(t *testing.T) {
	cfg := config(t, "coco-nano", onnxRuntime)
	data, err := os.ReadFile(cfg.Model)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Model = write(t, data, "")
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.WriteFile(cfg.Model, append(data, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(Shape{416, 320}); err == nil || !strings.Contains(err.Error(), "has changed since the start") {
		t.Errorf("prepare: %v", err)
	}
}

// TestRowsDoNotMatter: a picture gives the same boxes, to the bit, in every row
// of every batch, so that a run can be repeated however its batches fall.
func TestRowsDoNotMatter(t *testing.T) {
	pictures := frames(t)
	for _, engine := range engines() {
		for _, precision := range []string{"f32", "auto"} {
			cfg := config(t, "coco-nano", engine)
			cfg.Precision = precision
			s := open(t, cfg)
			w := newWriter(t, s, WriterConfig{Threshold: 0.1})
			one := look(t, s, w, pictures[0])[0]
			for n := 1; n <= 4; n++ {
				order := append([]*decode.Frame{}, pictures[1:n]...)
				order = append(order, pictures[0])
				if got := look(t, s, w, order...)[n-1]; len(got) == 0 || !reflect.DeepEqual(got, one) {
					t.Errorf("%s %s: row %d of %d differs", engine, precision, n-1, n)
				}
			}
		}
	}
}

// TestConcurrent runs more batches at a time than there are workers, from two
// kinds of stream, and compares each result with the one found alone.
func TestConcurrent(t *testing.T) {
	pictures := frames(t)
	for _, engine := range engines() {
		s := open(t, config(t, "coco-nano", engine))
		all := newWriter(t, s, WriterConfig{Threshold: 0.3})
		alone := look(t, s, all, pictures...)
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() {
				w, err := s.NewWriter(WriterConfig{Threshold: 0.3})
				if err != nil {
					t.Error(err)
					return
				}
				defer w.Close()
				for i := range 4 {
					first := (k + i) % 3
					got := look(t, s, w, pictures[first], pictures[first+1])
					if !reflect.DeepEqual(got, alone[first:first+2]) {
						t.Errorf("%s: pictures %d and %d differ", engine, first, first+1)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestWriter(t *testing.T) {
	s := open(t, config(t, "coco-nano", openVINO))
	picture := frames(t)[1:2]
	all := look(t, s, newWriter(t, s, WriterConfig{Threshold: 0.3}), picture...)[0]
	cars := look(t, s, newWriter(t, s, WriterConfig{Threshold: 0.5, Classes: []string{"car", "dog"}}), picture...)[0]
	if len(all) < 10 || len(cars) != 1 || cars[0].Class != "car" || cars[0].Score < 0.5 {
		t.Errorf("%d boxes, of cars above 0.5 %+v", len(all), cars)
	}
	for want, cfg := range map[string]WriterConfig{
		`class "persn" is not one of the 80 of model coco-nano (nearest: person,`: {Classes: []string{"person", "persn"}},
		"confidence 1.5 is not within 0 and 1":                                    {Threshold: 1.5},
	} {
		if _, err := s.NewWriter(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestBatchMisuse(t *testing.T) {
	s := open(t, config(t, "coco-nano", onnxRuntime))
	w := newWriter(t, s, WriterConfig{Threshold: 0.3})
	if _, err := s.Open(Shape{416, 320}, 5); err == nil {
		t.Error("opened more rows than batch.max")
	}
	f := noise(64, 48, 0)
	b := batch(t, s, w, f)
	defer b.Close()
	device := *f
	device.Memory = decode.CUDA
	for want, err := range map[string]error{
		"row 1 of 1":             b.Write(1, w, f),
		"not in host memory":     b.Write(0, w, &device),
		"run a batch: 2 rows":    b.Run(2),
		"plane 0 is missing":     b.Write(0, w, decode.NewFrame(decode.Frame{Width: 8, Height: 8, Memory: decode.Host}, func() {})),
		"picture size 0×8 is no": b.Write(0, w, decode.NewFrame(decode.Frame{Width: 0, Height: 8, Memory: decode.Host}, func() {})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	closed, err := s.NewWriter(WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if err := b.Write(0, closed, f); err == nil || !strings.Contains(err.Error(), "the writer is closed") {
		t.Errorf("write after Close: %v", err)
	}
	two, err := s.Open(Shape{416, 320}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	if err := two.Write(0, w, f); err != nil {
		t.Fatal(err)
	}
	if err := two.Run(2); err == nil || !strings.Contains(err.Error(), "row 1 was not written") {
		t.Errorf("run of an unwritten row: %v", err)
	}
}

// TestOddPictures: boxes stay in 0..1 of pictures of any size, and 1×1 is no trouble.
func TestOddPictures(t *testing.T) {
	s := open(t, config(t, "coco-nano", openVINO))
	w := newWriter(t, s, WriterConfig{Threshold: 0.05})
	for _, size := range [][2]int{{1, 1}, {1920, 1}, {1, 1080}, {641, 359}, {770, 578}} {
		for _, d := range look(t, s, w, noise(size[0], size[1], 9))[0] {
			if d.Box.X < -1 || d.Box.Y < -1 || d.Box.X+d.Box.W > 2 || d.Box.Y+d.Box.H > 2 || d.Score < 0.05 {
				t.Errorf("%v: %+v", size, d)
			}
		}
	}
}

func TestClose(t *testing.T) {
	for _, engine := range engines() {
		s := open(t, config(t, "coco-nano", engine))
		b := batch(t, s, newWriter(t, s, WriterConfig{}), noise(64, 64, 0))
		done := make(chan struct{})
		go func() {
			s.Close()
			close(done)
		}()
		for { // until Close has begun
			extra, err := s.Open(b.Shape(), 1)
			if err != nil {
				break
			}
			extra.Close()
		}
		if err := b.Run(1); err != nil {
			t.Errorf("%s: run while Close waits: %v", engine, err)
		}
		select {
		case <-done:
			t.Errorf("%s: Close did not wait for the batch", engine)
		default:
		}
		b.Close()
		<-done
		s.Close()
		if err := s.Prepare(Shape{416, 320}); err == nil {
			t.Errorf("%s: prepared after Close", engine)
		}
	}
}

// TestLeaks opens, uses and closes everything 200 times: memory must stay flat.
func TestLeaks(t *testing.T) {
	picture := noise(320, 240, 1)
	path := write(t, tiny(), "labels: [person, car]")
	for _, engine := range engines() {
		cfg := config(t, "coco-nano", engine)
		cfg.Model, cfg.Workers = path, 1
		for range 60 {
			use(t, cfg, picture)
		}
		before := resident(t)
		for range 200 {
			use(t, cfg, picture)
		}
		const slack = 8 << 20 // 40 KiB a round
		if after := resident(t); after > before+slack {
			t.Errorf("%s: 200 rounds grew memory from %d to %d KiB", engine, before>>10, after>>10)
		}
	}
}

// use goes once through the life of a session.
func use(t *testing.T, cfg Config, picture *decode.Frame) {
	t.Helper()
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Prepare(Shape{64, 64}); err != nil {
		t.Fatal(err)
	}
	w, err := s.NewWriter(WriterConfig{Threshold: 0.3})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 2 {
		b, err := s.Open(Shape{64, 64}, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for i := range 2 {
			if err := b.Write(i, w, picture); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Run(2); err != nil {
			t.Fatal(err)
		}
	}
}

// resident is the process's resident memory in bytes.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func TestModels(t *testing.T) {
	testkit.Dep(t, "models/coco-nano.onnx")
	bad := write(t, []byte("no model"), "")
	all, err := Models([]string{filepath.Dir(bad), filepath.Join(filepath.Dir(bad), "none")})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]ModelFile{}
	for _, m := range all {
		got[m.Name] = m
	}
	if m := got["coco-nano"]; m.Err != nil || m.Spec.Family != "nanodet" || !filepath.IsAbs(m.Path) {
		t.Errorf("coco-nano: %+v", m)
	}
	if m := got["model"]; m.Err == nil || m.Path != bad {
		t.Errorf("a text file: %+v", m)
	}
	if path, err := Find("coco-nano", nil); err != nil || path != got["coco-nano"].Path {
		t.Errorf("find coco-nano: %q, %v", path, err)
	}
	if path, err := Find(bad, nil); err != nil || path != bad {
		t.Errorf("find a path: %q, %v", path, err)
	}
	for name, want := range map[string]string{"coco-nan": "nearest at hand are coco-nano", "none.onnx": "no such file"} {
		if _, err := Find(name, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("find %s: %v, want %q", name, err, want)
		}
	}
}
