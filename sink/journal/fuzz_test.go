package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Two files of fixed names hold any bytes: what is read from them must be there as
// it was written, and the journal must go on behind it. What is kept in memory is
// bounded by the files' sizes.
func FuzzOpen(f *testing.F) {
	ids := []fileID{{1, 1, 11}, {2, 4, 22}}
	valid := func(id fileID, key []byte, entries ...string) []byte {
		k, err := keysOf(key, id)
		if err != nil {
			f.Fatal(err)
		}
		b := appendHeader(nil, id.seed(), k.proof)
		for i, e := range entries {
			b = appendFrame(b, id.seed(), k.seal, id.first+uint64(i), []byte(e))
		}
		return b
	}
	one, two := valid(ids[0], nil, "a", "bb", "ccc"), valid(ids[1], nil, "dddd", "eeeee")
	f.Add(one, two)
	f.Add(one, []byte{})
	f.Add(one[:len(one)-2], two[:20])
	f.Add(append(bytes.Clone(one), "junk behind the last"...), append(bytes.Clone(two), make([]byte, 100)...))
	f.Add(valid(ids[0], testKey(), "a", "bb", "ccc"), two)
	f.Add(append(bytes.Clone(one[:40]), one[60:]...), one)
	far := ids[0] // a whole head of an index far away
	f.Add(appendFrame(bytes.Clone(one), far.seed(), nil, 1<<40, []byte("far")), two)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, a, b []byte) {
		cfg := Config{Path: filepath.Join(dir, filepath.Base(t.Name()))}
		check(t, "make the folder", os.MkdirAll(cfg.Path, 0o700))
		defer os.RemoveAll(cfg.Path)
		for i, content := range [][]byte{a, b} {
			check(t, "write", os.WriteFile(filepath.Join(cfg.Path, ids[i].name()), content, 0o600))
		}
		j, err := Open(cfg, quiet())
		if err != nil {
			return // another version, or sealed
		}
		defer j.Close()
		for _, s := range j.segments {
			if len(s.offsets) > (len(a)+len(b))/headSize {
				t.Fatalf("%d entries from %d bytes", len(s.offsets), len(a)+len(b))
			}
		}
		got, _ := contents(t, j, 1)
		for index, text := range got {
			if !bytes.Contains(a, []byte(text)) && !bytes.Contains(b, []byte(text)) {
				t.Errorf("entry %d is %q, which is in no file", index, text)
			}
		}
		first, err := j.Append([]byte("next"))
		if check(t, "append", err); first != j.Stats().Last || first < ids[1].first {
			t.Errorf("appended at %d", first)
		}
		check(t, "sync", j.Sync())
		if b, err := j.Read(first); string(b) != "next" {
			t.Errorf("read %q, %v", b, err)
		}
	})
}
