//go:build cuda

package emu_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"sightline/kernels/emu"
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
