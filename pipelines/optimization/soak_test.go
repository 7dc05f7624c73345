//go:build soak

package optimization

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sightline/detect/optimize"
	"sightline/internal/testkit"
)

// aJob is a folder with pictures and what is to be made of them.
func aJob(t *testing.T, mode string, pictures int) string {
	t.Helper()
	log, libs := slog.New(slog.DiscardHandler), []string{testkit.Dep(t, "onnxruntime/lib")}
	folder := t.TempDir()
	frames, err := optimize.Frames(t.Context(), testkit.Dep(t, "media/vtest.avi"), 20, pictures, log)
	if err != nil {
		t.Fatal(err)
	}
	defer optimize.Release(frames)
	album, err := optimize.OpenAlbum(filepath.Join(folder, picturesFile))
	if err != nil {
		t.Fatal(err)
	}
	defer album.Close()
	for _, f := range frames {
		if err := album.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	path := testkit.Dep(t, "models/coco-nano.onnx")
	sum, err := digest(path)
	if err != nil {
		t.Fatal(err)
	}
	j := job{Model: path, Digest: sum, Out: "made.onnx", Mode: mode, Classes: []string{"person"}, Engine: "onnxruntime", LibDirs: libs, Least: .4, Agreement: .5, Stream: "gate", Bind: "b"}
	if err := keep(folder, jobFile, j); err != nil {
		t.Fatal(err)
	}
	return folder
}

// untilKept runs a job until it has kept more than before of what it measured, kills it,
// and returns when each was written.
func untilKept(t *testing.T, folder string, before int) map[string]time.Time {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, jobArgument, folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	times := map[string]time.Time{}
	lines := json.NewDecoder(out)
	for {
		var l line
		if err := lines.Decode(&l); err != nil {
			break // it was killed, or ended by itself
		}
		if kept, _ := filepath.Glob(filepath.Join(folder, workFolder, "*", "*.json")); len(kept) > before {
			cmd.Process.Kill()
			break
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("it was not killed: %v", err)
	}
	kept, _ := filepath.Glob(filepath.Join(folder, workFolder, "*", "*.json"))
	for _, path := range kept {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		times[path] = info.ModTime()
	}
	return times
}

// A process that is killed goes on where it was: what it had measured is not measured
// again.
func TestSoakJobGoesOnAfterKill(t *testing.T) {
	folder := aJob(t, optimize.SceneMode, 8)
	before := untilKept(t, folder, 0)
	after := untilKept(t, folder, len(before))
	for path, at := range before {
		if again, ok := after[path]; !ok || !again.Equal(at) {
			t.Errorf("%s was made again: %v", path, again)
		}
	}
}
