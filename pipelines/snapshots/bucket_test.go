package snapshots

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sightline/detect"
	"sightline/internal/testkit"
	"sightline/internal/testkit/s3"
	"sightline/sink/snapshot"
)

// withBucket is an album with a bucket.
func withBucket(t *testing.T, dir, endpoint string) *Album {
	t.Helper()
	a, err := New(Config{
		Config: snapshot.Config{Path: dir, Quality: 85, Max: 1 << 30, MaxAge: time.Hour, S3: &snapshot.S3{
			Endpoint: endpoint, Region: "us-east-1", Bucket: s3.Bucket, Prefix: "hq", AccessKey: s3.Key, SecretKey: func() string { return s3.Secret },
		}},
		Tell: func(detect.ReasonInfo) {},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestPicturesReachTheBucket begins without a server, stops with pictures on disk,
// begins again, and then the server comes, goes and comes back.
func TestPicturesReachTheBucket(t *testing.T) {
	server, dir := s3.New(t), t.TempDir()
	n := 0
	keep := func(a *Album) {
		t.Helper()
		n++
		ev := occurrence(detect.LineCrossed, n%60)
		ev.ID = fmt.Sprintf("%s%d", ev.ID[:24], n+1e6)
		k := &keeping{event: &ev, picture: &snapshot.Picture{JPEG: fmt.Appendf(nil, "picture %d", n)}, name: snapshot.Name(ev.Time, "gate", ev.ID)}
		if a.keep([]*keeping{k}, true); k.failed != "" {
			t.Fatal(k.failed)
		}
		if a.attach(k); ev.DataRef != "s3://"+s3.Bucket+"/hq/"+k.name {
			t.Errorf("the event names %q", ev.DataRef)
		}
	}
	begin := func() (a *Album, end func()) {
		a = withBucket(t, dir, server.Endpoint)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { a.Run(ctx) })
		return a, func() { a.Drain(ctx); cancel(); wg.Wait(); a.Close() }
	}
	waits := func(a *Album) int {
		names, err := a.store.Waiting()
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	first, end := begin()
	for range 9 {
		keep(first)
	}
	testkit.Eventually(t, 20*time.Second, "a failure", first.far.is)
	end() // at once: there is nobody to wait for
	if first.copied.Load() != 0 || waits(first) != 9 {
		t.Fatalf("%d copied, %d wait", first.copied.Load(), waits(first))
	}
	second, end := begin()
	server.Start()
	testkit.Eventually(t, 60*time.Second, "all copied", func() bool { return waits(second) == 0 })
	server.Stop()
	keep(second)
	testkit.Eventually(t, 20*time.Second, "a failure", second.far.is)
	server.Start()
	testkit.Eventually(t, 60*time.Second, "the last copied", func() bool { return waits(second) == 0 && !second.far.is() })
	end()
	if c, f := second.copied.Load(), second.failures.Load(); c != 10 || f == 0 {
		t.Errorf("%d copied after %d failures", c, f)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "2026-*", "gate", "*")); len(files) != 10 {
		t.Errorf("%d pictures are left in the folder, want 10", len(files))
	}
}

// TestOneBadPictureHoldsUpNoOther has a folder in which some files cannot be read.
func TestOneBadPictureHoldsUpNoOther(t *testing.T) {
	server, dir := s3.New(t), t.TempDir()
	server.Start()
	a := withBucket(t, dir, server.Endpoint)
	defer a.Close()
	for n := range 20 {
		name := snapshot.Name(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "gate", fmt.Sprintf("%04x", n))
		if err := a.store.Put(name, []byte("picture")); err != nil {
			t.Fatal(err)
		}
		if path := filepath.Join(dir, name); n < copiesAtOnce {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}
	}
	from := 0
	testkit.Eventually(t, 60*time.Second, "all others copied", func() bool {
		waiting, err := a.store.Waiting()
		if err != nil {
			t.Fatal(err)
		}
		from, _ = a.copyList(t.Context(), waiting, from)
		return len(waiting) == copiesAtOnce
	})
}
