package testkit

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Clip makes a small file named name in a folder of the test's own and returns
// its path: it runs the ffmpeg command with args, which make the file, and then
// the path.
func Clip(t testing.TB, name string, args ...string) string {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	Require(t, "ffmpeg", err == nil, "install the Debian package ffmpeg")
	path := filepath.Join(t.TempDir(), name)
	all := append([]string{"-v", "error", "-nostdin", "-y"}, append(args, path)...)
	if text, err := exec.Command(ffmpeg, all...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %q: %v\n%s", all, err, text)
	}
	return path
}
