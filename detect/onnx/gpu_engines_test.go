package onnx

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sightline/internal/ort"
	"sightline/internal/testkit"
	"sightline/kernels/cuda"
)

// paperDevice is a device that is described only.
type paperDevice struct {
	cuda.Device
	info cuda.Info
}

func (d paperDevice) Info() cuda.Info { return d.info }

type paperStream struct {
	cuda.Stream
	handle unsafe.Pointer
}

func (s paperStream) Handle() unsafe.Pointer { return s.handle }

// paper is a session's GPU without one, for what follows from settings alone.
func paper(t *testing.T, change func(*Config, *Spec)) *gpu {
	t.Helper()
	spec, err := ReadSpec(write(t, tiny(), "labels: [person, car]"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Defaults()
	cfg.Name, cfg.MaxBatch, cfg.Cache = "model", 4, t.TempDir()
	cfg.GPU = paperDevice{info: cuda.Info{Index: 1, Name: "NVIDIA T4", Driver: "12.4", Compute: [2]int{7, 5}}}
	change(&cfg, spec)
	stream, err := newBlock(8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stream.free)
	lib, err := ort.Open(testkit.Dep(t, "onnxruntime/lib/libonnxruntime.so"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lib.Close)
	return &gpu{cfg: cfg, spec: spec, log: quiet(), device: cfg.GPU, lib: lib, compute: paperStream{handle: unsafe.Pointer(&stream.bytes[0])}}
}

// TestProviderOptions: what providers are given. That they know each of these words,
// and no misspelled one, was tried with the parsers in onnxruntime-gpu 1.31.1's own
// libonnxruntime_providers_cuda.so and libonnxruntime_providers_tensorrt.so.
func TestProviderOptions(t *testing.T) {
	shape := Shape{96, 64}
	for _, c := range []struct {
		name, engine string
		graphs       bool
		change       func(*Config, *Spec)
		want         string // of the options, those that tell
	}{
		{"cuda", cudaEngine, false, func(*Config, *Spec) {},
			"arena_extend_strategy=kSameAsRequested cudnn_conv_algo_search=HEURISTIC device_id=1 enable_cuda_graph=0 use_tf32=1"},
		{"cuda exact", cudaEngine, true, func(c *Config, s *Spec) { c.Precision, c.Memory, s.Input.Fixed = "f32", 4<<30, false },
			"arena_extend_strategy=kSameAsRequested cudnn_conv_algo_search=HEURISTIC device_id=1 enable_cuda_graph=1 gpu_mem_limit=1073741824 use_tf32=0"},
		{"tensorrt", tensorRT, false, func(*Config, *Spec) {},
			"device_id=1 trt_bf16_enable=0 trt_engine_cache_enable=1 trt_engine_cache_path=ENGINE trt_fp16_enable=1 " +
				"trt_int8_enable=0 trt_profile_max_shapes=images:4x3x64x96 trt_profile_min_shapes=images:1x3x64x96 " +
				"trt_profile_opt_shapes=images:4x3x64x96 trt_timing_cache_enable=1 trt_timing_cache_path=CACHE"},
		{"tensorrt int8", tensorRT, true, func(c *Config, s *Spec) { c.Precision, c.Memory, c.Input, s.Quantized = "int8", 1<<30, "96x64", true },
			"device_id=1 trt_bf16_enable=0 trt_engine_cache_enable=1 trt_engine_cache_path=ENGINE trt_fp16_enable=1 " +
				"trt_int8_enable=1 trt_max_workspace_size=1073741824 trt_profile_max_shapes=images:4x3x64x96 " +
				"trt_profile_min_shapes=images:1x3x64x96 trt_profile_opt_shapes=images:4x3x64x96 trt_timing_cache_enable=1 trt_timing_cache_path=CACHE"},
		{"tensorrt bf16, one picture", tensorRT, false, func(c *Config, s *Spec) { c.Precision, s.Input.Chunk = "bf16", 1 },
			"device_id=1 trt_bf16_enable=1 trt_engine_cache_enable=1 trt_engine_cache_path=ENGINE trt_fp16_enable=0 " +
				"trt_int8_enable=0 trt_profile_max_shapes=images:1x3x64x96 trt_profile_min_shapes=images:1x3x64x96 " +
				"trt_profile_opt_shapes=images:1x3x64x96 trt_timing_cache_enable=1 trt_timing_cache_path=CACHE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := paper(t, c.change)
			got := g.provider(candidate{c.engine}, shape, c.graphs)
			var all []string
			for _, key := range slices.Sorted(maps.Keys(got.Options)) {
				all = append(all, key+"="+got.Options[key])
			}
			text := strings.NewReplacer(g.engineDir(candidate{c.engine}, shape), "ENGINE", g.cfg.Cache, "CACHE").Replace(strings.Join(all, " "))
			if text != c.want || got.TensorRT != (c.engine == tensorRT) || got.Stream != g.compute.Handle() {
				t.Errorf("%s\nwant %s", text, c.want)
			}
		})
	}
}

// TestProviderOrder: TensorRT leaves what it does not know to CUDA, which comes after it.
func TestProviderOrder(t *testing.T) {
	g := paper(t, func(*Config, *Spec) {})
	for engine, want := range map[string]string{tensorRT: "[true false]", cudaEngine: "[false]", onnxRuntime: "[]"} {
		var trt []bool
		for _, p := range g.providers(candidate{engine}, Shape{64, 64}, false) {
			trt = append(trt, p.TensorRT)
		}
		if fmt.Sprint(trt) != want {
			t.Errorf("%s: TensorRT %v, want %s", engine, trt, want)
		}
	}
	for setting, want := range map[string]string{
		"auto": "[{tensorrt} {cuda} {onnxruntime}]", tensorRT: "[{tensorrt}]", onnxRuntime: "[{cuda} {onnxruntime}]",
	} {
		if got := fmt.Sprint(candidatesFor(setting)); got != want {
			t.Errorf("%s means %s, want %s", setting, got, want)
		}
	}
}

// TestGPUPrecision: what each engine computes in, and what it refuses.
func TestGPUPrecision(t *testing.T) {
	for _, c := range []struct {
		engine, asked, want string
		fits                bool
	}{
		{tensorRT, "auto", "f16", true}, {tensorRT, "f32", "f32", true}, {tensorRT, "bf16", "bf16", true},
		{cudaEngine, "auto", "tf32", true}, {cudaEngine, "f32", "f32", true}, {cudaEngine, "f16", "f32", false},
		{onnxRuntime, "auto", "f32", true}, {onnxRuntime, "bf16", "f32", false},
	} {
		g := paper(t, func(cfg *Config, _ *Spec) { cfg.Precision = c.asked })
		e := candidate{c.engine}
		if got := e.precision(g.cfg, g.spec, [2]int{8, 6}); got != c.want {
			t.Errorf("%s, asked for %s: %s, want %s", c.engine, c.asked, got, c.want)
		}
		if err := e.fits(g.cfg, g.spec); (err == nil) != c.fits {
			t.Errorf("%s, asked for %s: %v", c.engine, c.asked, err)
		}
	}
	old := paper(t, func(*Config, *Spec) {})
	if got := (candidate{cudaEngine}).precision(old.cfg, old.spec, [2]int{7, 5}); got != "f32" {
		t.Errorf("a GPU without TF32 computes in %s", got)
	}
}

// TestBuckets: any number of rows is computed, in as few runs as can be.
func TestBuckets(t *testing.T) {
	for _, c := range []struct {
		chunk, most int
		buckets     string
	}{{2, 1, "[1]"}, {2, 4, "[1 2 4]"}, {2, 6, "[1 2 4 6]"}, {2, 32, "[1 2 4 8 16 32]"}, {1, 8, "[1]"}} {
		p := &gpuPlan{buckets: buckets(c.chunk, c.most)}
		if got := fmt.Sprint(p.buckets); got != c.buckets {
			t.Errorf("%d, %d: buckets %s, want %s", c.chunk, c.most, got, c.buckets)
		}
		for rows := 1; rows <= c.most; rows++ {
			next := 0
			for _, s := range p.spans(rows) {
				if s.first != next || !slices.Contains(p.buckets, s.rows) {
					t.Errorf("%d, %d: %d rows are run as %v", c.chunk, c.most, rows, p.spans(rows))
				}
				next += s.rows
			}
			if next < rows || next >= 2*rows && rows > 1 {
				t.Errorf("%d, %d: %d rows are run as %d", c.chunk, c.most, rows, next)
			}
		}
	}
}

// TestThread: what a session with CUDA graphs runs, it runs on one thread, with the
// errors that come of it.
func TestThread(t *testing.T) {
	one := newThread()
	defer one.close()
	first := 0
	for range 20 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				err := one.do(func() error {
					if first == 0 {
						first = unix.Gettid()
					}
					return fmt.Errorf("on %d", unix.Gettid())
				})
				if want := fmt.Sprintf("on %d", first); err == nil || err.Error() != want {
					t.Errorf("%v, want %s", err, want)
				}
			})
		}
		wg.Wait()
	}
}

// TestRows: where a network takes one picture, each row begins where TensorRT takes
// tensors; else rows lie side by side.
func TestRows(t *testing.T) {
	for _, c := range []struct{ chunk, most, bytes, want int }{
		{1, 8, 100800, 100864}, {1, 8, 512, 512}, {2, 8, 100800, 100800}, {2, 1, 1, 256},
	} {
		p := &gpuPlan{buckets: buckets(c.chunk, c.most)}
		if got := p.step(c.bytes); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestCache: engines for other GPUs, libraries and settings lie in other folders, and
// only what is complete is listed.
func TestCache(t *testing.T) {
	g := paper(t, func(*Config, *Spec) {})
	e, shape := candidate{tensorRT}, Shape{64, 64}
	dir := g.engineDir(e, shape)
	if filepath.Dir(dir) != g.cfg.Cache || dir != g.engineDir(e, shape) || dir == g.engineDir(e, Shape{96, 64}) {
		t.Errorf("folder %s", dir)
	}
	for name, change := range map[string]func(*Config, *Spec){
		"GPU": func(c *Config, _ *Spec) {
			c.GPU = paperDevice{info: cuda.Info{Name: "NVIDIA L4", Compute: [2]int{8, 9}}}
		},
		"precision": func(c *Config, _ *Spec) { c.Precision = "f32" },
		"rows":      func(c *Config, _ *Spec) { c.MaxBatch = 8 },
		"digest":    func(_ *Config, s *Spec) { s.Digest = strings.Repeat("0", 64) },
	} {
		if other := paper(t, change); filepath.Base(other.engineDir(e, shape)) == filepath.Base(dir) {
			t.Errorf("another %s has the same folder", name)
		}
	}
	if all, err := CachedEngines(g.cfg.Cache); err != nil || len(all) != 0 {
		t.Errorf("an empty cache: %v, %v", all, err)
	}
	stays := func() bool { // a file in the folder, when an engine is begun
		file := filepath.Join(dir, "some.engine")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, nil, 0o600), g.engineFor(e, shape).begin()); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(file)
		return err == nil
	}
	if stays() {
		t.Error("what was begun and not completed stays")
	}
	for range 2 {
		if err := g.keep(e, shape); err != nil {
			t.Fatal(err)
		}
	}
	if !stays() {
		t.Error("a complete engine is removed")
	}
	all, err := CachedEngines(g.cfg.Cache)
	if err != nil || len(all) != 1 || all[0].Folder != dir || all[0].Bytes == 0 || all[0].GPU != "NVIDIA T4" || all[0].Precision != "f16" {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := CachedEngines(filepath.Join(g.cfg.Cache, "none")); err != nil || all != nil {
		t.Errorf("no cache: %v, %v", all, err)
	}
}

// TestGPUDemands: settings that need a GPU are refused without one.
func TestGPUDemands(t *testing.T) {
	cfg := config(t, "coco-nano", onnxRuntime)
	cfg.Engine = tensorRT
	if _, err := New(cfg, quiet()); err == nil || !strings.Contains(err.Error(), "engine: tensorrt needs a GPU") {
		t.Errorf("without a GPU: %v", err)
	}
}
