package optimization

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/detect/onnx"
)

// folderOf makes a folder of a network in a cache, as the nth, that was used so long ago.
func folderOf(t *testing.T, root string, n int, made bool, ago time.Duration) string {
	t.Helper()
	m := &Maker{folder: filepath.Join(root, fmt.Sprintf("%032x", n))}
	if err := m.hold(); err != nil {
		t.Fatal(err)
	}
	if made {
		if err := keep(m.folder, resultFile, Made{Refused: "too different"}); err != nil {
			t.Fatal(err)
		}
	}
	m.letGo()
	at := time.Now().Add(-ago)
	if err := os.Chtimes(filepath.Join(m.folder, usedFile), at, at); err != nil {
		t.Fatal(err)
	}
	return m.folder
}

// What nothing used for long goes, and what is too much; what is in use, or none of
// ours, stays.
func TestOldNetworksAreRemoved(t *testing.T) {
	root := t.TempDir()
	var stay, leave []string
	for n := range mostFolders - mostUnfinished - 2 {
		stay = append(stay, folderOf(t, root, n, true, time.Duration(n)*time.Hour))
	}
	for n := range mostUnfinished {
		stay = append(stay, folderOf(t, root, 100+n, false, time.Minute))
	}
	leave = append(leave, folderOf(t, root, 200, false, 2*time.Hour), folderOf(t, root, 201, true, mostIdle+time.Hour))
	used := &Maker{folder: folderOf(t, root, 300, true, 2*mostIdle)}
	if err := used.hold(); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * mostIdle) // it has been in use since
	if err := os.Chtimes(used.held.Name(), long, long); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(root, "mine")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	stay = append(stay, used.folder, other)
	sweep(root, time.Now(), slog.New(slog.DiscardHandler))
	left(t, root, stay)

	used.letGo() // it is the newest now
	for n := range 4 {
		folderOf(t, root, 400+n, true, 0)
	}
	sweep(root, time.Now(), slog.New(slog.DiscardHandler))
	if n := len(cached(root)); n != mostFolders {
		t.Errorf("%d are kept", n)
	}
	if _, err := os.Stat(stay[mostFolders-mostUnfinished-3]); err == nil {
		t.Error("the one used longest ago stayed")
	}
	for _, path := range leave {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s stayed", path)
		}
	}
}

func left(t *testing.T, root string, want []string) {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		have = append(have, filepath.Join(root, e.Name()))
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("left are %q, want %q", have, want)
	}
}

// A network that was proved on one processor, or engine, is not taken on another.
func TestKeyTellsWhereANetworkIsProved(t *testing.T) {
	r := recipe{Version: recipeVersion, Model: "m", Engine: "onnxruntime 1.23", CPU: strings.Join(onnx.Processor(), " "), Streams: []string{"gate"}}
	if r.CPU == "" {
		t.Error("the processor has no name")
	}
	key, other := r.key(), r
	other.Streams = []string{"door"}
	if other.key() != key {
		t.Error("another name for a stream is another network")
	}
	for _, change := range []func(*recipe){
		func(r *recipe) { r.CPU = "amd64 avx2" },
		func(r *recipe) { r.Engine = "onnxruntime 1.24" },
	} {
		other := r
		if change(&other); other.key() == key {
			t.Errorf("%+v has the same key", other)
		}
	}
}

// Of a stream's networks the one that was used last is told of, and nothing of another.
func TestCacheTellsOfTheNewest(t *testing.T) {
	root := t.TempDir()
	sp := parse(t, fmt.Sprintf("version: 1\nname: p\ndetect: { optimize: { cache: '%s' } }\nstreams: { gate: { url: rtsp://10.0.0.3/main } }\n", root))
	told := func(want string, folder string) {
		t.Helper()
		have := CachedFor(sp)
		if len(have) != 1 || have[0].State != want || have[0].Folder != folder || (have[0].Made != nil) != (want == Ready) || (have[0].Reason != "") != (want == Refused) {
			t.Errorf("%+v, want %s in %s", have, want, folder)
		}
	}
	told(Collecting, "")
	begun := func(n int, made bool, ago time.Duration, mode string) string {
		folder := folderOf(t, root, n, made, ago)
		if err := keep(folder, recipeFile, recipe{Mode: mode, Binds: []string{sp.Streams[0].Bind()}}); err != nil {
			t.Fatal(err)
		}
		return folder
	}
	told(Refused, begun(1, true, 3*time.Hour, "general"))
	unfinished := begun(2, false, 2*time.Hour, "general")
	told(Collecting, unfinished)
	begun(3, true, 0, "scene")
	told(Collecting, unfinished)
	ready := begun(4, false, time.Hour, "general")
	const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of nothing
	if err := errors.Join(os.WriteFile(filepath.Join(ready, "m.onnx"), nil, 0o600), keep(ready, resultFile, Made{File: "m.onnx", Digest: none})); err != nil {
		t.Fatal(err)
	}
	told(Ready, ready)
}
