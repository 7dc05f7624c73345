package pipelines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sightline/internal/testkit"
)

// packetsOf asks FFmpeg's own tool how many packets a video has.
func packetsOf(t *testing.T, path string) (n uint64) {
	t.Helper()
	ffprobe, err := exec.LookPath("ffprobe")
	testkit.Require(t, "ffmpeg", err == nil, "install the Debian package ffmpeg")
	text, err := exec.Command(ffprobe, "-v", "error", "-select_streams", "v", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(strings.TrimSpace(string(text)), "%d", &n); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return n
}

// TestAccountsAreRight compares the last account of files with counts made by
// others: FFmpeg's of packets, and that of detections events. The files have
// reordered pictures, damage, and decoders with several threads.
func TestAccountsAreRight(t *testing.T) {
	reordered := testkit.Clip(t, "b.ts", "-i", media(t, "vtest.avi"), "-frames:v", "45", "-s", "384x288", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "3", "-g", "15")
	data, err := os.ReadFile(reordered)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 3; i < len(data)*2/3; i += 97 {
		data[i] ^= 0x5a
	}
	damaged := filepath.Join(t.TempDir(), "damaged.ts")
	if err := os.WriteFile(damaged, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "events.jsonl")
	p := build(t, fmt.Sprintf(`version: 1
name: accounts
detect: { engine: onnxruntime, fps: 5 }
decode: { skip: none }
streams:
  skipping: { url: 'file:%[1]s', pace: fastest, decode: { skip: auto } }
  whole: { url: 'file:%[1]s', pace: fastest }
  threads: { url: 'file:%[1]s', pace: fastest, decode: { threads: 4 } }
  damaged: { url: 'file:%[2]s', pace: fastest }
  damaged-threads: { url: 'file:%[2]s', pace: fastest, decode: { threads: 4 } }
sinks: [{ kind: jsonl, path: '%[3]s', types: [%[4]s] }]
`, reordered, damaged, out, everything), parts(t))
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := written(t, out)
	inferred, index := map[string]uint64{}, map[string]int{}
	for _, e := range all {
		name := e.Data.Stream.Name
		switch e.Type {
		case "detections":
			inferred[name]++
			if e.Data.Frame.Index <= index[name] {
				t.Errorf("%s: frame %d after %d", name, e.Data.Frame.Index, index[name])
			}
			index[name] = e.Data.Frame.Index
		case "pipeline.accounting":
			if e.Data.InDecoder+e.Data.InFlight != 0 {
				t.Errorf("%s: something is under way at the end: %s", name, e.raw)
			}
			if e.Data.Inferred != inferred[name] {
				t.Errorf("%s: %d inferred and %d detections events", name, e.Data.Inferred, inferred[name])
			}
			want := packetsOf(t, reordered)
			if decoded := e.Data.Decoded + e.Data.Undecoded[skippedNonref]; !strings.HasPrefix(name, "damaged") && (e.Data.Received != want || decoded != want || want != 45) {
				t.Errorf("%s: received %d and decoded %d of %d", name, e.Data.Received, e.Data.Decoded, want)
			}
			if skipped := e.Data.Undecoded[skippedNonref]; (skipped > 0) != (name == "skipping") {
				t.Errorf("%s: %d were passed over", name, skipped)
			}
			if s := e.Data.Sinks["jsonl"]; s.Made != s.Acknowledged || s.Made == 0 {
				t.Errorf("%s: %+v", name, s)
			}
			t.Logf("%s: received %d, decoded %d, undecoded %v, inferred %d", name, e.Data.Received, e.Data.Decoded, e.Data.Undecoded, e.Data.Inferred)
		}
	}
	for _, name := range []string{"whole", "threads", "skipping"} {
		if inferred[name] < 22 || index[name] < 43 {
			t.Errorf("%s: %d of 45 frames inferred at half their rate, the last number %d", name, inferred[name], index[name])
		}
	}
}
