// Package testkit is what tests of several packages share: where the
// repository is, and skips that cannot pass as green.
package testkit

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Root returns the repository's top folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
}

// Require skips the test when ok is false, saying what is missing and how to get
// it; where SIGHTLINE_REQUIRE names the part (or says "all") it fails instead.
func Require(t testing.TB, part string, ok bool, how string) {
	t.Helper()
	if ok {
		return
	}
	want := strings.Split(os.Getenv("SIGHTLINE_REQUIRE"), ",")
	if slices.Contains(want, part) || slices.Contains(want, "all") {
		t.Fatalf("%s is required and missing: %s", part, how)
	}
	t.Skipf("skipped: needs %s: %s", part, how)
}

// Dep returns the path of a file or folder below .deps, which `make setup`
// fills, and requires it.
func Dep(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), ".deps", filepath.FromSlash(name))
	_, err := os.Stat(path)
	Require(t, strings.SplitN(name, "/", 2)[0], err == nil, "run `make setup` (no "+name+" in .deps)")
	return path
}
