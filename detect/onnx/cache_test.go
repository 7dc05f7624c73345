package onnx

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestOpenVINOCache: what is compiled into a cache is found there by sessions that
// name none, finds the same boxes, and is not needed: a damaged one is compiled anew.
func TestOpenVINOCache(t *testing.T) {
	pictures := frames(t)[:1]
	cfg := config(t, "coco-nano", openVINO)
	plain := open(t, cfg)
	want := look(t, plain, newWriter(t, plain, WriterConfig{Threshold: 0.1}), pictures...)
	shape := plain.Ideal(768, 576)
	dir := t.TempDir()
	t.Setenv("SIGHTLINE_CACHE", dir)
	check := func(what string, s *Session, before bool) {
		t.Helper()
		if cached, ok := s.Cached(shape); !ok || cached != before {
			t.Errorf("%s: cached %t before, %t", what, cached, ok)
		}
		if err := s.Prepare(shape); err != nil {
			t.Fatal(err)
		}
		if got := look(t, s, newWriter(t, s, WriterConfig{Threshold: 0.1}), pictures...); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: other boxes", what)
		}
	}
	session := func(cache string) *Session {
		c := cfg
		c.Cache = cache
		s, err := New(c, quiet())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	check("a cache that nobody asked for", session(""), false)
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("kept %v unasked, %v", files, err)
	}
	check("an empty cache", session(dir), false)
	all, err := CachedEngines(dir)
	if err != nil || len(all) != 1 || all[0].Engine != openVINO || all[0].Bytes < 1<<20 || all[0].Size != shape.String() {
		t.Fatalf("%+v, %v", all, err)
	}
	check("a cache", session(""), true)
	blobs, err := filepath.Glob(filepath.Join(all[0].Folder, "*.blob"))
	if err != nil || len(blobs) == 0 {
		t.Fatalf("no blobs in %s: %v", all[0].Folder, err)
	}
	for _, blob := range blobs {
		if err := os.Truncate(blob, 100); err != nil {
			t.Fatal(err)
		}
	}
	check("a damaged cache", session(""), true)
}
