package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"sightline/configs"
	"sightline/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcome is what a command line left behind.
type outcome struct {
	code        int
	out, errOut string
}

func sightline(args ...string) outcome {
	var out, errOut bytes.Buffer
	env := func(name string) (string, bool) { return "from-env", name == "TITLE" }
	code := Main(args, &out, &errOut, env)
	return outcome{code, out.String(), errOut.String()}
}

func shipped(t *testing.T, name string) string {
	return filepath.Join(testkit.Root(t), "configs", filepath.FromSlash(name))
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExitCodes runs command lines and looks at the code and at which of the two
// outputs says what.
func TestExitCodes(t *testing.T) {
	good, bad := shipped(t, "shop-door.yaml"), shipped(t, "testdata/bad/unknown-stream-key.yaml")
	for _, c := range []struct {
		args        string
		code        int
		out, errOut string // parts; "" means nothing at all
	}{
		{"check " + good, 0, "ok: 1 stream, 4 rules, 2 sinks", ""},
		{"check " + bad, 1, ":7:5: streams.gate.titel: unknown key (did you mean title?)", ""},
		{"check " + good + " " + good, 0, good + " + " + good + ": ok: 1 stream", ""},
		{"check " + good + " -s streams.dor.url=x.mp4", 0, "ok: 2 streams", ""},
		{"check " + good + " -s detect.fps=0", 1, "-s:1:1: detect.fps:", ""},
		{"check none.yaml", 1, "none.yaml: cannot read it: no such file or directory", ""},
		{"check", 2, "", "requires at least 1 arg"},
		{"check --jsn " + good, 2, "", "unknown flag: --jsn"},
		{"chek " + good, 2, "", "check"},
		{"render " + good, 0, "confidence: 0.45", ""},
		{"render " + bad, 1, "", "unknown key"},
		{"render", 2, "", "requires at least 1 arg"},
		{"schema", 0, "$defs", ""},
		{"schema events", 0, "sightline.line.crossed", ""},
		{"schema event", 2, "", "invalid argument"},
		{"schema events --format avro", 0, "sightline.v1", ""},
		{"schema events --format avro --type sightline.line.crossed", 0, `"name": "LineCrossed"`, ""},
		{"schema events --format avro --type line.cross", 2, "", "no event type"},
		{"schema events --format protobuf", 0, "message Event {", ""},
		{"schema events --format protobuf --type line.crossed", 2, "", "--type is for --format avro"},
		{"schema events --format xml", 2, "", "none of json, avro, protobuf"},
		{"schema --format avro", 2, "", "schema events --format avro"},
		{"version", 0, "sightline ", ""},
		{"version 1", 2, "", "unknown command"},
		{"--log-format xml version", 2, "", "neither text nor json"},
		{"--log-level loud version", 2, "", "none of debug, info, warn, error"},
		{"", 0, "Available Commands", ""},
		{"--help", 0, "Available Commands", ""},
	} {
		got := sightline(strings.Fields(c.args)...)
		if got.code != c.code {
			t.Errorf("%s: exit %d, want %d", c.args, got.code, c.code)
		}
		for name, part := range map[string][2]string{"output": {got.out, c.out}, "error output": {got.errOut, c.errOut}} {
			if (part[1] == "") != (part[0] == "") || !strings.Contains(part[0], part[1]) {
				t.Errorf("%s: %s is %q, want %q in it", c.args, name, part[0], part[1])
			}
		}
	}
}

func TestCheckJSON(t *testing.T) {
	type report struct {
		OK          bool `json:"ok"`
		Diagnostics []struct {
			File, Path, Message, Suggestion string
			Line, Column                    int
		} `json:"diagnostics"`
	}
	path := shipped(t, "testdata/bad/unknown-stream-key.yaml")
	got := sightline("check", "--json", path)
	var r report
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatal(err)
	}
	if got.code != 1 || r.OK || len(r.Diagnostics) != 1 {
		t.Fatalf("exit %d, %+v", got.code, r)
	}
	if d := r.Diagnostics[0]; d.File != path || d.Line != 7 || d.Column != 5 || d.Path != "streams.gate.titel" || d.Suggestion != "title" || d.Message != "unknown key" {
		t.Errorf("%+v", d)
	}
	got = sightline("check", "--json", shipped(t, "minimal.yaml"))
	if got.code != 0 || !strings.Contains(got.out, `"diagnostics": []`) {
		t.Errorf("exit %d, %s", got.code, got.out)
	}
}

func TestRenderMasksAndTellsOrigins(t *testing.T) {
	path := writeFile(t, "version: 1\nname: x\nstreams:\n  gate: { url: \"rtsp://admin:hunter2@h/1\", title: \"${TITLE}\" }\n")
	got := sightline("render", path, "-s", "detect.confidence=0.9")
	if got.code != 0 || strings.Contains(got.out, "hunter2") {
		t.Fatalf("exit %d:\n%s", got.code, got.out)
	}
	for _, line := range []string{
		"    url: rtsp://h/1 # " + path + ":4", `    password: "***" # ` + path + ":4", "    title: from-env # " + path + ":4",
		"  confidence: 0.9 # -s", "  engine: auto # default",
	} {
		if !strings.Contains(squeeze(got.out), squeeze(line)+"\n") {
			t.Errorf("no line %q in\n%s", line, got.out)
		}
	}
}

// squeeze makes every run of spaces one.
func squeeze(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func TestSchemasAreThoseThatShip(t *testing.T) {
	if sightline("schema").out != configs.PipelineSchema() || sightline("schema", "pipeline").out != configs.PipelineSchema() || sightline("schema", "events").out != configs.EventSchema() {
		t.Error("schema prints something else")
	}
	for _, text := range []string{configs.PipelineSchema(), configs.EventSchema()} {
		if !json.Valid([]byte(text)) {
			t.Error("a schema is not JSON")
		}
	}
}

func TestVersionJSON(t *testing.T) {
	var b build
	if err := json.Unmarshal([]byte(sightline("version", "--json").out), &b); err != nil {
		t.Fatal(err)
	}
	if b.Version == "" || b.Go == "" || b.Platform == "" {
		t.Errorf("%+v", b)
	}
}

// TestHelp wants a short line and an example of every command.
func TestHelp(t *testing.T) {
	for _, c := range commands(&shell{}) {
		if c.Short == "" || !strings.Contains(c.Example, "sightline "+c.Name()) {
			t.Errorf("%s lacks a short text or an example", c.Name())
		}
		if c.RunE == nil && len(c.Commands()) == 0 {
			t.Errorf("%s does nothing", c.Name())
		}
	}
}

func TestReport(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		fail   error
		code   int
		errOut string
	}{
		{nil, 0, ""},
		{boom, 1, "sightline: boom\n"},
		{&ExitError{exitPartial, boom}, 3, "sightline: boom\n"},
		{&ExitError{Code: exitPartial}, 3, ""},
		{&ExitError{exitUsage, boom}, 2, "sightline: boom\n"},
	} {
		var errOut bytes.Buffer
		sh := &shell{out: &bytes.Buffer{}, err: &errOut}
		cmd := &cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return c.fail }}
		cmd.SetArgs([]string{})
		failWithCode(cmd)
		if code := sh.report(cmd.Execute()); code != c.code || errOut.String() != c.errOut {
			t.Errorf("%v: exit %d, %q; want %d, %q", c.fail, code, errOut.String(), c.code, c.errOut)
		}
	}
}
