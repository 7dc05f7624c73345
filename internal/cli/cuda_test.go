//go:build cuda

package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sightline/internal/testkit"
	"sightline/kernels/driver"
)

// TestCUDABinaries builds both programs as users do and starts the plain one: it goes on
// in the other where a GPU is to be used, and says why where that cannot be.
func TestCUDABinaries(t *testing.T) {
	_, err := driver.Probe()
	testkit.Require(t, "gpu", err == nil, "run it with kernels/emu/run.sh, or on a machine with an NVIDIA GPU")
	testkit.Dep(t, "models/coco-nano.onnx")
	root, dir := testkit.Root(t), t.TempDir()
	plain := filepath.Join(dir, "sightline")
	compile := func(path string, flags ...string) {
		t.Helper()
		build := exec.Command("go", append(append([]string{"build", "-ldflags=-s -w", "-o", path}, flags...), ".")...) // links in half the time
		build.Dir = root
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	// run starts the plain program from the repository, whose engines and models it finds.
	run := func(env string, args ...string) (code int, out, log string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(plain, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = root, &stdout, &stderr
		cmd.Env = append(os.Environ(), env)
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	}
	compile(plain)
	clip := testkit.Clip(t, "clip.mp4", "-i", testkit.Dep(t, "media/vtest.mp4"), "-frames:v", "20", "-c", "copy")
	play := []string{
		"run", clip, "--log-level", "debug", "-s", "web=null", "-s", "detect.device=cuda:0", "-s", "detect.engine=onnxruntime", "-s", "detect.precision=f32",
		"-s", "decode.hwaccel=cuda", "-s", "streams.clip.pace=fastest", "-s", "sinks.jsonl.types=[detections, pipeline.accounting]",
	}
	if code, _, log := run("", play...); code != exitNothing || !strings.Contains(log, "make build-cuda") {
		t.Errorf("without the other program: exit %d\n%s", code, log)
	}
	compile(plain+siblingSuffix, "-tags", "cuda")
	code, out, log := run("", play...)
	if code != exitDone || strings.Count(out, `"type":"sightline.detections"`) != 20 || !strings.Contains(log, "GPU opened") {
		t.Errorf("exit %d\n%s\n%s", code, out, log)
	}
	if code, out, _ := run("", "doctor"); code != exitDone || !strings.Contains(out, "ok      GPU cuda:0") || !strings.Contains(out, plain+siblingSuffix) {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, _, log := run("SIGHTLINE_EMU_DEVICES=0", play...); code != exitNothing || !strings.Contains(log, driver.ErrNoDevice.Error()) {
		t.Errorf("without a device: exit %d\n%s", code, log)
	}
}
