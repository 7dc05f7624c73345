package optimization

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

// jobArgument makes the test's program the process that makes a network.
const jobArgument = "optimize-job"

// TestMain looks for goroutines left behind.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == jobArgument {
		if err := RunJob(context.Background(), os.Args[2], os.Stdout, slog.New(slog.DiscardHandler)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// A network that another process makes meanwhile is waited for, and is not made twice.
func TestAnotherProcessMakesIt(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		other := &Maker{folder: folder}
		lock, err := other.lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := &Maker{folder: folder, log: slog.New(slog.DiscardHandler)}
		made := make(chan error, 1)
		go func() { made <- m.make(t.Context()) }()
		synctest.Wait()
		if s := m.Status().State; s != Waiting {
			t.Errorf("it is %s", s)
		}
		if err := keep(folder, resultFile, Made{Refused: "too different"}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(lock.Close(), <-made); err != nil {
			t.Fatal(err)
		}
		if s := m.Status(); s.State != Refused || s.Reason != "too different" {
			t.Errorf("%+v", s)
		}
	})
}

// A model that was replaced while pictures were collected is not made smaller in the
// name of the one before.
func TestReplacedModelIsRefused(t *testing.T) {
	folder := t.TempDir()
	model := filepath.Join(folder, "model.onnx")
	if err := errors.Join(os.WriteFile(model, []byte("another"), 0o600), keep(folder, jobFile, job{Model: model, Digest: "of the first"})); err != nil {
		t.Fatal(err)
	}
	if err := RunJob(t.Context(), folder, io.Discard, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another one than at the start") {
		t.Errorf("got %v", err)
	}
}
