package pipelines

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"sightline/kernels/cuda"
	"sightline/pipelines/spec"
)

// fakeDevice is a GPU that has so much memory, and nothing else.
type fakeDevice struct {
	cuda.Device
	info cuda.Info
}

func (d fakeDevice) Info() cuda.Info { return d.info }
func (d fakeDevice) Err() error      { return nil }
func (d fakeDevice) Close() error    { return nil }

// fakeGPUs have so many GiB free each; those in broken do not open.
func fakeGPUs(free []int64, broken ...int) gpus {
	info := func(i int) cuda.Info { return cuda.Info{Index: i, Total: 24 << 30, Free: free[i] << 30} }
	return gpus{
		list: func() (all []cuda.Info, err error) {
			if free == nil {
				return nil, cuda.ErrNotBuilt
			}
			for i := range free {
				all = append(all, info(i))
			}
			return all, nil
		},
		open: func(c cuda.Config) (cuda.Device, error) {
			if c.Index >= len(free) {
				return nil, cuda.ErrNoDevice
			}
			for _, b := range broken {
				if b == c.Index {
					return nil, errors.New("broken")
				}
			}
			return fakeDevice{info: info(c.Index)}, nil
		},
	}
}

// TestPlacesOfStreams puts eight streams, one after the other.
func TestPlacesOfStreams(t *testing.T) {
	for _, c := range []struct {
		name           string
		device, engine string
		gpus           gpus
		want           string // where each goes, or the error
	}{
		{"one GPU", "auto", "auto", fakeGPUs([]int64{8}), "0 0 0 0 0 0 0 0"},
		{"two alike", "auto", "auto", fakeGPUs([]int64{8, 8}), "0 1 0 1 0 1 0 1"},
		{"the second with three times the room", "auto", "auto", fakeGPUs([]int64{4, 12}), "1 1 0 1 1 1 0 1"},
		{"a named one", "cuda:1", "auto", fakeGPUs([]int64{8, 8}), "1 1 1 1 1 1 1 1"},
		{"the CPU", "cpu", "auto", fakeGPUs([]int64{8}), "- - - - - - - -"},
		{"an engine of the CPU", "auto", "openvino", fakeGPUs([]int64{8}), "- - - - - - - -"},
		{"no GPU", "auto", "auto", fakeGPUs(nil), "- - - - - - - -"},
		{"no GPU for an engine that needs one", "auto", "tensorrt", fakeGPUs(nil), "detect.engine: tensorrt needs a GPU"},
		{"no such GPU", "cuda:2", "auto", fakeGPUs([]int64{8}), "open cuda:2: no such CUDA device"},
		{"a broken one among two", "auto", "auto", fakeGPUs([]int64{8, 4}, 0), "1 1 1 1 1 1 1 1"},
		{"a broken one alone", "auto", "auto", fakeGPUs([]int64{8}, 0), "- - - - - - - -"},
		{"a broken one that is named", "cuda:0", "auto", fakeGPUs([]int64{8}, 0), "open cuda:0: broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Pipeline{spec: &spec.Pipeline{Detect: spec.Detect{Device: c.device, Engine: c.engine}}, log: slog.New(slog.DiscardHandler), devices: c.gpus}
			var places []string
			for range 8 {
				g, err := p.place(&spec.Stream{StreamDefaults: spec.StreamDefaults{Detect: spec.StreamDetect{Enabled: true}}})
				switch {
				case err != nil:
					places = []string{err.Error()}
				case g == nil:
					places = append(places, "-")
				default:
					g.streams = append(g.streams, &stream{})
					places = append(places, strings.TrimPrefix(g.String(), "cuda:"))
				}
			}
			if got := strings.Join(places, " "); !strings.HasPrefix(got, c.want) {
				t.Errorf("went to %s, want %s", got, c.want)
			}
			if g, err := p.place(&spec.Stream{}); g != nil || err != nil {
				t.Errorf("a stream that is not analyzed is on %v, %v", g, err)
			}
		})
	}
}
