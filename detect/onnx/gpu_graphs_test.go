//go:build cuda

package onnx

import (
	"bytes"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"

	"sightline/kernels/emu"
)

// TestCUDAGraphsElsewhere: an engine that has no CUDA graphs says so, and finds on the
// thread of its own what it finds without being asked for them.
func TestCUDAGraphsElsewhere(t *testing.T) {
	emu.Need(t)
	pictures := frames(t)[:2]
	cfg := onGPU(t, "coco-nano", device(t), 2)
	want := alone(t, onCPU(cfg), pictures)
	cfg.Graphs = true
	var log bytes.Buffer
	s, err := New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Prepare(s.Ideal(768, 576)); err != nil {
		t.Fatal(err)
	}
	got := look(t, s, newWriter(t, s, WriterConfig{Threshold: 0.1}), pictures...)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it finds %v, want %v", got, want)
	}
	if n := strings.Count(log.String(), "no CUDA graphs"); s.Graphs() != 0 || n != 1 {
		t.Errorf("%d graphs, told %d times:\n%s", s.Graphs(), n, &log)
	}
	// Its code for CPUs takes the order to record, and makes nothing of it.
	slots := s.stages[0].idle[0].slots.(*gpuSlots)
	for range 2 {
		if err := slots.record(); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Graphs(); n != 2*len(slots.runs) {
		t.Errorf("%d graphs of %d runs, recorded twice", n, len(slots.runs))
	}
	if got := look(t, s, newWriter(t, s, WriterConfig{Threshold: 0.1}), pictures...); !reflect.DeepEqual(got, want) {
		t.Errorf("with numbers of graphs it finds %v, want %v", got, want)
	}
}

// TestGPUGraphs records graphs on a real GPU while others allocate there, and finds with
// them what is found without: a graph replays the very same work. The emulation has no
// engine that records.
func TestGPUGraphs(t *testing.T) {
	if emu.Active() {
		t.Fatal("this test needs a real GPU and ONNX Runtime's CUDA provider: run `make gpu-check` on a machine with them")
	}
	pictures := frames(t)
	d := device(t)
	cfg := onGPU(t, "coco-nano", d, 4)
	s := open(t, cfg)
	if s.Info().Engine != cudaEngine {
		t.Skipf("skipped: graphs are recorded on engine %s, and %s runs", cudaEngine, s.Info().Engine)
	}
	want := look(t, s, newWriter(t, s, WriterConfig{Threshold: 0.1}), pictures[:3]...)
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			m, err := d.Alloc("test", 1<<20+n<<8) // never as much as before, so that the driver is asked
			if err == nil {
				err = m.Free()
			}
			if err != nil {
				t.Errorf("while graphs are recorded: %v", err)
				return
			}
		}
	})
	cfg.Graphs = true
	graphed := open(t, cfg)
	close(stop)
	others.Wait()
	got := look(t, graphed, newWriter(t, graphed, WriterConfig{Threshold: 0.1}), pictures[:3]...)
	if n := graphed.Graphs(); n != 2*len(buckets(2, 4)) || !reflect.DeepEqual(got, want) {
		t.Errorf("%d graphs, fallbacks %v; found %v, want %v", n, graphed.Fallbacks(), got, want)
	}
}
