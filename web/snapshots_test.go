package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/pipelines/snapshots"
	"sightline/sink/snapshot"
)

// withPictures gives a fake a store with one picture, and returns its name and
// the folder around the store's.
func withPictures(t *testing.T, f *fake) (name, around string) {
	t.Helper()
	around = t.TempDir()
	c := snapshot.Defaults()
	c.Path = filepath.Join(around, "snapshots")
	var err error
	if f.store, err = snapshot.New(c, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	name = snapshot.Name(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "gate", "5f1d7e2a-6f0c-5b1e-9d9c-1f2e3d4c5b6a")
	if err := f.store.Put(name, []byte("\xff\xd8 a picture")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(around, "secret.jpg"), []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name, around
}

func get(path string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Host, r.URL.Path, r.RequestURI = "localhost", path, path
	if change != nil {
		change(r)
	}
	return r
}

func TestSnapshotIsServed(t *testing.T) {
	p := newFake(t, onLoopback)
	name, _ := withPictures(t, p)
	w := request(t, p, get("/api/v1/snapshots/"+name, nil))
	if w.Code != 200 || w.Body.String() != "\xff\xd8 a picture" || w.Header().Get("Content-Type") != "image/jpeg" {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
	if cache := w.Header().Get("Cache-Control"); !strings.HasPrefix(cache, "private,") {
		t.Errorf("others may keep it: %q", cache)
	}
}

// TestSnapshotsAreBehindTheDoor asks without and with the page's credentials.
func TestSnapshotsAreBehindTheDoor(t *testing.T) {
	p := newFake(t, "web: { listen: \"127.0.0.1:0\", auth: { username: viewer, password: hunter2 } }\n")
	p.snapshots = &snapshots.Status{}
	name, _ := withPictures(t, p)
	for _, path := range []string{"/api/v1/snapshots", "/api/v1/snapshots/" + name} {
		if w := request(t, p, get(path, nil)); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "picture") {
			t.Errorf("%s without credentials: %d %q", path, w.Code, w.Body)
		}
		if w := request(t, p, get(path, func(r *http.Request) { r.SetBasicAuth("viewer", "hunter2") })); w.Code != 200 {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
}

// TestSnapshotsLeadNowhereElse tries to get at the file beside the folder, over the
// wire too, where no client tidies the path.
func TestSnapshotsLeadNowhereElse(t *testing.T) {
	p := newFake(t, onLoopback)
	name, around := withPictures(t, p)
	if err := os.Symlink(filepath.Join(around, "secret.jpg"), filepath.Join(around, "snapshots", "2026-01-02", "gate", "a.jpg")); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := request(t, p, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	}))
	defer srv.Close()
	for _, tail := range []string{
		"../secret.jpg", "2026-01-02/../../secret.jpg", "2026-01-02/gate/../../../secret.jpg", "..%2Fsecret.jpg", "2026-01-02/gate/..%2F..%2F..%2Fsecret.jpg",
		"2026-01-02/..%2f../secret.jpg", "..%2f/..%2f/secret.jpg", "%2e%2e/%2e%2e/secret.jpg", "2026-01-02/%2e%2e%2f%2e%2e/secret.jpg", "2026-01-02/gate/a.jpg",
		"2026-01-02/gate/..%5c..%5c..%5csecret.jpg", "/etc/passwd", "%2fetc/x/passwd", "2026-01-02/gate/", "2026-01-02/gate", "2026-01-02", name + "%00", name + "/", "./" + name + "x",
	} {
		req, err := http.NewRequest("GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque, req.Host = "//"+req.URL.Host+"/api/v1/snapshots/"+tail, "localhost"
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Errorf("%s: %v", tail, err)
			continue
		}
		body := make([]byte, 4096)
		n, _ := res.Body.Read(body)
		res.Body.Close()
		if res.StatusCode == 200 || strings.Contains(string(body[:n]), "hunter2") {
			t.Errorf("%s: %s %q", tail, res.Status, body[:n])
		}
	}
}

func TestSnapshotStatusAndMetrics(t *testing.T) {
	p := newFake(t, onLoopback)
	if w := request(t, p, get("/api/v1/snapshots", nil)); w.Code != 404 {
		t.Errorf("without snapshots: %d", w.Code)
	}
	if w := request(t, p, get("/metrics", nil)); strings.Contains(w.Body.String(), "sightline_snapshot") {
		t.Error("metrics of what is not kept")
	}
	p.snapshots = &snapshots.Status{
		Stats: snapshot.Stats{Bytes: 4096, Expired: 2, Outgrown: 3, Unsent: 1}, Max: 1 << 20, Error: "disk full",
		Streams: map[string]snapshots.Counts{"gate": {Kept: 7, GivenUp: map[string]uint64{"busy": 4}}},
		Bucket:  &snapshots.BucketStatus{Waiting: 5, Copied: 6, Failures: 8},
	}
	var got struct {
		Bytes   int64
		S3      struct{ Waiting int }
		Streams map[string]struct {
			GivenUp map[string]int `json:"given_up"`
		}
	}
	w := request(t, p, get("/api/v1/snapshots", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Bytes != 4096 || got.S3.Waiting != 5 || got.Streams["gate"].GivenUp["busy"] != 4 {
		t.Errorf("%s: %v", w.Body, err)
	}
	metrics := request(t, p, get("/metrics", nil)).Body.String()
	for _, line := range []string{
		`sightline_snapshots_total{site="hq",stream="gate"} 7`, `sightline_snapshots_given_up_total{reason="busy",site="hq",stream="gate"} 4`,
		`sightline_snapshots_removed_total{reason="age",site="hq"} 2`, `sightline_snapshots_removed_total{reason="size",site="hq"} 3`,
		`sightline_snapshots_unsent_total{site="hq"} 1`, `sightline_snapshot_bytes{site="hq"} 4096`, `sightline_snapshot_up{site="hq"} 0`,
		`sightline_snapshots_copied_total{site="hq"} 6`, `sightline_snapshot_copy_failures_total{site="hq"} 8`,
		`sightline_snapshots_waiting{site="hq"} 5`, `sightline_snapshot_copy_up{site="hq"} 1`,
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
}
