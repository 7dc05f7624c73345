package quality

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/internal/testkit"
)

// scene is 45 s of a real camera, small and slow: as much as is looked at.
func scene(t *testing.T) string {
	return testkit.Clip(t, "scene.mp4", "-i", testkit.Dep(t, "media/vtest.mp4"), "-t", "45", "-vf", "fps=2,scale=384:288", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "10")
}

// clip is a scene with a filter over it.
func clip(t *testing.T, scene, filter string, more ...string) string {
	args := []string{"-i", scene, "-vf", filter, "-c:v", "libx264", "-preset", "ultrafast", "-g", "4", "-threads", "1"}
	return testkit.Clip(t, "clip.mp4", append(args, more...)...)
}

// still is a scene's first picture for 45 s, with a filter over it.
func still(t *testing.T, scene, filter string, more ...string) string {
	return clip(t, scene, "trim=end_frame=1,loop=89:1,setpts=N/2/TB,"+filter, more...)
}

// told watches a clip and returns what was told, as "condition+ second".
func told(t *testing.T, path string) (out []string) {
	t.Helper()
	w, err := New(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	play(t, path, func(f *decode.Frame) {
		if !w.Due(f) {
			return
		}
		changes, err := w.Look(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			sign := "-"
			if c.Active {
				sign = "+"
				if c.Message == "" {
					t.Errorf("%s has no message", c.Condition)
				}
			}
			out = append(out, fmt.Sprintf("%s%s %.0f", c.Condition, sign, f.PTS.Seconds()))
		}
	})
	return out
}

const during = ":enable='between(t,15,29.9)'"

// TestFaultsAreTold puts one fault over 15 s in the middle of a real scene: it is
// told once, ten seconds after it began, and again once it is over.
func TestFaultsAreTold(t *testing.T) {
	whole := scene(t)
	for _, c := range []struct{ condition, name, filter string }{
		{"black", "no light at all", "drawbox=0:0:iw:ih:black:fill" + during},
		{"covered", "a board over nearly all of it", "drawbox=0:0:iw*0.95:ih*0.95:gray:fill" + during},
		{"covered", "a white cloth", "drawbox=0:0:iw:ih:white@0.97:fill" + during},
		{"covered", "nine tenths, to one side", "drawbox=iw*0.1:0:iw*0.9:ih:brown:fill" + during},
		{"blurred", "a little out of focus", "boxblur=2:2" + during},
		{"blurred", "far out of focus", "boxblur=6" + during},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := told(t, clip(t, whole, c.filter))
			if len(got) != 2 || got[0] != c.condition+"+ 25" && got[0] != c.condition+"+ 26" || !strings.HasPrefix(got[1], c.condition+"- 4") {
				t.Errorf("told %q, want %s from 25 s to 40 s", got, c.condition)
			}
		})
	}
}

// TestACameraThatIsTurnedIsTold once for good: what it shows then is how things are.
func TestACameraThatIsTurnedIsTold(t *testing.T) {
	whole := scene(t)
	for _, by := range []int{16, 60} { // pixels of 320
		t.Run(fmt.Sprint(by), func(t *testing.T) {
			got := told(t, clip(t, whole, fmt.Sprintf("crop=320:240:x='if(lt(t,15),0,%d)':y='if(lt(t,15),0,%d)'", by, by/2)))
			if len(got) == 0 || got[0] != "moved+ 25" && got[0] != "moved+ 26" || len(got) > 2 {
				t.Errorf("told %q, want moved at 25 s", got)
			}
		})
	}
}

// TestFrozenIsTold of pictures that repeat, coded anew or not.
func TestFrozenIsTold(t *testing.T) {
	whole := scene(t)
	for name, more := range map[string][]string{
		"coded well": {"-crf", "20"}, "coded badly": {"-crf", "38"},
	} {
		t.Run(name, func(t *testing.T) {
			got := told(t, still(t, whole, "null", more...))
			if len(got) != 1 || !strings.HasPrefix(got[0], "frozen+ ") {
				t.Errorf("told %q, want frozen", got)
			}
		})
	}
}

// TestNothingIsTold of what cameras show when nothing is wrong with them.
func TestNothingIsTold(t *testing.T) {
	whole := scene(t)
	videos := map[string]string{
		"a busy square":                   testkit.Dep(t, "media/vtest.mp4"),
		"a noisy sensor":                  clip(t, whole, "noise=alls=25:allf=t"),
		"dusk":                            clip(t, whole, "eq=brightness='-0.45*t/45':eval=frame"),
		"the light is switched off":       clip(t, whole, "eq=brightness=-0.25:contrast=0.5:enable='gte(t,20)'"),
		"rain":                            clip(t, whole, "noise=c0s=60:c0f=t+u:enable='gte(t,15)'"),
		"wind shakes it":                  clip(t, whole, "crop=368:272:x='8+2*sin(9*t)':y='8+2*cos(7*t)'"),
		"somebody stands close":           clip(t, whole, "drawbox=iw*0.3:0:iw*0.45:ih:darkgreen:fill"+during),
		"nothing happens, little noise":   still(t, whole, "noise=alls=4:allf=t", "-crf", "30"),
		"nothing happens, long groups":    still(t, whole, "noise=alls=4:allf=t", "-crf", "30", "-g", "30"),
		"out of focus for eight seconds":  clip(t, whole, "boxblur=6:enable='between(t,15,23)'"),
		"covered, with gaps, by a wagger": clip(t, whole, "drawbox=0:0:iw:ih:gray:fill:enable='gte(t,12)*lt(mod(t,10),7)'"),
	}
	for name, path := range videos {
		if got := told(t, path); len(got) > 0 {
			t.Errorf("%s: told %q", name, got)
		}
	}
}

// TestOnlyWhatIsWatchedForIsTold, and a new epoch begins its time anew.
func TestOnlyWhatIsWatchedForIsTold(t *testing.T) {
	black := func(int, int, uint64) (luma, u, v byte) { return 17, 128, 128 }
	for _, watch := range [][]Condition{{Black}, {Frozen, Moved}, nil} {
		w, err := New(Config{Watch: watch, For: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		live := decodetest.Live(t)
		var got []Condition
		for i := range uint64(3 * 25 * 9) {
			if i%(25*9) == 0 {
				w.Reset() // nine seconds each
			}
			f := decodetest.NewFrame(live, 64, 48, i%(25*9)+1, black)
			if w.Due(f) {
				changes, err := w.Look(f)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range changes {
					got = append(got, c.Condition)
				}
			}
			f.Release()
		}
		if len(got) > 0 {
			t.Errorf("nine seconds each time: told %v", got)
		}
		for i := range uint64(25 * 12) {
			f := decodetest.NewFrame(live, 64, 48, 25*9+i, black)
			if w.Due(f) {
				changes, _ := w.Look(f)
				for _, c := range changes {
					got = append(got, c.Condition)
				}
			}
			f.Release()
		}
		if want := slices.Contains(watch, Black); want != slices.Equal(got, []Condition{Black}) || !want && len(got) > 0 {
			t.Errorf("watching for %v: told %v", watch, got)
		}
		w.Close()
	}
}

// TestOddPicturesAreRefused or looked at without reading beyond their memory.
func TestOddPicturesAreRefused(t *testing.T) {
	live := decodetest.Live(t)
	w, err := New(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, size := range [][2]int{{32, 32}, {33, 47}, {321, 32}, {1919, 1079}, {64, 2000}} {
		f := decodetest.NewFrame(live, size[0], size[1], 1, decodetest.Gradient)
		if _, err := w.Look(f); err != nil {
			t.Errorf("%v: %v", size, err)
		}
		f.Release()
	}
	small := decodetest.NewFrame(live, 31, 31, 1, decodetest.Gradient)
	defer small.Release()
	device := *small
	device.Memory = decode.CUDA
	for _, f := range []*decode.Frame{small, &device} {
		if _, err := w.Look(f); err == nil {
			t.Errorf("%dx%d in memory %d is looked at", f.Width, f.Height, f.Memory)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, bad := range []Config{{Watch: []Condition{"dirty"}, For: time.Second}, {Watch: All()}} {
		if _, err := New(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// BenchmarkLook is the cost of one look, of which there is one a second and
// stream at most.
func BenchmarkLook(b *testing.B) {
	w, err := New(Defaults())
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	f := decodetest.NewFrame(nil, 1920, 1080, 1, decodetest.Gradient)
	padded := make([]byte, 2048*1080)
	for y := range 1080 {
		copy(padded[y*2048:][:1920], unsafe.Slice((*byte)(unsafe.Add(f.Planes[0].Data, y*f.Planes[0].Stride)), 1920))
	}
	f.Planes[0] = decode.Plane{Data: unsafe.Pointer(unsafe.SliceData(padded)), Stride: 2048}
	for b.Loop() {
		if _, err := w.Look(f); err != nil {
			b.Fatal(err)
		}
	}
}
