//go:build cuda

package emu_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sightline/kernels/emu"
	"sightline/kernels/emu/translate"
	"sightline/kernels/ptx"
)

// How many runs of each workload there are, and of those that watch every access:
// one for each size of a batch, and for small ones.
const seeds, watched = 7, 3

// TestCUDAEqual runs every kernel as the PTX that ships and as C++ from the same
// source: the bytes are equal, in whatever order the threads of a block run.
func TestCUDAEqual(t *testing.T) {
	for _, w := range workloads() {
		t.Run(w.name, func(t *testing.T) {
			defer emu.Order(0)
			for seed := range uint64(seeds) {
				emu.Order(0)
				want := output(t, w, "cxx", seed)
				emu.Order(int(seed % 3))
				if got := output(t, w, "ptx", seed); !bytes.Equal(got, want) {
					t.Fatalf("seed %d: byte %d of %d differs between PTX and C++", seed, differs(got, want), len(want))
				}
			}
		})
	}
}

func output(t *testing.T, w workload, name string, seed uint64) []byte {
	t.Helper()
	r := newRig(t, name)
	defer r.close()
	return w.run(r, seed)
}

func differs(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// TestCUDARaces watches every access of the kernels that ship: no two of them race, and
// none leaves its memory.
func TestCUDARaces(t *testing.T) {
	for _, w := range workloads() {
		t.Run(w.name, func(t *testing.T) {
			for seed := range uint64(watched) {
				want, got := output(t, w, "ptx", seed), output(t, w, "race", seed)
				if report := emu.Report(); report != "" || !bytes.Equal(got, want) {
					t.Fatalf("seed %d, equal output %v:\n%s", seed, bytes.Equal(got, want), report)
				}
			}
		})
	}
}

// barriers returns where the barriers of the PTX are, and of which kernel.
func barriers() map[int]string {
	all, kernel := map[int]string{}, ""
	entry := regexp.MustCompile(`\.entry (\w+)\(`)
	for i, line := range strings.Split(ptx.Text, "\n") {
		if m := entry.FindStringSubmatch(line); m != nil {
			kernel = m[1]
		}
		if strings.Contains(line, "bar.sync") {
			all[i+1] = kernel
		}
	}
	return all
}

// TestCUDABarriers takes each barrier away in turn: each time two threads race, and are
// named.
func TestCUDABarriers(t *testing.T) {
	all := barriers()
	if len(all) == 0 {
		t.Fatal("the PTX has no barrier")
	}
	defer emu.Skip(0)
	for line, kernel := range all {
		emu.Skip(line)
		report := ""
		for _, w := range workloads() {
			for seed := uint64(0); seed < watched && report == "" && strings.Contains(w.kernels, kernel); seed++ {
				output(t, w, "race", seed)
				report = emu.Report()
			}
		}
		named := regexp.MustCompile(`race: kernel ` + kernel + `, block \d+,\d+,\d+, interval \d+, threads \d+ and \d+`)
		if !named.MatchString(report) {
			t.Errorf("%s without the barrier in line %d of vision.ptx: no race is told of: %s", kernel, line, report)
		}
	}
}

// mutant builds a library of one kernel in which one thing is replaced, and lets it
// pass for the kernel that ships.
func mutant(t *testing.T, kernel, old, new string) string {
	t.Helper()
	whole, err := translate.Translate(ptx.Text)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(ptx.Text, ".visible ")
	body := regexp.MustCompile(`(?s)\.visible \.entry ` + kernel + `\(.*?\n}\n`).FindString(ptx.Text)
	if !strings.Contains(body, old) {
		t.Fatalf("%s has no %s", kernel, old)
	}
	code, err := translate.Translate(head + strings.Replace(body, old, new, 1))
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile(`emu_source = \d+`)
	dir := t.TempDir()
	from, to := filepath.Join(dir, "mutant.cc"), filepath.Join(dir, "mutant.so")
	if err := os.WriteFile(from, []byte(source.ReplaceAllString(code, source.FindString(whole))), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("g++", "-std=c++17", "-fPIC", "-w", "-O1", "-ffp-contract=off", "-shared", "-Idriver", "-o", to, from).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// TestCUDAMutant gives a kernel a mistake, taking the width for the height: it meets
// the guard page.
func TestCUDAMutant(t *testing.T) {
	emu.Report()
	r := newRig(t, mutant(t, "va_thumbnail", "[va_thumbnail_param_7]", "[va_thumbnail_param_6]"))
	defer r.close()
	r.thumbnail(r.room(64*4), 64, 4)
	if err := r.finish(); err == nil {
		t.Error("nothing is wrong with it")
	}
	if report := emu.Report(); !regexp.MustCompile(`kernel va_thumbnail, block 0,0,0, thread 0,0,0: illegal address 0x`).MatchString(report) {
		t.Errorf("report %q", report)
	}
}
