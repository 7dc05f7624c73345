package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/internal/testkit"
	kafkatest "sightline/internal/testkit/kafka"
	"sightline/sink/kafka"
	"sightline/sink/verify"
)

// The program itself is killed in the middle of a file, runs again from the file's
// beginning, and its topic is sound: what the first run had made is there, what both
// made is recognized by its id.
func TestVerifyAfterARunWasKilled(t *testing.T) {
	needParts(t)
	video := testkit.Dep(t, "media/vtest.avi")
	b := kafkatest.Start(t)
	b.CreateTopic("killed", 3)
	dir := t.TempDir()
	program := filepath.Join(dir, "sightline")
	build := exec.Command("go", "build", "-o", program, "sightline")
	build.Dir = testkit.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := writeFile(t, fmt.Sprintf(`version: 1
name: killed
site: hq
detect: { fps: 5 }
streams:
  square:
    url: "file:%s"
    pace: fastest
    lines: { path: { points: [[0.0, 0.6], [1.0, 0.6]] } }
    zones: { lawn: { polygon: [[0.1, 0.3], [0.9, 0.3], [0.9, 0.9], [0.1, 0.9]] } }
rules:
  - { name: in-out, kind: crossing, line: path }
  - { name: present, kind: presence, zone: lawn }
  - { name: q15, kind: count, line: path, every: 15m }
sinks:
  - { name: events, kind: kafka, brokers: ["%s"], topic: killed, spool: { path: "%s", sync: 50ms } }
`, video, b.Addr, filepath.Join(dir, "spool")))

	first := exec.Command(program, "run", file)
	var said bytes.Buffer
	first.Stderr = &said
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	t.Cleanup(func() { first.Process.Kill() })
	before := awaitMessages(t, b.Addr, "killed", 40, ended)
	first.Process.Kill()
	if err := <-ended; err == nil {
		t.Fatalf("the first run ended before it was killed\n%s", said.String())
	}
	if out, err := exec.Command(program, "run", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	out, err := exec.Command(program, "verify", "--brokers", b.Addr, "--topic", "killed", "--json").CombinedOutput()
	var report struct {
		Sound bool
		verify.Report
	}
	if line := out[bytes.LastIndexByte(bytes.TrimSpace(out), '\n')+1:]; err != nil || json.Unmarshal(line, &report) != nil {
		t.Fatalf("verify: %v\n%s", err, out)
	}
	remade, repeated := uint64(0), uint64(0)
	for _, k := range report.Keys {
		remade += k.Remade
		repeated += k.Repeated
	}
	if !report.Sound || report.Shaped != 0 || report.Proven == 0 {
		t.Errorf("not sound: %s", out)
	}
	if remade+10 < uint64(before) { // but what had no id of the file's: the stream's offline of a start
		t.Errorf("%d made again of %d that the first run had delivered", remade, before)
	}
	t.Logf("%d delivered when it was killed; in all %d messages, %d made again, %d repeated", before, report.Messages, remade, repeated)
}

// awaitMessages waits until the topic has n messages, and returns how many.
func awaitMessages(t *testing.T, broker, topic string, n int64, ended <-chan error) (have int64) {
	t.Helper()
	cfg := kafka.Defaults()
	cfg.Brokers, cfg.Topic = []string{broker}, topic
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for late := time.After(2 * time.Minute); have < n; {
		select {
		case err := <-ended:
			t.Fatalf("the program ended with %d messages delivered: %v", have, err)
		case <-late:
			t.Fatalf("%d messages after two minutes", have)
		case <-poll.C:
		}
		ends, err := kafka.Ends(t.Context(), cfg, topic)
		if err != nil && !strings.Contains(err.Error(), "eader") {
			t.Fatal(err)
		}
		have = 0
		for _, e := range ends {
			have += e.Next
		}
	}
	return have
}
