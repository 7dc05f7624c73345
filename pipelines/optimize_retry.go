package pipelines

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"
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

// insist makes the network, and tries it again where that fails, until ctx ends or it
// has failed too often.
func (m *maker) insist(ctx context.Context) {
	for n := 1; ; n++ {
		err := m.make(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if n == mostFailures {
			m.set(func(s *MakeStatus) { s.State, s.Failures, s.Retry, s.Reason = makeFailed, n, nil, err.Error() })
			m.log.Warn("no optimized network was made: the original goes on", slog.Any("error", err), slog.Int("attempts", n))
			return
		}
		wait := retryPause(n)
		at := time.Now().Add(wait).UTC()
		m.set(func(s *MakeStatus) { s.State, s.Failures, s.Retry, s.Reason = makeRetrying, n, &at, err.Error() })
		m.log.Warn("no optimized network was made: the original goes on, and it is tried again", slog.Any("error", err), slog.Duration("after", wait))
		if !pause(ctx, wait) {
			return
		}
		m.set(func(s *MakeStatus) { s.Retry, s.Reason, s.Step, s.Done, s.Of, s.Left = nil, "", "", 0, 0, 0 })
	}
}

// tidy removes what a process that was killed left half written. The caller has the lock.
func (m *maker) tidy() {
	for _, pattern := range []string{".saving-*", ".optimize-*.onnx"} {
		left, _ := filepath.Glob(filepath.Join(m.folder, pattern)) // the pattern is well formed
		for _, path := range left {
			_ = os.Remove(path) // takes room alone
		}
	}
}
