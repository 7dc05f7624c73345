package pipelines

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightline/internal/testkit"
	"sightline/pipelines/spec"
)

func TestMediaIsReceivedWhereThePageIs(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080":   "127.0.0.1",
		"localhost:8080":   "127.0.0.1",
		"10.0.0.9:80":      "10.0.0.9",
		"0.0.0.0:8080":     "0.0.0.0",
		":8080":            "",
		"[::1]:8080":       "::1",
		"cam.example:8080": "",
	} {
		if got := mediaAddress(listen); got != want {
			t.Errorf("%s: %q, want %q", listen, got, want)
		}
	}
}

// A port that another program has is told with the key that names it.
func TestMediaPortInUse(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for key, media := range map[string]spec.Media{
		"web.media.udp_port: ": {UDPPort: udp.LocalAddr().(*net.UDPAddr).Port},
		"web.media.tcp_port: ": {TCPPort: tcp.Addr().(*net.TCPAddr).Port},
	} {
		if _, err := openPorts(&spec.Web{Listen: "127.0.0.1:8080", Media: media}); err == nil || !strings.HasPrefix(err.Error(), key) {
			t.Errorf("%v does not begin with %s", err, key)
		}
	}
}

// TestShippedFilesAreBuilt makes pipelines of the files that ship, with the values
// they have where no variable is set.
func TestShippedFilesAreBuilt(t *testing.T) {
	o := parts(t)
	files, err := filepath.Glob(filepath.Join(testkit.Root(t), "configs", "*.yaml"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	dir := filepath.Join(t.TempDir(), "configs") // they write beside their folder
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sp, err := spec.Parse(filepath.Join(dir, filepath.Base(file)), text, []string{"web.listen=127.0.0.1:0"}, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Error(err)
			continue
		}
		p, err := New(sp, o)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		if err := p.Close(); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}
