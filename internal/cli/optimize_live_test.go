package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/detect/optimize"
	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/file"
	"sightline/internal/testkit"
)

// aCamera plays a video over and over, at an address of its own.
func aCamera(t *testing.T) string {
	t.Helper()
	c := file.Defaults()
	c.Path, c.Loop = testkit.Dep(t, "media/vtest.mp4"), true
	s, err := file.New(c, "main", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server, err := camera.Serve(context.Background(), camera.Config{Listen: "127.0.0.1:0", Streams: map[string]ingest.Source{"main": s}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server.URL("main")
}

// A network is made of pictures that a camera delivers now. Those of a run that was
// stopped are taken up again, and a network for one scene is bound to the stream.
func TestOptimizeFromStream(t *testing.T) {
	needParts(t)
	dir := t.TempDir()
	work, out := filepath.Join(dir, "work"), filepath.Join(dir, "out.onnx")
	site := writeFile(t, fmt.Sprintf("version: 1\nname: site\nstreams: { gate: { url: '%s', transport: tcp } }\n", aCamera(t)))
	o := optimizeFlags{configs: []string{site}, stream: "gate", pictures: 10, length: 5 * time.Second}
	o.Work = work
	sh := &shell{out: os.Stdout, err: os.Stderr, env: os.LookupEnv, log: slog.New(slog.DiscardHandler)}
	if err := o.bind(sh); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(work, "pictures-"+o.Bind[:16])

	ctx, cancel := context.WithCancel(t.Context())
	go func() { // as Ctrl-C does, after three pictures
		defer cancel()
		for ctx.Err() == nil {
			if info, err := os.Stat(path); err == nil && info.Size() > 3*768*576*3/2 {
				return
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-t.Context().Done():
			}
		}
	}()
	if _, _, err := o.frames(ctx, sh); err == nil || !strings.Contains(err.Error(), "the next run goes on with them") {
		t.Fatalf("stopped: %v", err)
	}
	left, err := optimize.ReadAlbum(path)
	if err != nil || len(left) < 3 || len(left) > 9 {
		t.Fatalf("%d pictures: %v", len(left), err)
	}
	optimize.Release(left)

	var r optimize.Report
	answered(t, &r, "optimize", "coco-nano", "-o", out, "--config", site, "--stream", "gate", "--pictures", "10", "--for", "3s",
		"--work", work, "--classes", "person", "--target", "onnxruntime", "--json")
	if !r.Passed || r.Pictures != 10 {
		t.Errorf("%+v", r)
	}
	all, err := optimize.ReadAlbum(path)
	if err != nil || len(all) != 10 {
		t.Errorf("%d pictures: %v", len(all), err)
	}
	optimize.Release(all)
}
