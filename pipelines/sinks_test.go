package pipelines

import (
	"bytes"
	"log/slog"
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
