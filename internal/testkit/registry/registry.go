// Package registry runs a real schema registry for tests: Apicurio Registry, which
// speaks Confluent's API and keeps everything in memory.
package registry

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sightline/internal/testkit"
)

// How long it may take to answer after its start, on a loaded machine.
const startTimeout = 2 * time.Minute

// Start runs a registry until the test ends and returns the address of its
// Confluent API. It takes what is backward compatible with what it has. The test is
// skipped where its files or Java are missing (testkit.Require, part "registry").
func Start(t testing.TB) string {
	t.Helper()
	jar := testkit.Dep(t, "registry/registry.jar")
	_, err := exec.LookPath("java")
	testkit.Require(t, "registry", err == nil, "run `make setup-test` (no java)")

	port, logFile := freePort(t), filepath.Join(t.TempDir(), "registry.log")
	log, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms64m", "-Xmx256m",
		"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port="+port, "-jar", jar)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, filepath.Dir(logFile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})

	api := "http://127.0.0.1:" + port + "/apis/ccompat/v7"
	deadline := time.After(startTimeout)
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for !answers(api) {
		select {
		case <-ended:
			t.Fatalf("the registry ended while starting\n%s", tail(logFile))
		case <-deadline:
			t.Fatalf("the registry does not answer after %v\n%s", startTimeout, tail(logFile))
		case <-poll.C:
		}
	}
	call(t, http.MethodPut, api+"/config", map[string]string{"compatibility": "BACKWARD"}, nil)
	return api
}

// Compatible asks whether readers of schema could read what the latest version of
// the subject wrote, and why not. kind is AVRO or PROTOBUF.
func Compatible(t testing.TB, api, subject, kind, schema string) (ok bool, why string) {
	t.Helper()
	var answer struct {
		OK  bool   `json:"is_compatible"`
		Why string `json:"reason"`
	}
	call(t, http.MethodPost, api+"/compatibility/subjects/"+url.PathEscape(subject)+"/versions/latest?verbose=true",
		map[string]string{"schemaType": kind, "schema": schema}, &answer)
	return answer.OK, answer.Why
}

// Subjects lists what is registered.
func Subjects(t testing.TB, api string) (out []string) {
	t.Helper()
	call(t, http.MethodGet, api+"/subjects", nil, &out)
	return out
}

func call(t testing.TB, method, address string, body, answer any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %s (%v)", method, address, res.Status, text, err)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(text, answer); err != nil {
		t.Fatalf("%s %s: %v in %s", method, address, err, text)
	}
}

func answers(api string) bool {
	client := http.Client{Timeout: 10 * time.Second} // one that hangs is asked again
	res, err := client.Get(api + "/subjects")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// tail returns the end of what the registry wrote.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}
