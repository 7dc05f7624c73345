package optimize

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// Two at once in one folder are told so; folders of others do not matter, and a folder
// that was let go is free again.
func TestWorkdirIsLocked(t *testing.T) {
	root := t.TempDir()
	w := newWorkdir(root, "a")
	unlock, err := w.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lock(); err == nil || !strings.Contains(err.Error(), string(w)) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second one: %v", err)
	}
	other, err := newWorkdir(root, "b").Lock()
	if err != nil {
		t.Fatal(err)
	}
	other()
	unlock()
	again, err := w.Lock()
	if err != nil {
		t.Fatal(err)
	}
	again()
	if _, err := newWorkdir(filepath.Join(root, "none"), "a").Lock(); err != nil {
		t.Errorf("a root that is not there yet: %v", err)
	}
}

// What was not used for longest goes when there is too much of it, but nothing that is
// worked in, nothing that is no such folder, and nothing while there is room.
func TestWorkdirMakesRoom(t *testing.T) {
	root := t.TempDir()
	var all []workdir
	for i := range 5 {
		w := newWorkdir(root, fmt.Sprint(i))
		if err := w.Save("network-1", make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		used := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(string(w), used, used); err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	strange := filepath.Join(root, "pictures")
	if err := os.Mkdir(strange, 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := all[0].Lock() // the oldest, and worked in
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	left := func() (names []int) {
		for i, w := range all {
			if w.Load("network-1") != nil {
				names = append(names, i)
			}
		}
		return names
	}
	if all[4].makeRoom(6000); len(left()) != 5 {
		t.Errorf("there was room, and %v are left", left())
	}
	if all[3].makeRoom(3500); fmt.Sprint(left()) != "[0 3 4]" || !isThere(strange) {
		t.Errorf("%v are left", left())
	}
}
