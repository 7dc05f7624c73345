package pipelines

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who sends cameras' events away without a spool is told so; nobody else is.
func TestPipelineAdvisesASpool(t *testing.T) {
	const kafka = `{ kind: kafka, brokers: ["127.0.0.1:1"], topic: t`
	for name, c := range map[string]struct {
		stream, sink string
		told         bool
	}{
		"a camera":          {"rtsp://127.0.0.1/x", kafka + " }", true},
		"a camera, spooled": {"rtsp://127.0.0.1/x", kafka + ", spool: {} }", false},
		"a file":            {"file:clip.mp4", kafka + " }", false},
		"to a file":         {"rtsp://127.0.0.1/x", `{ kind: jsonl, path: "-" }`, false},
		"for trying out":    {"rtsp://127.0.0.1/x", `{ kind: kafka, brokers: [embedded], topic: t }`, false},
	} {
		var log bytes.Buffer
		p := &Pipeline{
			spec: parse(t, "version: 1\nname: x\nstreams: { gate: { url: '"+c.stream+"' } }\nsinks: ["+c.sink+"]\n"),
			log:  slog.New(slog.NewTextHandler(&log, nil)),
		}
		p.adviseSpools()
		if told := strings.Contains(log.String(), "events wait in memory alone") && strings.Contains(log.String(), "sink=kafka"); told != c.told {
			t.Errorf("%s: told %v: %s", name, told, log.String())
		}
	}
}

func TestSpoolKeys(t *testing.T) {
	folder := t.TempDir()
	good := strings.Repeat("0123456789abcdef", 4)
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"as openssl writes it": {good + "\n", true}, "too short": {good[:62], false}, "no hexadecimal": {"z" + good[1:], false}, "empty": {"", false},
	} {
		path := filepath.Join(folder, "key")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := readSpoolKey(path)
		if c.ok && (err != nil || hex.EncodeToString(key) != good) || !c.ok && (err == nil || !strings.Contains(err.Error(), "openssl rand -hex 32")) {
			t.Errorf("%s: %x, %v", name, key, err)
		}
		if err != nil && c.text != "" && strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: the key is in the error: %v", name, err)
		}
	}
	if key, err := readSpoolKey(""); key != nil || err != nil {
		t.Errorf("without a file: %x, %v", key, err)
	}
}
