package images

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/internal/testkit"
)

// still makes one picture of FFmpeg's.
func still(t *testing.T, name, size string, args ...string) []byte {
	t.Helper()
	args = append([]string{"-f", "lavfi", "-i", "testsrc=size=" + size, "-frames:v", "1", "-update", "1"}, args...)
	data, err := os.ReadFile(testkit.Clip(t, name, args...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func run(t *testing.T, c Config, log *slog.Logger) (packets []ingest.Packet, err error) {
	t.Helper()
	s, err := New(c, "pics", log)
	if err != nil {
		t.Fatal(err)
	}
	return packets, s.Run(t.Context(), func(p ingest.Packet) error {
		packets = append(packets, p)
		return nil
	})
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestContract(t *testing.T) {
	jpg := still(t, "a.jpg", "64x48")
	files := map[string][]byte{}
	for i := range 40 {
		files[strings.Repeat("x", i+1)+".jpg"] = jpg
	}
	for _, pace := range []Pace{Realtime, Fastest} {
		ingesttest.Run(t, ingesttest.Case{Name: string(pace), New: func(t *testing.T) ingest.Source {
			s, err := New(Config{Path: folder(t, files), Every: 10 * time.Millisecond, Pace: pace}, "pics", quiet())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}})
	}
}

// TestMixed plays every format, with bad files between.
func TestMixed(t *testing.T) {
	dir := folder(t, map[string][]byte{
		"shot1.jpg":   still(t, "a.jpg", "64x48"),
		"shot2.png":   still(t, "a.png", "100x80"),
		"shot3.jpeg":  still(t, "b.jpg", "320x240")[:900],
		"shot4.BMP":   still(t, "a.bmp", "50x40"),
		"shot5.jpg":   []byte("no picture"),
		"shot6.jpg":   nil,
		"shot10.tif":  still(t, "a.tif", "66x44"),
		"shot11.jpg":  still(t, "c.jpg", "321x241"),
		"shot12.webp": still(t, "a.webp", "72x52"),
		"notes.txt":   []byte("not looked at"),
		".shot0.jpg":  []byte("hidden"),
	})
	var log bytes.Buffer
	start := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	packets, err := run(t, Config{Path: dir, Every: 2 * time.Second, Pace: Fastest, Start: start}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	var codecs []ingest.Codec
	var times []time.Duration
	breaks := 0
	for _, p := range packets {
		codecs, times = append(codecs, p.Codec), append(times, p.PTS)
		if p.Break {
			breaks++
		}
		if !p.Captured.Equal(start.Add(p.PTS)) || cap(p.Data)-len(p.Data) < ingest.PacketPadding {
			t.Errorf("packet at %v: captured %v, room for %d more bytes", p.PTS, p.Captured, cap(p.Data)-len(p.Data))
		}
	}
	if want := []ingest.Codec{ingest.MJPEG, ingest.PNG, ingest.BMP, ingest.TIFF, ingest.MJPEG, ingest.WebP}; !slices.Equal(codecs, want) {
		t.Errorf("codecs %v, want %v", codecs, want)
	}
	if want := []time.Duration{0, 2e9, 6e9, 12e9, 14e9, 16e9}; !slices.Equal(times, want) || breaks != 2 {
		t.Errorf("times %v, want %v; %d breaks, want 2", times, want, breaks)
	}
	for _, part := range []string{"shot3.jpeg: the picture is cut short", "shot5.jpg: not a JPEG", "shot6.jpg: not a JPEG", "skipped=3"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q:\n%s", part, &log)
		}
	}
}

func TestNothing(t *testing.T) {
	empty := folder(t, map[string][]byte{"a.txt": nil})
	bad := folder(t, map[string][]byte{"a.jpg": []byte("no picture"), "b.jpg": {0xff}})
	for path, c := range map[string]struct {
		reason ingest.Reason
		says   string
	}{
		filepath.Join(empty, "none"):  {ingest.ReasonNotFound, "no such folder"},
		filepath.Join(empty, "*.jpg"): {ingest.ReasonNotFound, "no file fits"},
		empty:                         {ingest.ReasonNotFound, "no .jpg"},
		bad:                           {ingest.ReasonDamaged, "none of 2 files"},
	} {
		_, err := run(t, Config{Path: path, Every: 1, Pace: Fastest}, quiet())
		var e *ingest.Error
		if !errors.As(err, &e) || e.Reason != c.reason || !e.Permanent || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s and %q", path, err, c.reason, c.says)
		}
	}
	if err := (Config{Path: "a[", Pace: "slow"}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("mistakes: %v", err)
	}
}

// TestLoop goes on in time, in a new epoch.
func TestLoop(t *testing.T) {
	jpg := still(t, "a.jpg", "64x48")
	start := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	config := Config{Path: folder(t, map[string][]byte{"1.jpg": jpg, "2.jpg": jpg}), Every: time.Second, Pace: Fastest, Loop: true, Start: start}
	s, err := New(config, "pics", quiet())
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	var got []ingest.Packet
	err = s.Run(t.Context(), func(p ingest.Packet) error {
		if got = append(got, p); len(got) == 4 {
			return enough
		}
		return nil
	})
	if err != enough || got[2].PTS != 0 || got[3].PTS != time.Second || !got[3].Captured.Equal(start.Add(3*time.Second)) {
		t.Errorf("%v, %+v", err, got)
	}
	if name, again := strings.CutSuffix(got[0].Epoch, "-1"); !again || got[2].Epoch != name+"-2" {
		t.Errorf("epochs %q, %q", got[0].Epoch, got[2].Epoch)
	}
}

// TestEpoch is the same for the same pictures, wherever they are, and another for
// others.
func TestEpoch(t *testing.T) {
	one, two := still(t, "a.jpg", "64x48"), still(t, "b.jpg", "64x50")
	epoch := func(files map[string][]byte) string {
		packets, err := run(t, Config{Path: folder(t, files), Every: 1, Pace: Fastest}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		return packets[0].Epoch
	}
	first := epoch(map[string][]byte{"1.jpg": one, "2.jpg": two})
	if again := epoch(map[string][]byte{"1.jpg": one, "2.jpg": two}); again != first || !strings.HasSuffix(first, "-1") {
		t.Errorf("epochs %q and %q of the same pictures", first, again)
	}
	changed := bytes.Clone(two)
	changed[len(changed)-100]++
	for name, files := range map[string]map[string][]byte{
		"swapped": {"1.jpg": two, "2.jpg": one}, "named otherwise": {"1.jpg": one, "3.jpg": two},
		"one less": {"1.jpg": one}, "one byte changed": {"1.jpg": one, "2.jpg": changed},
	} {
		if epoch(files) == first {
			t.Errorf("%s: the same epoch", name)
		}
	}
}

func TestOrder(t *testing.T) {
	want := []string{"a", "a1", "a01", "a2", "a2b", "a2b3", "a10", "a10b", "b", "b007", "b7x", "b18446744073709551616", "c/2/1", "c/10/1"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNames)
	slices.SortFunc(want[1:3], strings.Compare) // equal numbers: any fixed order
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestPace holds pictures back, and does not hurry after a pause.
func TestPace(t *testing.T) {
	jpg := still(t, "a.jpg", "64x48")
	dir := folder(t, map[string][]byte{"1.jpg": jpg, "2.jpg": jpg, "3.jpg": jpg, "4.jpg": jpg})
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Path: dir, Every: 5 * time.Second, Pace: Realtime}, "pics", quiet())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var at []time.Duration
		err = s.Run(context.Background(), func(p ingest.Packet) error {
			at = append(at, time.Since(began))
			if len(at) == 2 {
				time.Sleep(12 * time.Second)
			}
			return nil
		})
		if want := []time.Duration{0, 5e9, 17e9, 22e9}; err != nil || !slices.Equal(at, want) {
			t.Errorf("pictures came at %v, want %v; %v", at, want, err)
		}
	})
}
