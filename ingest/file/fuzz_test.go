package file

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sightline/ingest"
)

// FuzzFile overwrites a few bytes of a small file. Reading it ends, with or
// without an error that says why, and packets stay in form.
func FuzzFile(f *testing.F) {
	var clips [][]byte
	var names []string
	for _, c := range []struct {
		name string
		args []string
	}{
		{"clip.mp4", []string{"-c:v", "libx264", "-bf", "2"}}, {"clip.mkv", []string{"-c:v", "libx264"}},
		{"clip.ts", []string{"-c:v", "libx264"}}, {"clip.avi", []string{"-c:v", "mpeg4", "-bf", "2"}},
		{"h265.mp4", []string{"-c:v", "libx265", "-x265-params", "log-level=none"}}, {"clip.webm", []string{"-c:v", "libvpx"}},
	} {
		data, err := os.ReadFile(clip(f, c.name, append(c.args, "-t", "0.3")...))
		if err != nil {
			f.Fatal(err)
		}
		clips, names = append(clips, data), append(names, c.name)
	}
	for i := range clips {
		for at := range uint32(8) {
			f.Add(byte(i), at*97, []byte{0xff, 0x00, 0xff, 0x7f}, uint16(at*13))
		}
	}
	dir := f.TempDir()
	enough := errors.New("enough")
	f.Fuzz(func(t *testing.T, which byte, at uint32, bytes []byte, cut uint16) {
		i := int(which) % len(clips)
		data := append([]byte(nil), clips[i]...)
		for j, b := range bytes {
			data[(int(at)+j)%len(data)] = b
		}
		path := filepath.Join(dir, names[i])
		if err := os.WriteFile(path, data[:len(data)-int(cut)%len(data)], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{Path: path, Pace: Fastest}, "cam", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		count := 0
		err = s.Run(ctx, func(p ingest.Packet) error {
			if len(p.Data) == 0 || p.PTS < 0 || p.Captured.IsZero() || p.Keyframe && p.Disposable {
				t.Errorf("packet %d: %d bytes at %v, captured %v", count, len(p.Data), p.PTS, p.Captured)
			}
			if count++; count == 1000 {
				return enough
			}
			return nil
		})
		var e *ingest.Error
		if err != nil && err != enough && !errors.As(err, &e) {
			t.Errorf("error %v gives no reason", err)
		}
	})
}
