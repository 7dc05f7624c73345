package optimization

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/detect/optimize"
)

// scripted is a maker of a network out of no pictures, by a shell's script that is given
// the folder.
func scripted(folder, script string) *Maker {
	return &Maker{
		press: make(chan struct{}, 1), compiler: []string{"/bin/sh", "-c", script, "sh"}, folder: folder, model: "m.onnx",
		recipe: recipe{Mode: optimize.GeneralMode}, log: slog.New(slog.DiscardHandler), status: Status{State: Collecting},
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
			s := m.Status()
			if s.State != Retrying || s.Failures != failures || s.Retry == nil || !s.Retry.After(time.Now()) || !strings.Contains(s.Reason, "signal: killed") {
				t.Errorf("after failure %d: %+v", failures, s)
			}
		}
		for m.Status().Failures < 1 {
			synctest.Wait()
		}
		retrying(1)
		time.Sleep(time.Minute + time.Second)
		for m.Status().Failures < 2 {
			synctest.Wait()
		}
		retrying(2)
		time.Sleep(4*time.Minute + time.Second)
		for m.Status().State != Refused {
			synctest.Wait()
		}
		time.Sleep(24 * time.Hour)
		stop()
		<-done
		if s := m.Status(); s.State != Refused || s.Reason != "too different" || s.Retry != nil || s.Failures != 2 {
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

// Pictures on which too little is to be seen are no failure: others are collected, more
// often than failures are forgiven.
func TestQuietPicturesAreReplaced(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := scripted(folder, `echo >> "$1/tries"; cp "$1/pictures" "$1/seen"; if [ "$(wc -l < "$1/tries")" -lt 9 ]; then echo '{"made":{"refused":"nothing","few":true}}'; else echo '{"made":{"refused":"too different"}}'; fi`)
		m.spec.Pictures, m.pictures = 1, make(chan *decode.Frame, 1)
		ctx, stop := context.WithCancel(t.Context())
		begun, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			m.run(ctx)
		}()
		sample := make([]byte, 16*16*3/2)
		for try := byte(0); m.Status().State != Refused; try++ {
			sample[0] = try
			m.pictures <- decode.NewFrame(decode.Frame{Width: 16, Height: 16, Format: decode.I420, Memory: decode.Host, Planes: [3]decode.Plane{
				{Data: unsafe.Pointer(&sample[0]), Stride: 16}, {Data: unsafe.Pointer(&sample[256]), Stride: 8}, {Data: unsafe.Pointer(&sample[320]), Stride: 8},
			}}, func() {})
			s := m.Status()
			for s.State != Retrying && s.State != Refused {
				synctest.Wait()
				s = m.Status()
			}
			seen, err := os.ReadFile(filepath.Join(folder, "seen"))
			if err != nil || len(seen) < 17 || seen[16] != try {
				t.Fatalf("try %d: it was given another picture: %v", try, err)
			}
			if s.State == Refused {
				break
			}
			if s.Failures != 0 || !strings.Contains(s.Reason, errFew.Error()+": nothing") || !m.full.Load() {
				t.Fatalf("try %d: %+v", try, s)
			}
			time.Sleep(time.Until(*s.Retry) + time.Second)
			synctest.Wait()
			if m.full.Load() {
				t.Fatalf("try %d: no more pictures are taken", try)
			}
		}
		if took := time.Since(begun); took < 4*time.Hour || took > 8*time.Hour {
			t.Errorf("it took %v", took)
		}
		if n := tries(t, folder); n != 9 {
			t.Errorf("tried %d times", n)
		}
		stop()
		<-done
	})
}

// What fails each time is given up, until the next start.
func TestMakingIsGivenUp(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := scripted(folder, `echo >> "$1/tries"; echo "no such operator" >&2; exit 1`)
		m.insist(t.Context())
		if s := m.Status(); s.State != Failed || s.Failures != mostFailures || s.Retry != nil || !strings.Contains(s.Reason, "no such operator") {
			t.Errorf("%+v", s)
		}
		if n := tries(t, folder); n != mostFailures {
			t.Errorf("tried %d times", n)
		}
		m.letGo()
	})
}
