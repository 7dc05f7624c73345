package rtmp

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sightline/internal/testkit"
)

// freePort is a TCP port of this machine that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a program until the test ends.
func start(t *testing.T, name string, args ...string) *os.Process {
	t.Helper()
	c := exec.Command(name, args...)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return c.Process
}

// nginx starts nginx's RTMP server and returns its address.
func nginx(t *testing.T) string {
	t.Helper()
	folder := testkit.Dep(t, "nginx")
	dir, address := t.TempDir(), freePort(t)
	config := fmt.Sprintf(`load_module %s/ngx_rtmp_module.so;
daemon off; master_process off; pid %s/pid; error_log %s/error.log;
events { worker_connections 64; }
rtmp { server { listen %s;
	application live { live on; }
	application closed { live on; deny play all; }
} }
`, folder, dir, dir, address)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, filepath.Join(folder, "nginx"), "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "nginx.conf"))
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not start: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func ffmpeg(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	testkit.Require(t, "ffmpeg", err == nil, "install the Debian package ffmpeg")
	return path
}

// publish sends 25 pictures a second, a keyframe each second, and a tone.
func publish(t *testing.T, url string, args ...string) *os.Process {
	t.Helper()
	all := []string{
		"-v", "fatal", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25", "-f", "lavfi", "-i", "sine",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac",
	}
	return start(t, ffmpeg(t), append(append(all, args...), "-f", "flv", url)...)
}

func source(url string) *Source {
	c := Defaults()
	c.URL = url
	return New(c, "cam", slog.New(slog.DiscardHandler))
}

// splice joins two connections until either ends.
func splice(a, b net.Conn) {
	done := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		io.Copy(to, from)
		done <- struct{}{}
	}
	go pipe(a, b)
	go pipe(b, a)
	<-done
	a.Close()
	b.Close()
	<-done
}
