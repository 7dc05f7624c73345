package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightline/detect/onnx"
)

// yard is a pipeline's file, and the cache is empty.
func yard(t *testing.T) string {
	t.Helper()
	needParts(t)
	dir := t.TempDir()
	t.Setenv("SIGHTLINE_CACHE", filepath.Join(dir, "cache"))
	file := filepath.Join(dir, "yard.yaml")
	text := "version: 1\nname: yard\nstreams: { gate: { url: \"rtsp://10.0.0.3/main\" } }\nsinks: [ { kind: jsonl, path: \"-\" } ]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestWarmup compiles for one size and again: the second time it is there already.
func TestWarmup(t *testing.T) {
	file := yard(t)
	for _, c := range []struct{ engine, cached string }{{"openvino", "now"}, {"openvino", "before"}, {"onnxruntime", "never"}} {
		var all []warmed
		answered(t, &all, "warmup", file, "--json", "-s", "detect.device=cpu", "-s", "detect.engine="+c.engine,
			"--picture", "1920x1080", "--picture", "1280x720")
		if len(all) != 1 || all[0].Engine != c.engine || all[0].Cached != c.cached || all[0].Size != "416x256" || all[0].Device != "cpu" || all[0].Precision == "" {
			t.Errorf("%+v, want one size on %s, cached %s", all, c.engine, c.cached)
		}
	}
	kept, err := onnx.CachedEngines(onnx.CacheDir())
	if err != nil || len(kept) != 1 || kept[0].Model != "coco-nano" {
		t.Errorf("kept %+v, %v", kept, err)
	}
	got := sightline("warmup", file, "-s", "detect.device=cpu", "--picture", "640x480")
	if got.code != exitDone || !strings.Contains(got.out, "coco-nano 416x320 on cpu: ") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.errOut)
	}
	refused(t, []struct {
		args []string
		code int
		says string
	}{
		{[]string{"warmup"}, exitUsage, "requires at least 1 arg"},
		{[]string{"warmup", file, "--picture", "wide"}, exitUsage, "is not WIDTHxHEIGHT"},
		{[]string{"warmup", file, "-s", "detect.model=none-such"}, exitNothing, "none-such"},
		{[]string{"warmup", filepath.Join(filepath.Dir(file), "none.yaml")}, exitNothing, "none.yaml"},
	})
}
