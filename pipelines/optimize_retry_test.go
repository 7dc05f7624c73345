package pipelines

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect/optimize"
)

// scripted is a maker of a network out of no pictures, by a shell's script that is given
// the folder.
func scripted(folder, script string) *maker {
	return &maker{
		p: &Pipeline{press: make(chan struct{}, 1)}, o: Options{Compiler: []string{"/bin/sh", "-c", script, "sh"}}, folder: folder, model: "m.onnx",
		recipe: recipe{Mode: optimize.GeneralMode}, log: slog.New(slog.DiscardHandler), status: MakeStatus{State: makeCollecting},
	}
}

// tries is how often the script of a maker was run, which writes a line each time.
func tries(t *testing.T, folder string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "tries"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// A process that something killed is begun again, later each time, and what it says then
// counts; a budget that was not kept is not tried again.
func TestKilledMakingIsTriedAgain(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := scripted(folder, `echo >> "$1/tries"; [ "$(wc -l < "$1/tries")" -lt 3 ] && { touch "$1/.optimize-1.onnx"; kill -9 $$; }; echo '{"made":{"refused":"too different"}}'`)
		ctx, stop := context.WithCancel(t.Context())
		begun, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			m.run(ctx)
		}()
		retrying := func(failures int) {
			t.Helper()
			s := m.snapshot()
			if s.State != makeRetrying || s.Failures != failures || s.Retry == nil || !s.Retry.After(time.Now()) || !strings.Contains(s.Reason, "signal: killed") {
				t.Errorf("after failure %d: %+v", failures, s)
			}
		}
		for m.snapshot().Failures < 1 {
			synctest.Wait()
		}
		retrying(1)
		time.Sleep(time.Minute + time.Second)
		for m.snapshot().Failures < 2 {
			synctest.Wait()
		}
		retrying(2)
		time.Sleep(4*time.Minute + time.Second)
		for m.snapshot().State != makeRefused {
			synctest.Wait()
		}
		time.Sleep(24 * time.Hour)
		stop()
		<-done
		if s := m.snapshot(); s.State != makeRefused || s.Reason != "too different" || s.Retry != nil || s.Failures != 2 {
			t.Errorf("%+v", s)
		}
		if n := tries(t, folder); n != 3 {
			t.Errorf("tried %d times", n)
		}
		if left, _ := filepath.Glob(filepath.Join(folder, ".*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		if took := time.Since(begun); took < 5*time.Minute {
			t.Errorf("tried again at once: %v", took)
		}
	})
}

// What fails each time is given up, until the next start.
func TestMakingIsGivenUp(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := scripted(folder, `echo >> "$1/tries"; echo "no such operator" >&2; exit 1`)
		m.insist(t.Context())
		if s := m.snapshot(); s.State != makeFailed || s.Failures != mostFailures || s.Retry != nil || !strings.Contains(s.Reason, "no such operator") {
			t.Errorf("%+v", s)
		}
		if n := tries(t, folder); n != mostFailures {
			t.Errorf("tried %d times", n)
		}
		m.letGo()
	})
}
