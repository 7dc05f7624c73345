package optimization

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sightline/detect/optimize"
)

// niceness of the process that makes a network: the least urgent there is.
const niceness = 19

// endPatience is how long it may take to end when it is told to.
const endPatience = 3 * time.Second

// compile has the network made by a process of its own.
func (m *Maker) compile(ctx context.Context) (Made, error) {
	if len(m.compiler) == 0 {
		return Made{}, errors.New("nothing here makes networks in the background")
	}
	engine := m.engine
	if engine != "openvino" { // GPUs' engines prove no more than the processor's
		engine = "onnxruntime"
	}
	j := job{
		Model: m.model, Digest: m.recipe.Model, Plain: engine != m.engine, Out: m.name(), Mode: m.recipe.Mode, Classes: m.recipe.Classes, Engine: engine, LibDirs: m.libDirs, Fit: m.recipe.Fit,
		Integers: m.recipe.Mode == optimize.SceneMode, Least: m.recipe.Least, Agreement: m.recipe.Budget,
	}
	if j.Mode == optimize.SceneMode {
		j.Stream, j.Bind = m.recipe.Streams[0], m.recipe.Binds[0]
	}
	if err := keep(m.folder, jobFile, j); err != nil {
		return Made{}, err
	}
	cmd := exec.CommandContext(ctx, m.compiler[0], append(m.compiler[1:len(m.compiler):len(m.compiler)], m.folder)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", max(1, runtime.NumCPU()/4)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endPatience
	said := &lastWords{most: 4 << 10}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Made{}, fmt.Errorf("make a network: %w", err)
	}
	made, done := Made{}, make(chan error, 1)
	go func() { done <- nicely(cmd, func() { made = m.follow(out) }) }()
	err = <-done
	switch {
	case ctx.Err() != nil:
		return Made{}, ctx.Err()
	case err != nil:
		return Made{}, fmt.Errorf("make a network: %w: %s", err, said)
	case made == Made{}:
		return Made{}, fmt.Errorf("make a network: it ended without a result: %s", said)
	}
	return made, nil
}

// nicely runs a command at the least priority until it has ended, and read meanwhile. A
// process inherits the priority of the thread that starts it, and is told when that
// thread ends: so the goroutine never gives its thread back, which ends with it.
func nicely(cmd *exec.Cmd, read func()) error {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness) // as nice as it is allowed to be
	if err := cmd.Start(); err != nil {
		return err
	}
	// Where memory lacks it is to be ended, and nothing else; it is made again later.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("1000"), 0)
	read()
	return cmd.Wait()
}

// follow reads what the process prints until it ends.
func (m *Maker) follow(out io.Reader) (made Made) {
	lines := bufio.NewScanner(out)
	begun := time.Now()
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue // not lost: a line that is none of ours
		}
		if l.Made != nil {
			made = *l.Made
			continue
		}
		m.set(func(s *Status) {
			if l.Step != s.Step || l.Done < s.Done {
				begun = time.Now()
			}
			s.Step, s.Done, s.Of, s.Left = l.Step, l.Done, l.Of, 0
			if l.Done > 0 && l.Of > l.Done {
				s.Left = time.Since(begun).Seconds() * float64(l.Of-l.Done) / float64(l.Done)
			}
		})
	}
	_, _ = io.Copy(io.Discard, out) // a line too long ends the scanner, not the process
	return made
}

// lastWords keeps the end of what is written to it.
type lastWords struct {
	most int
	text []byte
}

func (t *lastWords) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if over := len(t.text) - t.most; over > 0 {
		t.text = t.text[:copy(t.text, t.text[over:])]
	}
	return len(b), nil
}

// String is its last line.
func (t *lastWords) String() string {
	text := string(bytes.TrimSpace(t.text))
	return cmp.Or(text[strings.LastIndexByte(text, '\n')+1:], "it said nothing")
}
