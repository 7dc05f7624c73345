package ptx

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sightline/internal/testkit"
)

// sources are the files that build.py compiles, in its order.
func sources(t *testing.T) []string {
	t.Helper()
	script, err := os.ReadFile("build.py")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^SOURCES = \[(.*)\]$`).FindSubmatch(script)
	if list == nil {
		t.Fatal("build.py does not list its SOURCES")
	}
	var names []string
	for _, name := range strings.Split(string(list[1]), ", ") {
		names = append(names, strings.Trim(name, `"`))
	}
	return names
}

func TestSourcesAreThoseOfTheText(t *testing.T) {
	var sums bytes.Buffer
	for _, name := range sources(t) {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(text), name)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256(sums.Bytes())); Source() != want {
		t.Errorf("vision.ptx was made from sources %s, those here are %s: make kernels", Source(), want)
	}
}

// Every file that a source includes is one of the sources, so that none escapes the hash.
func TestSourcesIncludeNothingElse(t *testing.T) {
	names := sources(t)
	include := regexp.MustCompile(`(?m)^#include ["<](.*)[">]$`)
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range include.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(strings.Join(names, " "), m[1]) && m[1] != "va_emu.h" {
				t.Errorf("%s includes %s, which is not among the sources of build.py", name, m[1])
			}
		}
	}
}

func TestTextIsWhatTheCompilerMakes(t *testing.T) {
	testkit.Dep(t, "cuda/nvrtc")
	out := filepath.Join(t.TempDir(), "vision.ptx")
	if text, err := exec.Command(testkit.Dep(t, "venv/bin/python"), "-B", "build.py", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	made, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if string(made) != Text {
		t.Error("vision.ptx is not what build.py makes of these sources: make kernels")
	}
}

var entry = regexp.MustCompile(`(?s)\.visible \.entry (\w+)\(\n(.*?)\n\)(.*?)\{`)

// Who launches copies 8 bytes for each parameter and gives blocks of 256 threads, and
// the emulated driver has no warps. What is not rounded by itself could be fused.
func TestTextKeepsTheRules(t *testing.T) {
	kernels := entry.FindAllStringSubmatch(Text, -1)
	if len(kernels) == 0 {
		t.Fatal("no kernel in vision.ptx")
	}
	for _, k := range kernels {
		for _, parameter := range strings.Split(k[2], ",\n") {
			if !regexp.MustCompile(`^\t\.param \.u64 \w+$`).MatchString(parameter) {
				t.Errorf("%s has a parameter that is not of 8 bytes: %s", k[1], parameter)
			}
		}
		if !strings.Contains(k[3], ".maxntid 256, 1, 1") {
			t.Errorf("%s is not bound to 256 threads:%s", k[1], k[3])
		}
	}
	for rule, bad := range map[string]string{
		"arithmetic that may be fused":    `\b(add|sub|mul|mad)\.(ftz\.)?f32`,
		"numbers flushed to zero":         `\.ftz`,
		"approximations":                  `\.approx`,
		"double precision":                `\.f64`,
		"operations among a warp":         `\b(shfl|vote|match|redux|activemask|mma|wmma|bar\.warp)\b`,
		"memory that is local to threads": `\.local`,
	} {
		if found := regexp.MustCompile(bad).FindString(Text); found != "" {
			t.Errorf("%s: %s", rule, found)
		}
	}
	for what, line := range map[string]string{"version": ".version 7.8", "target": ".target sm_75"} {
		if !strings.Contains(Text, "\n"+line+"\n") {
			t.Errorf("its %s is not %q", what, line)
		}
	}
}

// A usage is what ptxas says of a kernel.
type usage struct {
	kernel                           string
	registers, stack, spills, shared int
}

// assemble has ptxas translate the text for an architecture.
func assemble(t *testing.T, arch int) (all []usage) {
	t.Helper()
	ptxas := filepath.Join(testkit.Dep(t, "cuda/ptxas"), "ptxas")
	out, err := exec.Command(ptxas, "-v", "-arch=sm_"+strconv.Itoa(arch), "-o", os.DevNull, "vision.ptx").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	numbers := regexp.MustCompile(`(?s)entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n.*?Used (\d+) registers(?:, (\d+) bytes smem)?`)
	for _, m := range numbers.FindAllStringSubmatch(string(out), -1) {
		n := func(i int) int { v, _ := strconv.Atoi(m[i]); return v }
		all = append(all, usage{m[1], n(5), n(2), n(3) + n(4), n(6)})
	}
	return all
}

// Registers and shared memory bound how many threads hide the latency of memory; a
// spill would add to what memory moves. DESIGN.md tells what follows.
func TestTextOnFiveArchitectures(t *testing.T) {
	all := map[int][]usage{}
	for _, a := range architectures() {
		all[a.arch] = assemble(t, a.arch)
	}
	t.Run("registers", func(t *testing.T) {
		for arch, kernels := range all {
			if len(kernels) != len(entry.FindAllString(Text, -1)) {
				t.Errorf("sm_%d: ptxas tells of %d kernels", arch, len(kernels))
			}
			for _, k := range kernels {
				if k.spills != 0 || k.stack != 0 || k.registers > 64 {
					t.Errorf("sm_%d: %s uses %d registers, %d bytes of stack, %d of spills", arch, k.kernel, k.registers, k.stack, k.spills)
				}
				t.Logf("sm_%d %-15s %3d registers, %5d bytes shared", arch, k.kernel, k.registers, k.shared)
			}
		}
	})
	t.Run("roofline", func(t *testing.T) {
		design, err := os.ReadFile("../../DESIGN.md")
		if err != nil {
			t.Fatal(err)
		}
		if want := table(all); !strings.Contains(string(design), want) {
			t.Errorf("DESIGN.md lacks this table:\n%s", want)
		}
	})
}
