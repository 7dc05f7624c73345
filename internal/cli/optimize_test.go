package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightline/detect/onnx"
	"sightline/detect/optimize"
	"sightline/internal/testkit"
)

func TestOptimize(t *testing.T) {
	needParts(t)
	video := testkit.Dep(t, "media/vtest.avi")
	dir := t.TempDir()
	out, page := filepath.Join(dir, "gate.onnx"), filepath.Join(dir, "gate.html")
	args := []string{"optimize", "coco-nano", "--video", video, "--pictures", "4", "--every", "100", "--classes", "person,car", "--fit", "--agreement", ".9"}
	var r optimize.Report
	answered(t, &r, append(args, "-o", out, "--report", page, "--json")...)
	if !r.Passed || r.Pictures != 4 || r.After.MACs >= r.Before.MACs*8/10 || r.After.Nodes >= r.Before.Nodes {
		t.Errorf("%+v", r)
	}
	for _, e := range r.Engines {
		if e.Input != [2]string{"416x416", "416x320"} || e.Agreement.Boxes < 20 || e.Race.Optimized == 0 {
			t.Errorf("%+v", e)
		}
	}
	if !slices.ContainsFunc(r.Engines, func(e optimize.EngineReport) bool { return e.Precision == "f32" && e.Agreement.Exactly() }) {
		t.Errorf("nothing was proved in f32: %+v", r.Engines)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "finds what the original finds") || strings.Contains(string(text), "src=") {
		t.Errorf("report page: %v, %d bytes", err, len(text))
	}
	t.Run("Rounding", func(t *testing.T) { // shows in 32-bit floats alone, whatever the engine would choose
		var r optimize.Report
		answered(t, &r, "optimize", "coco-nano", "--video", video, "--pictures", "1", "--agreement", ".9", "--dry-run", "--target", "openvino", "--json")
		if last := r.Engines[len(r.Engines)-1]; last.Precision != "f32" || !last.Agreement.Exactly() {
			t.Errorf("%+v", r.Engines)
		}
	})
	t.Run("PlainONNXRuntime", func(t *testing.T) { plainlyTheSame(t, out) })
	t.Run("ForONNXRuntime", func(t *testing.T) { // which gets convolutions that multiply less
		var r optimize.Report
		fast := filepath.Join(dir, "fast.onnx")
		answered(t, &r, append(args, "-o", fast, "--target", "onnxruntime", "--pictures", "2", "--json")...)
		if last := r.Steps[len(r.Steps)-1]; last.Name != "winograd" || !r.Engines[0].Agreement.Exactly() || r.After.MACs > r.Before.MACs*6/10 {
			t.Errorf("%+v", r)
		}
		plainlyTheSame(t, fast)

		again := filepath.Join(dir, "again.onnx") // is the same to the byte, however long it took
		answered(t, &optimize.Report{}, append(args, "-o", again, "--target", "onnxruntime", "--pictures", "2", "--json")...)
		a, _ := os.ReadFile(fast)
		if b, err := os.ReadFile(again); err != nil || string(a) != string(b) {
			t.Errorf("another file: %v", err)
		}
	})
	t.Run("Usable", func(t *testing.T) {
		got := sightline("run", video, "-s", "detect.model="+out, "-s", "detect.classes=[person]", "-s", "streams.vtest.pace=fastest", "-s", "detect.fps=1")
		if got.code != exitDone || strings.Count(got.out, `"sightline.object.started"`) < 5 {
			t.Errorf("exit %d, %d events\n%s", got.code, strings.Count(got.out, "\n"), got.errOut)
		}
	})
}

// plainlyTheSame asks an independent program what the network computes.
func plainlyTheSame(t *testing.T, optimized string) {
	root := testkit.Root(t)
	python := testkit.Dep(t, "venv/bin/python")
	cmd := exec.Command(python, filepath.Join(root, "detect/optimize/testdata/same.py"), testkit.Dep(t, "models/coco-nano.onnx"), optimized, "416x320", "416x416")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	var diff struct {
		Score, Bin float64
		Values     int
	}
	if err == nil {
		err = json.Unmarshal(text, &diff)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff.Score > 1e-5 || diff.Bin > 1e-3 || diff.Values < 500_000 {
		t.Errorf("they differ: %+v", diff)
	}
}

// In 8-bit integers a network takes a quarter of the space and sees nearly the same;
// what does not agree as asked is not written. How nearly depends on the processor: some
// cut off sums of products of bytes.
func TestOptimizeGeneral(t *testing.T) {
	needParts(t)
	dir := t.TempDir()
	small := filepath.Join(dir, "small.onnx") // its input is: less to compute
	if err := cmp.Or(os.Symlink(testkit.Dep(t, "models/coco-nano.onnx"), small), os.WriteFile(filepath.Join(dir, "small.yaml"), []byte("input: {size: 256x256}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	args := []string{"optimize", small, "--mode", "general", "--video", testkit.Dep(t, "media/vtest.avi"), "--pictures", "8", "--every", "40", "--fit", "--json"}
	for _, engine := range []string{"onnxruntime", "openvino"} {
		out := filepath.Join(dir, engine+".onnx")
		var r optimize.Report
		answered(t, &r, append(args, "-o", out, "--target", engine, "--agreement", ".6")...)
		e := r.Engines[0]
		if !r.Passed || r.After.Bytes*10 > r.Before.Bytes*3 || e.Input != [2]string{"256x256", "256x192"} || e.Precision != "int8" || e.Agreement.Boxes < 20 || min(e.Agreement.Recall, e.Agreement.Precision) < .6 {
			t.Errorf("%s: %+v", engine, r)
		}
		if sp, err := onnx.ReadSpec(out); err != nil || !sp.Quantized {
			t.Errorf("%s: %v", engine, err)
		}
	}
	never := filepath.Join(dir, "never.onnx")
	got := sightline(append(args, "-o", never, "--target", "onnxruntime", "--agreement", "1", "--score", "0.05")...)
	var refused optimize.Report
	if err := json.Unmarshal([]byte(got.out), &refused); err != nil || got.code != exitPartial || len(refused.Tried) < 3 || refused.Reason == "" || isFile(never) {
		t.Errorf("exit %d, %v: %s\n%s", got.code, err, got.out, got.errOut)
	}
	one := append(args, "-o", never, "--target", "onnxruntime", "--every", "5000") // of which none can be kept back
	if got := sightline(one...); got.code != exitNothing || !strings.Contains(got.errOut, "1 pictures") || isFile(never) {
		t.Errorf("of one picture: exit %d\n%s", got.code, got.errOut)
	}
}

func TestOptimizeRefuses(t *testing.T) {
	needParts(t)
	video := testkit.Dep(t, "media/vtest.avi")
	dir := t.TempDir()
	out, broken := filepath.Join(dir, "out.onnx"), filepath.Join(dir, "broken.onnx")
	if err := os.WriteFile(broken, []byte("\x08\x08\x3a\x05nodes"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.onnx")
	if err := os.Symlink(testkit.Dep(t, "models/coco-nano.onnx"), link); err != nil {
		t.Fatal(err)
	}
	yard := writeFile(t, "version: 1\nname: site\nstreams: { yard: { url: 'rtsp://10.0.0.3/main' }, lobby: { url: 'whip://' }, stills: { url: 'images:stills' } }\nweb: {}\n")
	filmed := filepath.Join(t.TempDir(), "gate.mp4")
	if err := os.WriteFile(filmed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	film := writeFile(t, "version: 1\nname: site\nstreams: { gate: { url: '"+filmed+"' } }\nweb: {}\n")
	if err := os.WriteFile(filepath.Join(dir, "described.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, []struct {
		args []string
		code int
		says string
	}{
		{[]string{"optimize", "coco-nano", "--video", video}, exitUsage, "needs -o FILE"},
		{[]string{"optimize", "coco-nano", "-o", out}, exitUsage, "needs --video"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--mode", "fast"}, exitUsage, "none of exact, general, scene"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--mode", "scene"}, exitUsage, "for one stream alone"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--stream", "gate"}, exitUsage, "go together"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--int8"}, exitUsage, "belong to --mode scene"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--config", yard, "--stream", "gate"}, exitNothing, "no stream \"gate\""},
		{[]string{"optimize", "coco-nano", "-o", out, "--config", yard, "--stream", "lobby"}, exitNothing, "a recording with --video"},
		{[]string{"optimize", "coco-nano", "-o", out, "--config", yard, "--stream", "stills"}, exitNothing, "a folder of images"},
		{[]string{"optimize", "coco-nano", "-o", out, "--config", yard, "--stream", "yard", "--gt", broken}, exitUsage, "give it with --video"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--classes", ""}, exitUsage, "--classes wants a name"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--gt", broken, "--ap50", "NaN"}, exitUsage, "--ap50 wants points"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--gt", broken, "--classes", "car"}, exitUsage, "not among --classes"},
		{[]string{"optimize", link, "-o", link, "--video", video, "--pictures", "1"}, exitNothing, "is the original"},
		{[]string{"optimize", "coco-nano", "-o", video, "--video", video}, exitNothing, "is a video to take pictures from"},
		{[]string{"optimize", "coco-nano", "-o", out, "--config", film, "--stream", "gate", "--report", filmed}, exitNothing, "is the stream's video"},
		{[]string{"optimize", "coco-nano", "-o", film, "--config", film, "--stream", "gate"}, exitNothing, "is a pipeline's file"},
		{[]string{"optimize", link, "-o", out, "--video", video, "--report", link}, exitNothing, "write the report: " + link + " is the original"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--report", dir + "/./out.onnx"}, exitNothing, "is the network"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "-s", "detect.fps=5"}, exitUsage, "there is none"},
		{[]string{"optimize", "coco-nano", "-o", filepath.Join(dir, "described.onnx"), "--video", video, "--pictures", "1"}, exitNothing, "described.yaml would be taken for its description"},
		{[]string{"optimize", "coco-nona", "-o", out, "--video", video}, exitNothing, "coco-nano"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", broken}, exitNothing, "broken.onnx"},
		{[]string{"optimize", broken, "-o", out, "--video", video, "--pictures", "1"}, exitNothing, "broken.onnx"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--pictures", "1", "--classes", "unicorn"}, exitNothing, `class "unicorn" is not one of the 80`},
		{[]string{"optimize", "coco-nano", "-o", filepath.Join(dir, "no/such/out.onnx"), "--video", video, "--pictures", "1"}, exitNothing, "no folder"},
		{[]string{"optimize", "coco-nano", "-o", dir, "--video", video, "--pictures", "1"}, exitNothing, "is there and is no file"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", "rtsp://admin:secret@10.0.0.3/main"}, exitUsage, "--stream NAME"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--agreement", "97"}, exitUsage, "for 97 % write 0.97"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--target", "tensorrt", "--mode", "general"}, exitUsage, "unproved there"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", video, "--target", "tflite"}, exitUsage, "none of onnxruntime, openvino, auto"},
		{[]string{"optimize", "-o", out, "--video", video}, exitUsage, "needs one MODEL"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", broken, "--report", filepath.Join(dir, "no/such/page.html")}, exitNothing, "write the report"},
		{[]string{"optimize", "coco-nano", "-o", out, "--video", broken, "--gt", filepath.Join(dir, "none.txt")}, exitNothing, "read ground truth"},
	})
	if got := sightline("optimize", "coco-nano", "-o", out, "--video", "rtsp://admin:secret@10.0.0.3/main"); strings.Contains(got.errOut, "secret") {
		t.Errorf("tells a password: %s", got.errOut)
	}
	got := sightline("optimize", "coco-nano", "-o", out, "--video", video, "--pictures", "2", "--classes", "giraffe", "--target", "onnxruntime")
	if got.code != exitPartial || !strings.Contains(got.errOut, "nothing is proved") || !strings.Contains(got.out, "no boxes to compare") {
		t.Errorf("of nothing: exit %d\n%s\n%s", got.code, got.out, got.errOut)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

// Nobody is told to detect with a network of which no boxes can be read.
func TestTellsWhatItIsFor(t *testing.T) {
	for want, r := range map[string]*optimize.Report{
		"out.onnx written: use it as `detect: { model: out.onnx }`\n":        {Engines: make([]optimize.EngineReport, 1)},
		"within 1e-07 of the largest)\nout.onnx written\n":                   {Engines: []optimize.EngineReport{{Values: &optimize.Values{Count: 3}}}},
		"for stream gate alone: elsewhere it is nearly blind, and refused\n": {Engines: make([]optimize.EngineReport, 1), Stream: "gate"},
	} {
		var said bytes.Buffer
		r.Source, r.Out = "net.onnx", "out.onnx"
		if err := new(optimizeFlags).tell(&shell{out: &said}, r); err != nil || !strings.HasSuffix(said.String(), want) {
			t.Errorf("%v\n%s\nwant %q", err, said.String(), want)
		}
	}
}
