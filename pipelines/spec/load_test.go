package spec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sightline/detect"
)

const base = `version: 1
name: crossing
streams:
  gate: { url: rtsp://10.0.0.3/main, title: Gate, zones: { door: { polygon: [[0.1, 0.5], [0.4, 0.5], [0.4, 0.9]] } } }
  yard: { url: rtsp://10.0.0.4/main }
rules:
  - { name: visits, kind: presence, zone: door }
  - { name: loitering, kind: dwell, zone: door, for: 10s }
sinks:
  - { kind: jsonl, path: events.jsonl, types: [detections, line.crossed] }
web: {}
`

// write makes files in a folder of their own and goes there.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func load(t *testing.T, text string, sets ...string) *Pipeline {
	t.Helper()
	p, err := Parse("a.yaml", []byte(text), sets, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDefaults(t *testing.T) {
	p := load(t, base)
	decode := Decode{Threads: 1, SkipLoopFilter: "none", Damage: "hold", Skip: "auto", HWAccel: "none", Surfaces: 8}
	quality := Quality{Watch: []string{"frozen", "black", "covered", "blurred", "moved"}, For: 10 * time.Second}
	want := Pipeline{
		Version: 1, Name: "crossing", Site: "crossing", DrainTimeout: 30 * time.Second,
		Detect: Detect{Model: "coco-nano", Engine: "auto", Device: "auto", Precision: "auto", Input: Input{Policy: InputAspect},
			Confidence: 0.4, Batch: Batch{4, 20 * time.Millisecond}},
		Track:  Track{"bytetrack", 0.5, 0.1, 0.6, 5 * time.Second},
		Decode: decode, Quality: quality,
		Web: &Web{Listen: "127.0.0.1:8080"},
	}
	got := *p
	got.Streams, got.Rules, got.Sinks, got.origins = nil, nil, nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	gate := p.Streams[0]
	wantGate := Stream{Name: "gate", Kind: RTSP, URL: "rtsp://10.0.0.3/main", Title: "Gate",
		StreamDefaults: StreamDefaults{Transport: "auto", Timeout: 10 * time.Second, Decode: decode, Quality: quality,
			Detect: StreamDetect{Model: "coco-nano", FPS: 5, Confidence: 0.4, From: "main", Enabled: true}},
		Zones: []Zone{{"door", []detect.Point{{X: .1, Y: .5}, {X: .4, Y: .5}, {X: .4, Y: .9}}, "bottom"}}}
	if !reflect.DeepEqual(gate, wantGate) {
		t.Errorf("got  %+v\nwant %+v", gate, wantGate)
	}
	if s := p.Sinks[0]; s.Name != "jsonl" || s.Buffer != 64<<20 || s.JSONL.Path != "events.jsonl" || s.Kafka != nil {
		t.Errorf("sink %+v", s)
	}
	if !p.Rules[0].AppliesTo(&p.Streams[0]) || p.Rules[0].AppliesTo(&p.Streams[1]) {
		t.Error("a rule applies where its zone is, and only there")
	}
}

func TestTypesMayCarryTheirPrefix(t *testing.T) {
	text := "version: 1\nname: x\nstreams: {a: {url: file:a.mp4}}\nsinks: [{kind: jsonl, path: a, types: [sightline.line.crossed, detections]}]\n"
	p, err := Parse("p.yaml", []byte(text), nil, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Sinks[0].Types; !slices.Equal(got, []string{"line.crossed", "detections"}) {
		t.Errorf("types %v", got)
	}
}

func TestStreamsKeepTheirOrder(t *testing.T) {
	text := "version: 1\nname: x\nstreams:\n"
	var want []string
	for i := range 40 {
		name := fmt.Sprintf("s%02d", (i*17)%40)
		want = append(want, name)
		text += "  " + name + ": { url: a.mp4 }\n"
	}
	var got []string
	for _, s := range load(t, text).Streams {
		got = append(got, s.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestInherit checks which of several places a stream's value comes from.
func TestInherit(t *testing.T) {
	p := load(t, `version: 1
name: x
defaults: { username: viewer, password: s3cret, pace: fastest, labels: { city: a, road: b }, detect: { confidence: 0.5 } }
detect: { confidence: 0.3, classes: [person], model: nets/own.onnx }
decode: { threads: 2 }
web: {}
streams:
  plain: { url: rtsp://h/1 }
  own:   { url: rtsp://h/2, username: admin, labels: { road: c }, detect: { confidence: 0.9, classes: null, fps: all } }
  film:  { url: clips/a.mp4, decode: { threads: 8, skip_loop_filter: all } }
  guest: { url: "whip://" }
  login: { url: "rtsp://u:p%40ss@h/3" }
`)
	got := map[string]string{}
	for _, s := range p.Streams {
		fps, _ := s.Detect.FPS.MarshalText()
		got[s.Name] = fmt.Sprintf("%s/%s pace=%s fps=%s conf=%v classes=%v model=%s threads=%d %s labels=%v",
			s.Username, s.Password.Reveal(), s.Pace, fps, s.Detect.Confidence, s.Detect.Classes, s.Detect.Model, s.Decode.Threads, s.Decode.SkipLoopFilter, s.Labels)
	}
	want := map[string]string{
		"plain": "viewer/s3cret pace= fps=5 conf=0.5 classes=[person] model=nets/own.onnx threads=2 none labels=map[city:a road:b]",
		"own":   "admin/s3cret pace= fps=all conf=0.9 classes=[] model=nets/own.onnx threads=2 none labels=map[city:a road:c]",
		"film":  "/ pace=fastest fps=all conf=0.5 classes=[person] model=nets/own.onnx threads=8 all labels=map[city:a road:b]",
		"guest": "/ pace= fps=5 conf=0.5 classes=[person] model=nets/own.onnx threads=2 none labels=map[city:a road:b]",
		"login": "u/p@ss pace= fps=5 conf=0.5 classes=[person] model=nets/own.onnx threads=2 none labels=map[city:a road:b]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if url := p.Streams[4].URL; url != "rtsp://h/3" {
		t.Errorf("credentials stayed in the url %s", url)
	}
}

func TestLayers(t *testing.T) {
	write(t, map[string]string{
		"base.yaml": base,
		"site/over.yaml": `streams:
  gate: { title: null, url: clips/gate.mp4 }
  yard: null
  new: { url: rtsp://10.0.0.5/main }
rules:
  - { name: loitering, for: 20s }
  - { name: crowd, kind: occupancy, zone: door }
sinks:
  - { kind: jsonl, types: [detections], path: out.jsonl }
web: null
`,
	})
	p, err := Load([]string{"base.yaml", "site/over.yaml"}, []string{"rules.loitering.severity=critical", "streams.new.detect.classes=[person, car]", "sinks.jsonl.buffer=1MiB"}, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Streams) != 2 || p.Streams[0].Name != "gate" || p.Streams[1].Name != "new" {
		t.Fatalf("streams %+v", p.Streams)
	}
	gate := p.Streams[0]
	if gate.Title != "" || gate.Kind != File || gate.Path != "site/clips/gate.mp4" || len(gate.Zones) != 1 {
		t.Errorf("gate %+v: want no title, a file beside the layer, the zone kept", gate)
	}
	if diff := cmp.Diff([]string{"person", "car"}, p.Streams[1].Detect.Classes); diff != "" {
		t.Error(diff)
	}
	var rules []string
	for _, r := range p.Rules {
		rules = append(rules, fmt.Sprint(r.Name, " ", r.Kind, " ", r.For, " ", r.EventSeverity()))
	}
	if diff := cmp.Diff([]string{"visits presence 0s 9", "loitering dwell 20s 17", "crowd occupancy 0s 9"}, rules); diff != "" {
		t.Error(diff)
	}
	if s := p.Sinks[0]; len(p.Sinks) != 1 || s.JSONL.Path != "site/out.jsonl" || len(s.Types) != 1 || s.Buffer != 1<<20 {
		t.Errorf("sinks %+v", p.Sinks)
	}
	if p.Web != nil {
		t.Error("null did not remove web")
	}
	for path, want := range map[string]string{
		"streams.gate.url": "site/over.yaml:2", "rules.loitering.zone": "base.yaml:8", "rules.loitering.for": "site/over.yaml:6",
		"rules.loitering.severity": "-s", "track.high": "default",
	} {
		if got := p.Origin(path).String(); got != want {
			t.Errorf("%s comes from %s, want %s", path, got, want)
		}
	}
}

func TestOverrides(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"streams.gate.url=rtsp://10.9.9.9/x", ""},
		{"streams.gate.password=@*&!{hash} #1", ""},
		{"rules.loitering.for=20s", ""},
		{"rules.loitering=null", ""},
		{"web=null", ""},
		{`name="other"`, ""},
		{"detect.batch={max: 2}", ""},
		{"nonsense", "-s:1:1: want KEY=VALUE, such as -s streams.gate.url=rtsp://10.0.0.3/main"},
		{"a..b=1", "-s:1:1: want KEY=VALUE, such as -s streams.gate.url=rtsp://10.0.0.3/main"},
		{"rules.loitring.for=20s", "-s:1:1: rules.loitring.for: rules has none of this name (did you mean loitering?)"},
		{"rules.loitering.fro=20s", "-s:1:1: rules.loitering.fro: unknown key (did you mean for?)"},
		{"detect.confidence=4", "-s:1:1: detect.confidence: 4 is not between 0 and 1"},
		{"streams.gate.detect.classes=[person", "-s:1:1: not YAML: sequence end token ']' not found"},
		{"streams.gate.title=${NONE}", "-s:1:1: streams.gate.title: variable NONE is not set; set it, or write ${NONE:-default}"},
	} {
		_, err := Parse("a.yaml", []byte(base), []string{c.set}, noEnv)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("-s %s\n got %s\nwant %s", c.set, got, c.want)
		}
	}
	p := load(t, base, "streams.gate.password=@*&!{hash} #1")
	if got := p.Streams[0].Password.Reveal(); got != "@*&!{hash} #1" {
		t.Errorf("password %q", got)
	}
}

func TestVariables(t *testing.T) {
	write(t, map[string]string{
		"conf/a.yaml": `version: 1
name: x
detect:
  confidence: ${CONF}
  fps: ${FPS:-all}
  engine: ${EMPTY:-openvino}
streams:
  gate:
    url: rtsp://${HOST}:${PORT:-554}/$${literal}
    password: "${file:secrets/cam}"
    title: ${EMPTY}
    username: ${NULL}
    labels: { a: "${CONF}", b: "$1 $ {x}", c: "${BRACES}" }
`,
		"conf/secrets/cam": "p${CONF}ss \n",
	})
	env := map[string]string{"CONF": "0.25", "HOST": "cam", "EMPTY": "", "NULL": "null", "BRACES": "${CONF}"}
	p, err := Load([]string{"conf/a.yaml"}, nil, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	gate := p.Streams[0]
	if p.Detect.Confidence != .25 || p.Detect.Engine != "openvino" || gate.Detect.FPS != AllFrames {
		t.Errorf("detect %+v", p.Detect)
	}
	if gate.URL != "rtsp://cam:554/${literal}" || gate.Password.Reveal() != "p${CONF}ss " || gate.Title != "" || gate.Username != "null" {
		t.Errorf("gate %+v %q", gate, gate.Password.Reveal())
	}
	if diff := cmp.Diff(map[string]string{"a": "0.25", "b": "$1 $ {x}", "c": "${CONF}"}, gate.Labels); diff != "" {
		t.Error(diff)
	}
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	p := load(t, `version: 1
name: x
streams:
  one: &cam { url: rtsp://h/1, username: u, lines: &lines { kerb: { points: [[0, 0.6], [1, 0.6]] } } }
  two: { <<: *cam, url: rtsp://h/2 }
  three: { url: rtsp://h/3, lines: *lines }
`)
	if s := p.Streams[1]; s.URL != "rtsp://h/2" || s.Username != "u" || len(s.Lines) != 1 {
		t.Errorf("two %+v", s)
	}
	if s := p.Streams[2]; s.Username != "" || len(s.Lines) != 1 {
		t.Errorf("three %+v", s)
	}
}

func TestAllMistakesOfAllFiles(t *testing.T) {
	write(t, map[string]string{"a.yaml": "version: 1\nname: X\nstreams: { gate: { url: rtsp://h/1, pase: 1 } }\n", "b.yaml": "track: { high: 7 }\n"})
	_, err := Load([]string{"a.yaml", "none.yaml", "b.yaml"}, nil, noEnv)
	if got, want := fmt.Sprint(err), "none.yaml: cannot read it: no such file or directory"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = Load([]string{"a.yaml", "b.yaml"}, []string{"detect.fps=0"}, noEnv)
	var found Diagnostics
	if !errors.As(err, &found) || len(found) != 4 {
		t.Fatalf("got %v", err)
	}
	var files []string
	for _, d := range found {
		files = append(files, d.File)
	}
	if diff := cmp.Diff([]string{"a.yaml", "a.yaml", "b.yaml", "-s"}, files); diff != "" {
		t.Errorf("order of files: %s", diff)
	}
}

func TestOverridesAlone(t *testing.T) {
	p, err := Load(nil, []string{"version=1", "name=x", "streams.a.url=clip.mp4"}, noEnv)
	if err != nil || p.Streams[0].Path != "clip.mp4" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := Load(nil, nil, noEnv); err == nil {
		t.Errorf("nothing at all gave %+v", p)
	}
}

// TestOtherEditors loads what editors on other systems write.
func TestOtherEditors(t *testing.T) {
	for name, text := range map[string]string{
		"CRLF": strings.ReplaceAll(base, "\n", "\r\n"), "byte order mark": "\ufeff" + base, "no line end": strings.TrimSuffix(base, "\n"),
		"document marks": "%YAML 1.2\n---\n" + base + "...\n",
	} {
		p, err := Parse("a.yaml", []byte(text), nil, noEnv)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Streams[0].Title != "Gate" || p.Origin("rules.loitering.for").Line < 8 {
			t.Errorf("%s: %+v, %v", name, p.Streams[0], p.Origin("rules.loitering.for"))
		}
	}
}

// TestTrackThresholdsFollow checks that one threshold alone is never a mistake.
func TestTrackThresholdsFollow(t *testing.T) {
	for text, want := range map[string]Track{
		"{ high: 0.7 }":           {High: 0.7, Low: 0.1, New: 0.7},
		"{ high: 0.05 }":          {High: 0.05, Low: 0.05, New: 0.6},
		"{ high: 0.7, new: 0.9 }": {High: 0.7, Low: 0.1, New: 0.9},
	} {
		got := load(t, base+"track: "+text+"\n").Track
		if got.High != want.High || got.Low != want.Low || got.New != want.New {
			t.Errorf("%s gives %+v", text, got)
		}
	}
}
