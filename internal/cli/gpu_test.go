package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightline/kernels/driver"
	"sightline/pipelines/spec"
)

// TestWhichBinaryRuns has a machine of each kind, and pipelines that want a GPU, want
// none, or take what is there.
func TestWhichBinaryRuns(t *testing.T) {
	one := driver.Report{Version: "12.2", Devices: []driver.Device{{Name: "one"}}}
	failing := errors.New("NVIDIA driver: cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)")
	for _, c := range []struct {
		name           string
		device, engine string
		report         driver.Report
		probe, sibling error
		built          bool
		becomes        bool
		err, log       string
	}{
		{name: "a device, and nobody said where", device: "auto", engine: "auto", report: one, becomes: true},
		{name: "a device that is demanded", device: "cuda:0", engine: "auto", report: one, becomes: true},
		{name: "an engine for devices", device: "auto", engine: "tensorrt", report: one, becomes: true},
		{name: "the CPU is demanded", device: "cpu", engine: "auto", report: one},
		{name: "an engine for the CPU", device: "auto", engine: "openvino", report: one},
		{name: "ONNX Runtime on a device", device: "cuda:0", engine: "onnxruntime", report: one, becomes: true},
		{name: "it is that binary", device: "cuda:0", engine: "auto", report: one, built: true},
		{name: "no driver", device: "auto", engine: "auto", probe: driver.ErrNone, log: "level=DEBUG"},
		{name: "no driver, and demanded", device: "cuda:0", engine: "auto", probe: driver.ErrNone, err: "no NVIDIA driver (libcuda.so.1) is installed; with both at auto it takes what is there, a GPU or the CPU"},
		{name: "no device, and demanded", device: "cuda:1", engine: "auto", probe: driver.ErrNoDevice, err: "finds no device"},
		{name: "no such device", device: "cuda:1", engine: "auto", report: one, err: "this machine has 1 device, counted from cuda:0"},
		{name: "a driver that fails", device: "auto", engine: "auto", probe: failing, log: "SYSTEM_DRIVER_MISMATCH"},
		{name: "not built", device: "auto", engine: "auto", report: one, sibling: fmt.Errorf("x is not there: %w", errNoSibling), log: "level=WARN"},
		{name: "not built, and demanded", device: "cuda:0", engine: "auto", report: one, sibling: fmt.Errorf("x is not there: %w", errNoSibling), err: "make build-cuda"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log strings.Builder
			var became []string
			sh := &shell{args: []string{"run", "a.yaml"}, log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
			sh.machine = machine{
				built:   func() bool { return c.built },
				probe:   func() (driver.Report, error) { return c.report, c.probe },
				sibling: func() (string, error) { return "/opt/sightline-cuda", c.sibling },
				exec: func(path string, args, _ []string) error {
					became = args
					return errors.New("only a test")
				},
			}
			err := sh.useGPU(spec.Detect{Device: c.device, Engine: c.engine})
			if c.becomes {
				if want := []string{"/opt/sightline-cuda", "run", "a.yaml"}; !slices.Equal(became, want) {
					t.Errorf("became %q, want %q (%v)", became, want, err)
				}
				return
			}
			if became != nil {
				t.Errorf("became %q", became)
			}
			if got := fmt.Sprint(err); c.err == "" && err != nil || !strings.Contains(got, c.err) {
				t.Errorf("error %q, want %q", got, c.err)
			}
			if !strings.Contains(log.String(), c.log) {
				t.Errorf("logged %q, want %q", log.String(), c.log)
			}
		})
	}
}

// TestSibling looks for a binary beside this test's, which nobody puts there.
func TestSibling(t *testing.T) {
	path, err := sibling()
	if !errors.Is(err, errNoSibling) || path != "" {
		t.Fatalf("found %q, %v", path, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	there := self + siblingSuffix
	for _, c := range []struct {
		mode  fs.FileMode
		found bool
	}{{0o600, false}, {0o700, true}} {
		if err := os.WriteFile(there, nil, c.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(there, c.mode); err != nil {
			t.Fatal(err)
		}
		path, err := sibling()
		if (err == nil) != c.found || c.found && filepath.Base(path) != filepath.Base(there) {
			t.Errorf("mode %v: %q, %v", c.mode, path, err)
		}
	}
	if path, err := beside(there); !errors.Is(err, errNoSibling) || path != "" {
		t.Errorf("the program itself: %q, %v", path, err)
	}
	if err := os.Remove(there); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorTellsOfGraphs: only a pipeline that asks for them is told.
func TestDoctorTellsOfGraphs(t *testing.T) {
	for _, probe := range []error{nil, driver.ErrNone} {
		sh := &shell{machine: machine{probe: func() (driver.Report, error) { return driver.Report{}, probe }}}
		if got := sh.examineGraphs(spec.Detect{}); got != nil {
			t.Errorf("nobody asks: %+v", got)
		}
		got := sh.examineGraphs(spec.Detect{CUDAGraphs: true})
		if len(got) != 1 || got[0].OK != (probe == nil) || got[0].OK != (got[0].Todo == "") {
			t.Errorf("with %v: %+v", probe, got)
		}
	}
}
