package pipelines

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/detect/onnx"
	"sightline/detect/optimize"
	"sightline/detect/optimize/graph"
	"sightline/internal/testkit"
)

// specialist is coco-nano without what finds large objects, which says that it was made
// for the first stream of a file. Of people as small as in vtest it finds the same.
func specialist(t *testing.T, sp string, change func(*optimize.Provenance)) string {
	t.Helper()
	original := testkit.Dep(t, "models/coco-nano.onnx")
	data, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bias_32", "bias_34"} { // of the scores, at strides 16 and 32
		bias := m.Graph.Tensors[name].Float32s()
		for i := range 80 {
			bias[i] -= 30
		}
		m.Graph.Tensors[name] = graph.NewFloat32(name, []int64{int64(len(bias))}, bias)
	}
	desc, err := onnx.ReadSpec(original)
	if err != nil {
		t.Fatal(err)
	}
	st := parse(t, sp).Streams[0]
	made := optimize.Provenance{Source: desc.Digest, Mode: optimize.SceneMode, Stream: st.Name, Bind: st.Bind(), Agreement: .97}
	if change != nil {
		change(&made)
	}
	text, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range desc.Metadata() {
		m.SetMeta(key, value)
	}
	m.SetMeta("sightline.optimized", string(text))
	path := filepath.Join(t.TempDir(), "specialist.onnx")
	if err := os.WriteFile(path, m.Write(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// moved is vtest for so many seconds, and then for 20 a part of it almost five times as
// large: as if the camera were turned, and closer.
func moved(t *testing.T, seconds int) string {
	return testkit.Clip(t, "moved.avi", "-i", media(t, "vtest.avi"), "-filter_complex", fmt.Sprintf(
		"[0:v]split[a][b];[a]trim=end=%d,setpts=PTS-STARTPTS[x];[b]trim=start=24:end=44,setpts=PTS-STARTPTS,crop=160:120:300:200,scale=768:576[y];[x][y]concat=n=2:v=1",
		seconds), "-c:v", "mpeg4", "-q:v", "3", "-r", "10")
}

// A planted change of the scene makes the original take over within 30 s of video, soon
// enough to be seen at work. No picture lacks its events, and each run tells the same.
func TestShadowFallsBack(t *testing.T) {
	o := parts(t)
	const change = 18 // after a look that finds all well
	video := moved(t, change)
	dir := t.TempDir()
	text := func(model, out string) string {
		return fmt.Sprintf(`version: 1
name: shadow
detect: { model: '%s', engine: onnxruntime, input: 320x256, fps: 5, classes: [person] }
streams: { gate: { url: 'file:%s', pace: fastest, start: 2026-01-02T03:04:05Z } }
sinks: [{ kind: jsonl, path: '%s', types: [%s] }]
`, model, video, out, everything)
	}
	model := specialist(t, text("coco-nano", "x"), nil)
	var runs []string
	for _, out := range []string{"a.jsonl", "b.jsonl"} {
		path := filepath.Join(dir, out)
		p := build(t, text(model, path), o)
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := written(t, path)
		fellBack(t, all, time.Date(2026, 1, 2, 3, 4, 5+change, 0, time.UTC))
		runs = append(runs, perStream(all)["gate"])
		st := p.Streams()[0]
		if st.Optimized == nil || st.Optimized.Working != "original" || st.Optimized.Falls != 1 || st.Optimized.Looks.Done < 10 || st.Optimized.Looks.Failed+st.Optimized.Looks.Skipped > 0 {
			t.Errorf("%+v", st.Optimized)
		}
	}
	if runs[0] != runs[1] {
		t.Error("another run told otherwise")
	}
}

func fellBack(t *testing.T, all []told, change time.Time) {
	t.Helper()
	models := map[string]int{} // pictures by model
	last, fell := 0, time.Time{}
	for _, e := range all {
		at, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case "stream.degraded":
			if !strings.Contains(e.raw, `"disagreement"`) {
				continue // of the picture
			}
			if !fell.IsZero() {
				t.Errorf("told again: %s", e.raw)
			}
			fell = at
		case "detections":
			if last > 0 && e.Data.Frame.Index != last+2 {
				t.Errorf("picture %d after %d", e.Data.Frame.Index, last)
			}
			last = e.Data.Frame.Index
			var data struct {
				Data struct{ Model struct{ Name string } }
			}
			if err := json.Unmarshal([]byte(e.raw), &data); err != nil {
				t.Fatal(err)
			}
			models[data.Data.Model.Name]++
		}
	}
	if late := fell.Sub(change); fell.IsZero() || late < 0 || late > 30*time.Second {
		t.Fatalf("fell back %v after the change", late)
	}
	t.Logf("fell back %v after the change", fell.Sub(change))
	if len(models) != 2 || models["specialist"] < 5*18 || models["coco-nano"] < 5*8 {
		t.Errorf("pictures by model: %v", models)
	}
}

func TestBoundNetworkIsRefused(t *testing.T) {
	o := parts(t)
	text := func(model, url, more string) string {
		return fmt.Sprintf("version: 1\nname: bound\ndetect: { model: '%s', engine: onnxruntime }\nstreams: { gate: { url: '%s' } }\n%s", model, url, more)
	}
	const here = "rtsp://viewer:secret@10.0.0.3/main"
	model := specialist(t, text("coco-nano", here, ""), nil)
	orphan := specialist(t, text("coco-nano", here, ""), func(p *optimize.Provenance) { p.Source = "0123456789abcdef" })
	general := specialist(t, text("coco-nano", here, ""), func(p *optimize.Provenance) { p.Mode, p.Bind = optimize.GeneralMode, "" })
	for _, c := range []struct {
		model, url, more string
		unbound          bool
		want             string // "" for none
	}{
		{model: model, url: here},
		{model: model, url: "rtsp://another:password@10.0.0.3/main"},
		{model: model, url: "rtsp://10.0.0.4/main", want: "was made for the scene of stream gate alone"},
		{model: model, url: "rtsp://10.0.0.4/main", unbound: true},
		{model: orphan, url: here, want: "is watched by the network that it was made of (SHA-256 0123456789ab…)"},
		{model: orphan, url: here, unbound: true},
		{model: general, url: "rtsp://10.0.0.4/main"},
	} {
		o.Unbound = c.unbound
		p, err := New(parse(t, text(c.model, c.url, c.more)), o)
		switch {
		case err == nil && c.want != "":
			t.Errorf("%+v: taken", c)
		case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%+v: %v", c, err)
		}
		if p != nil {
			if w := p.streams[0].shadow; (w != nil) != (c.model == model && !c.unbound) {
				t.Errorf("%+v: watched: %v", c, w != nil)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
