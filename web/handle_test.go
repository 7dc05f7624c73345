package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"
)

// taken is what the events handler wrote.
type taken struct {
	text string
	ids  []string
}

// recorder is a response that may be read while it is written.
type recorder struct {
	mu sync.Mutex
	*httptest.ResponseRecorder
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ResponseRecorder.Write(b)
}

func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) FlushError() error                { return nil }

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Body.String()
}

var dataID = regexp.MustCompile(`(?m)^data: .*?"id":"([^"]*)"`)

// handle runs the events handler until it has written n events.
func handle(t *testing.T, p *fake, query string, n int) (out taken) {
	t.Helper()
	s, err := Listen(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://localhost/api/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.http.Handler.ServeHTTP(w, r)
	}()
	until(t, 5*time.Second, "the events", func() bool { return len(p.events) == 0 && len(dataID.FindAllString(w.text(), -1)) >= n })
	cancel()
	<-done
	out.text = w.text()
	for _, m := range dataID.FindAllStringSubmatch(out.text, -1) {
		out.ids = append(out.ids, m[1])
	}
	return out
}
