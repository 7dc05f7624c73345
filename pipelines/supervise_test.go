package pipelines

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightline/ingest"
)

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		n          int
		offlineFor time.Duration
		jitter     float64
		want       time.Duration
	}{
		{1, 0, 1, 100 * time.Millisecond},
		{1, 0, 0, 50 * time.Millisecond},
		{3, 0, 1, 400 * time.Millisecond},
		{5, time.Second, 1, time.Second},
		{1000, 9 * time.Minute, 1, time.Second},
		{1000, 11 * time.Minute, 1, 30 * time.Second},
		{1000, 11 * time.Minute, 0, 15 * time.Second},
	} {
		if got := backoff(c.n, c.offlineFor, c.jitter); got != c.want {
			t.Errorf("backoff(%d, %v, %v) = %v, want %v", c.n, c.offlineFor, c.jitter, got, c.want)
		}
	}
}

// TestEachReasonIsToldOnce however the addresses of a stream take turns.
func TestEachReasonIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		away := runFunc(func(context.Context, func(ingest.Packet) error) error {
			tries++
			reason := []ingest.Reason{ingest.ReasonRefused, ingest.ReasonNotFound}[tries%2]
			return &ingest.Error{Reason: reason, Err: errors.New("no pictures here")}
		})
		s, fake := newTestStream(t, true, away, &fakeDecoder{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.run(ctx); err != nil {
			t.Error(err)
		}
		if got, want := news(fake), []string{"offline not_found", "offline refused", "offline shutdown"}; tries < 60 || !slices.Equal(got, want) {
			t.Errorf("tried %d times, told %q, want %q", tries, got, want)
		}
	})
}

// TestTheLogReminds says every ten minutes that a camera is still away, and not
// each time it is tried.
func TestTheLogReminds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := runFunc(func(context.Context, func(ingest.Packet) error) error {
			return &ingest.Error{Reason: ingest.ReasonRefused, Err: errors.New("nobody listens")}
		})
		s, _ := newTestStream(t, true, away, &fakeDecoder{})
		var text strings.Builder
		s.log = slog.New(slog.NewTextHandler(&text, nil))
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Minute)
		defer cancel()
		if err := s.run(ctx); err != nil {
			t.Error(err)
		}
		if first, again := strings.Count(text.String(), `"stream is offline"`), strings.Count(text.String(), `"stream is still offline"`); first != 1 || again != 3 {
			t.Errorf("told once and again 3 times is wanted, not %d and %d:\n%s", first, again, text.String())
		}
	})
}
