//go:build cuda

package pipelines

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sightline/kernels/emu"
)

// TestCUDAAutoTakesTheCPU where a GPU is there that would not compute the network, or has
// no room for it. It is tried once, not for each stream.
func TestCUDAAutoTakesTheCPU(t *testing.T) {
	emu.Need(t)
	emu.KeepsNothing(t)
	text := fmt.Sprintf("version: 1\nname: auto\nstreams: { a: { url: 'file:%[1]s' }, b: { url: 'file:%[1]s' } }\nsinks: []\n", media(t, "vtest.mp4"))
	for _, c := range []struct {
		name   string
		injure func()
		tried  int // times a network was opened
	}{
		{"no provider", func() {}, 2},
		{"no memory", func() { emu.Fail(emu.Alloc, -1) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			o := parts(t)
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			before := emu.Counts().Live()
			c.injure()
			p := build(t, text, o)
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			emu.Fail(emu.Alloc, 0)
			if opened := strings.Count(log.String(), "inference engine opened"); opened != c.tried || strings.Count(log.String(), "the GPU is there and not used") != 2 {
				t.Errorf("%d networks were opened, want %d:\n%s", opened, c.tried, &log)
			}
			for _, s := range p.Streams() {
				if s.Model.Engine != "openvino" {
					t.Errorf("%s runs on %s", s.Name, s.Model.Engine)
				}
			}
			if d := p.Devices(); len(d) > 0 || emu.Counts().Live() != before {
				t.Errorf("devices %+v; on them %+v, before %+v", d, emu.Counts().Live(), before)
			}
		})
	}
}
