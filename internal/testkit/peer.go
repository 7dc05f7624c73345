package testkit

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Peer starts a program that prints one line when it is ready, and returns that
// line. At the test's end the program's input is closed, at which it ends, or it
// is killed 10 s later; where the test has failed, its errors are shown.
func Peer(t testing.TB, c *exec.Cmd) string {
	t.Helper()
	var said bytes.Buffer
	c.Stderr, c.WaitDelay = &said, 5*time.Second
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() {
		stdin.Close()
		late := time.AfterFunc(10*time.Second, func() { c.Process.Kill() })
		c.Wait() // how it ends matters to nobody
		late.Stop()
		<-drained
		if t.Failed() && said.Len() > 0 {
			t.Logf("%s:\n%s", c, said.String())
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	go func() {
		defer close(drained)
		io.Copy(io.Discard, stdout) // so that it is never held up
	}()
	if err != nil {
		t.Fatalf("%s does not start: %v", c, err)
	}
	return strings.TrimSpace(line)
}
