package setup

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A sandbox is a folder where lib.sh runs steps of its own.
type sandbox struct {
	t   *testing.T
	dir string
}

func newSandbox(t *testing.T) sandbox {
	t.Helper()
	lib, err := os.ReadFile("lib.sh")
	if err != nil {
		t.Fatal(err)
	}
	s := sandbox{t, t.TempDir()}
	s.write("lib.sh", string(lib))
	s.write("pins.env", "TOY_VERSION=1\nOTHER_VERSION=1\n")
	return s
}

func (s sandbox) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run executes a script after the head of setup.sh and returns what it printed.
func (s sandbox) run(script string) (string, error) {
	s.t.Helper()
	head := "set -euo pipefail; shopt -s inherit_errexit; HERE=$PWD DEPS=$PWD CACHE=$PWD/cache ARCH=x86_64; mkdir -p .stamps cache\n. ./pins.env; . ./lib.sh\n"
	cmd := exec.Command("bash", "-c", head+script)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestStepRunsAgainOnlyWhenItsInputsChange(t *testing.T) {
	s := newSandbox(t)
	const script = "toy() { echo $TOY_VERSION >made; }\nstep 'the toy' made 'a hint' toy recipe.txt"
	s.write("recipe.txt", "one")
	for _, c := range []struct {
		name   string
		change func()
		want   string
	}{
		{"first", func() {}, "ok"},
		{"unchanged", func() {}, "there"},
		{"another part's pin", func() { s.write("pins.env", "TOY_VERSION=1\nOTHER_VERSION=2\n") }, "there"},
		{"its pin", func() { s.write("pins.env", "TOY_VERSION=2\nOTHER_VERSION=2\n") }, "ok"},
		{"its file", func() { s.write("recipe.txt", "two") }, "ok"},
		{"its result is gone", func() { os.Remove(filepath.Join(s.dir, "made")) }, "ok"},
		{"unchanged again", func() {}, "there"},
	} {
		c.change()
		out, err := s.run(script)
		if err != nil || !strings.Contains(out, "the toy") || !strings.Contains(out, " "+c.want) {
			t.Errorf("%s: %q, %v; want %q", c.name, out, err, c.want)
		}
	}
}

func TestFailedStepShowsItsLogAndHint(t *testing.T) {
	s := newSandbox(t)
	const script = "toy() { touch made; echo 'no route to host'; false; echo unreachable; }\nstep 'the toy' made 'ask for the toy by hand' toy"
	for range 2 { // a failure leaves no stamp, so it fails again
		out, err := s.run(script)
		if err == nil || !strings.Contains(out, "no route to host") || !strings.Contains(out, "the toy: not done. ask for the toy by hand") {
			t.Fatalf("%q, %v", out, err)
		}
		if strings.Contains(out, "unreachable") {
			t.Fatalf("the step went on after its failure: %q", out)
		}
	}
}

func TestVerifyRefusesAnotherHash(t *testing.T) {
	s := newSandbox(t)
	s.write("file", "hello\n")
	if out, err := s.run("verify file 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"); err != nil {
		t.Fatalf("the right hash: %s", out)
	}
	out, err := s.run("verify file 0000000000000000000000000000000000000000000000000000000000000000")
	if err == nil || !strings.Contains(out, "5891b5b5") || !strings.Contains(out, "pinned is 0000") {
		t.Fatalf("a wrong hash: %q, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "file")); err == nil {
		t.Error("the refused file is still there")
	}
}

// The scripts name their pins by hand: each must exist, for both architectures.
func TestEveryPinThatIsUsedExists(t *testing.T) {
	s := newSandbox(t)
	for _, name := range []string{"pins.env", "steps.sh"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s.write(name, string(text))
	}
	out, err := s.run(`for name in $(grep -oE '\$[A-Z]+(_[A-Z0-9]+)*_(VERSION|SHA256|NPM|MIN|DEB|AVI)\b' steps.sh | tr -d '$' | sort -u); do echo "$name=${!name}"; done
for name in $(grep -oE 'pin [A-Z_0-9]+' steps.sh | cut -d' ' -f2 | sort -u); do for ARCH in x86_64 aarch64; do echo "$name=$(pin $name)"; done; done`)
	if err != nil || strings.Count(out, "=") < 20 || regexp.MustCompile(`(?m)^\w+=$`).MatchString(out) {
		t.Fatalf("%v\n%s", err, out)
	}
}
