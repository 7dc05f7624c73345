package optimize

import (
	"os"
	"path/filepath"
	"testing"
)

// What was kept is there for the same key alone, and only whole.
func TestWorkdir(t *testing.T) {
	root := t.TempDir()
	w := newWorkdir(root, "model", "settings")
	if w.Load("a") != nil {
		t.Error("something is there before anything was kept")
	}
	for _, text := range []string{"first", "", "second"} {
		if err := w.Save("a", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := w.Load("a"); got == nil || string(got) != text {
			t.Errorf("%q was kept, %q is there", text, got)
		}
	}
	if newWorkdir(root, "models", "ettings").Load("a") != nil {
		t.Error("another key finds it too")
	}
	entries, err := os.ReadDir(string(w))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	path := filepath.Join(string(w), "a")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"cut": whole[:len(whole)-1], "short": whole[:5], "changed": append(whole[:len(whole)-1:len(whole)-1], 'x'), "empty": nil} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := w.Load("a"); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, name := range []string{"network-1", "network-2", "group-1"} {
		if err := w.Save(name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if w.Forget("network-"); w.Load("network-1") != nil || w.Load("network-2") != nil || w.Load("group-1") == nil {
		t.Error("too much or too little was forgotten")
	}
	none := newWorkdir("")
	none.Forget("a")
	if err := none.Save("a", []byte("x")); err != nil || none.Load("a") != nil {
		t.Errorf("without a folder: %v", err)
	}
	if err := newWorkdir(path, "below a file").Save("a", nil); err == nil {
		t.Error("below a file something was kept")
	}
}
