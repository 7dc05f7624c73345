package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"sightline/internal/testkit"
	"sightline/sink/sinktest"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is Python's own HTTP server.
type receiver struct {
	t   *testing.T
	url string
	web *http.Client
}

// startReceiver starts one; files are of a certificate, its key, and an authority.
func startReceiver(t *testing.T, files ...string) *receiver {
	t.Helper()
	c := exec.Command(testkit.Dep(t, "venv/bin/python"), append([]string{"testdata/receiver.py"}, files...)...)
	c.Env = append(os.Environ(), "SECRET="+testSecret, "PYTHONDONTWRITEBYTECODE=1")
	return &receiver{t, "http://127.0.0.1:" + testkit.Peer(t, c), &http.Client{Timeout: 20 * time.Second}}
}

// set says how requests are answered from now on.
func (r *receiver) set(orders map[string]any) {
	r.t.Helper()
	body, err := json.Marshal(orders)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := r.web.Post(r.url+"/set", "application/json", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
}

// request is one as the receiver saw it.
type request struct {
	Path    string
	Headers map[string]string
	Port    int // of the connection's other end
}

// event is one that the receiver has taken.
type event struct{ ID, PartitionKey, Sequence string }

func (r *receiver) log() (taken []event, requests []request) {
	r.t.Helper()
	resp, err := r.web.Get(r.url + "/log")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		Taken    []event
		Requests []request
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		r.t.Fatal(err)
	}
	return out.Taken, out.Requests
}

func (r *receiver) arrivals() (out []sinktest.Arrival) {
	r.t.Helper()
	taken, _ := r.log()
	for _, e := range taken {
		n, err := strconv.ParseUint(e.Sequence, 10, 64)
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, sinktest.Arrival{Key: e.PartitionKey, Sequence: n, ID: e.ID})
	}
	return out
}

func (r *receiver) config() Config {
	cfg := Defaults()
	cfg.URL, cfg.Timeout, cfg.Secret = r.url+"/in", 5*time.Second, func() string { return testSecret }
	return cfg
}

func newSink(t *testing.T, cfg Config) *Sink {
	t.Helper()
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}
