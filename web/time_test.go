package web

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sightline/detect"
	"sightline/internal/testkit"
)

// node runs a script of testdata and returns what it prints.
func node(t *testing.T, limit time.Duration, script string, args ...string) []byte {
	t.Helper()
	program := filepath.Join(testkit.Root(t), ".deps", "node", "bin", "node")
	if _, err := os.Stat(program); err != nil {
		program, err = exec.LookPath("node")
		testkit.Require(t, "node", err == nil, "run `make setup-test`")
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, program, append([]string{filepath.Join("testdata", script)}, args...)...)
	var complaints bytes.Buffer
	c.Stderr = &complaints
	c.WaitDelay = 2 * time.Second
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, out, complaints.String())
	}
	return out
}

// A box is drawn over the right picture only if server and page compute the same
// stamp for the same time.
func TestThePageComputesTheSameRTPTimes(t *testing.T) {
	var texts []string
	var want []uint32
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Unix(0, 1000), time.Unix(1, 11_000), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC), time.Date(2026, 3, 1, 12, 0, 0, 999999000, time.UTC),
		time.Date(2026, 12, 31, 23, 59, 59, 100000, time.FixedZone("CET", 3600)), time.Date(2099, 1, 1, 0, 0, 0, 10000, time.UTC),
		time.UnixMicro(1 << 32 * 100 / 9), time.UnixMicro(1<<32*100/9 + 1), time.UnixMicro(1<<33*100/9 - 1),
	} {
		texts = append(texts, detect.FormatTime(at))
		want = append(want, RTPTime(at))
	}
	page, err := filepath.Abs("ui/time.js")
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(t.TempDir(), "time.mjs") // node goes by the ending
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(module, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var got []uint32
	if err := json.Unmarshal(node(t, 20*time.Second, "times.mjs", append([]string{module}, texts...)...), &got); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("%s: the page says %v, want %d", texts[i], got, want[i])
		}
	}
}
