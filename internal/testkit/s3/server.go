// Package s3 starts a real object store for tests: SeaweedFS, which checks
// signatures, digests and clocks.
package s3

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sightline/internal/testkit"
)

// What every Server knows.
const (
	Key    = "AKIDEXAMPLE"
	Secret = "hunter2-hunter2"
	Bucket = "pictures"
)

// Server is one that runs until the test's end, or Stop.
type Server struct {
	Endpoint string // http://127.0.0.1:PORT, the same after Stop and Start

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
}

// ports are all that SeaweedFS would otherwise open at fixed numbers.
func ports() []string {
	return []string{"master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
		"s3.port.grpc", "s3.port.iceberg", "s3.port.lance", "admin.port", "admin.port.grpc", "s3.port"}
}

// New prepares a server with an empty bucket, whose address is known and which
// Start starts.
func New(t testing.TB) *Server {
	t.Helper()
	weed := testkit.Dep(t, "seaweedfs/weed")
	s := &Server{t: t, dir: t.TempDir()}
	identities, err := json.Marshal(map[string]any{"identities": []any{map[string]any{
		"name": "test", "actions": []string{"Admin", "Read", "Write", "List"},
		"credentials": []any{map[string]string{"accessKey": Key, "secretKey": Secret}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(s.dir, "identities.json")
	if err := os.WriteFile(config, identities, 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{weed, "-logtostderr", "mini", "-dir", s.dir, "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false",
		"-s3.iam=false", "-s3.autoCreateBucket=false", "-s3.config", config, "-bucket=" + Bucket}
	var free []io.Closer // kept until all are chosen, so that none is chosen twice
	for _, name := range ports() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free = append(free, l)
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s.args = append(s.args, "-"+name+"="+port)
		s.Endpoint = "http://127.0.0.1:" + port
	}
	for _, l := range free {
		l.Close()
	}
	t.Cleanup(s.Stop)
	return s
}

// Start returns when the server answers.
func (s *Server) Start() {
	s.t.Helper()
	var log strings.Builder
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Dir, s.cmd.Stderr, s.cmd.WaitDelay = s.dir, &log, 5*time.Second
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		res, err := http.Get(s.Endpoint + "/" + Bucket)
		if err == nil {
			res.Body.Close()
		}
		if err == nil && res.StatusCode == http.StatusForbidden {
			return
		}
		if time.Now().After(deadline) {
			s.cmd.Process.Kill()
			s.cmd.Wait()
			s.t.Fatalf("SeaweedFS does not answer (%v):\n%s", err, log.String())
		}
	}
}

// Stop ends the server; what it has taken is there again after Start.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(10*time.Second, func() { s.cmd.Process.Kill() })
	s.cmd.Wait() // how it ends matters to nobody
	late.Stop()
	s.cmd = nil
	for _, arg := range s.args { // it leaves these behind
		if _, port, ok := strings.Cut(arg, "="); ok && strings.Contains(arg, "port") {
			left, _ := filepath.Glob(filepath.Join(os.TempDir(), "seaweedfs-*-"+port+".sock"))
			for _, file := range left {
				os.Remove(file)
			}
		}
	}
}
