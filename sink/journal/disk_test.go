package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sightline/internal/testkit"
)

// smallDisk mounts a file system in memory.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options)
	testkit.Require(t, "mount", err == nil, "run the tests as root, with leave to mount")
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// A disk that is really full: nothing that was synced is lost, over reopening too,
// and Release makes room to go on.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "size=256k")
	cfg := Config{Path: filepath.Join(dir, "spool"), Segment: 1 << 20} // all in one file
	j := mustOpen(t, cfg)
	synced := uint64(0)
	for {
		_, err := j.Append(text(synced+1), text(synced+2))
		if err == nil {
			err = j.Sync()
		}
		if err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("on a full disk: %v", err)
			}
			break
		}
		synced += 2
	}
	got, lost := contents(t, j, 1)
	delete(got, synced+1) // may still be in memory
	delete(got, synced+2)
	if !cmp.Equal(got, want(1, synced)) || lost != nil || synced < 1000 {
		t.Fatalf("%d entries were synced, %d are there, lost %v", synced, len(got), lost)
	}
	check(t, "recover, which needs no space", j.Recover())
	if err := fillUp(t, j); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is still full: %v", err)
	}
	if err := j.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close: %v", err)
	}
	j = mustOpen(t, cfg)
	if got, lost = contents(t, j, 1); lost != nil || uint64(len(got)) < synced {
		t.Fatalf("reopened: %d entries, lost %v", len(got), lost)
	}
	last := j.Stats().Last
	if err := fillUp(t, j); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is still full: %v", err)
	}
	check(t, "release", j.Release(last+1))
	check(t, "recover", j.Recover())
	fill(t, j, 50)
	if st := j.Stats(); st.First <= last || st.Last < last+50 || len(st.Damage) > 0 {
		t.Errorf("after all was released up to %d: %+v", last, st)
	}
}

// fillUp appends until the disk is full.
func fillUp(t *testing.T, j *Journal) error {
	t.Helper()
	for range 1000 {
		if _, err := j.Append(make([]byte, 1000)); err != nil {
			return err
		}
		if err := j.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// On a disk that has become read-only, what is there can be read and nothing else.
func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, "size=1m")
	cfg := Config{Path: filepath.Join(dir, "spool"), Segment: 1000}
	j := mustOpen(t, cfg)
	fill(t, j, 50)
	check(t, "close", j.Close())
	remount := func(flags uintptr) {
		check(t, "remount", syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|flags, "size=1m"))
	}
	remount(syscall.MS_RDONLY)
	j = mustOpen(t, cfg)
	if got, lost := contents(t, j, 1); !cmp.Equal(got, want(1, 50)) || lost != nil {
		t.Errorf("read-only: %d entries, lost %v", len(got), lost)
	}
	for name, err := range map[string]error{"append": second(j.Append([]byte("x"))), "sync": j.Sync(), "recover": j.Recover(), "release": j.Release(20)} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", name, err)
		}
	}
	check(t, "close", ignoreErr(j.Close(), syscall.EROFS))
	remount(0)
	j = mustOpen(t, cfg)
	fill(t, j, 10)
	if got, lost := contents(t, j, 1); !cmp.Equal(got, want(1, 60)) || lost != nil {
		t.Errorf("writable again: %d entries, lost %v", len(got), lost)
	}
}

func second(_ uint64, err error) error { return err }

func ignoreErr(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}

// A file that somebody has removed is no reason to keep the others.
func TestReleaseOfRemovedFile(t *testing.T) {
	cfg := Config{Path: t.TempDir(), Segment: 1000}
	j := mustOpen(t, cfg)
	fill(t, j, 100)
	check(t, "remove", os.Remove(filepath.Join(cfg.Path, j.segments[1].id.name())))
	check(t, "release", j.Release(101))
	if st := j.Stats(); st.Files != 1 || st.Last != 100 {
		t.Errorf("all released: %+v", st)
	}
	fill(t, j, 1)
}

// Where the folder has been removed, nothing is said to be on disk, and nothing is
// made in its place.
func TestRemovedFolder(t *testing.T) {
	cfg := Config{Path: filepath.Join(t.TempDir(), "spool")}
	j := mustOpen(t, cfg)
	fill(t, j, 10)
	check(t, "remove", os.RemoveAll(cfg.Path))
	check(t, "append", second(j.Append([]byte("x"))))
	for range 2 {
		if err := j.Sync(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("sync: %v", err)
		}
		if err := j.Recover(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("recover: %v", err)
		}
	}
	if err := j.Close(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("close: %v", err)
	}
	if _, err := os.Stat(cfg.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
}

// A folder that nobody may enter is an error that says so, and no crash.
func TestFolderIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	check(t, "write", os.WriteFile(path, nil, 0o600))
	_, err := Open(Config{Path: path}, quiet())
	if perr := (*fs.PathError)(nil); !errors.As(err, &perr) || !bytes.Contains([]byte(err.Error()), []byte(path)) {
		t.Errorf("open: %v", err)
	}
}
