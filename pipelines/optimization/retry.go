package optimization

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sightline/ingest"
)

// mostFailures is how often a network is tried to be made until the next start. What was
// refused for its budget is not tried again.
const mostFailures = 5

// retryPause is how long is waited after so many failures: a minute, and each time four
// times as long. What ended the process, a lack of memory say, has to pass.
func retryPause(failures int) time.Duration {
	after := time.Minute
	for range failures - 1 {
		after *= 4
	}
	return after
}

// errFew says that too little was to be seen on the pictures to prove anything. It is no
// failure: others are collected, for as long as it takes.
var errFew = errors.New("too little is to be seen")

// insist makes the network, and tries it again where that fails, until ctx ends or it
// has failed too often.
func (m *Maker) insist(ctx context.Context) {
	for failures, quiet := 0, 0; ; {
		err := m.make(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		var wait time.Duration
		if errors.Is(err, errFew) {
			quiet = min(quiet+1, mostFailures-1)
			wait = retryPause(quiet)
		} else {
			failures++
			wait = retryPause(failures)
		}
		if failures == mostFailures {
			m.set(func(s *Status) { s.State, s.Failures, s.Retry, s.Reason = Failed, failures, nil, err.Error() })
			m.log.Warn("no optimized network was made: the original goes on", slog.Any("error", err), slog.Int("attempts", failures))
			return
		}
		at := time.Now().Add(wait).UTC()
		m.set(func(s *Status) { s.State, s.Failures, s.Retry, s.Reason = Retrying, failures, &at, err.Error() })
		m.log.Warn("no optimized network was made: the original goes on, and it is tried again", slog.Any("error", err), slog.Duration("after", wait))
		if ingest.Pause(ctx, wait) != nil {
			return
		}
		m.set(func(s *Status) { s.Retry, s.Reason, s.Step, s.Done, s.Of, s.Left = nil, "", "", 0, 0, 0 })
	}
}

// tidy removes what a process that was killed left half written. The caller has the lock.
func (m *Maker) tidy() {
	for _, pattern := range []string{".saving-*", ".optimize-*.onnx"} {
		left, _ := filepath.Glob(filepath.Join(m.folder, pattern)) // the pattern is well formed
		for _, path := range left {
			_ = os.Remove(path) // takes room alone
		}
	}
}

// clear removes what the network was made of: it takes room alone.
func (m *Maker) clear() {
	for _, name := range []string{picturesFile, jobFile, workFolder} {
		_ = os.RemoveAll(filepath.Join(m.folder, name))
	}
}
