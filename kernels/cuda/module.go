//go:build cuda

package cuda

import (
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"sightline/kernels"
	"sightline/kernels/ptx"
)

// module holds the kernels as the driver compiled them.
type module struct {
	m         cu.Module
	mu        sync.Mutex
	functions map[string]cu.Function // asked for so far
}

// load gives the driver the kernels' PTX.
func (d *device) load() error {
	d.kernels.functions = map[string]cu.Function{}
	return d.call("load the kernels", func() (err error) { d.kernels.m, err = cu.LoadData(ptx.Text); return err })
}

func (m *module) unload() error { return m.m.Unload() }

// function looks a kernel up; the context is current.
func (m *module) function(name string) (cu.Function, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.functions[name]
	if ok {
		return f, nil
	}
	f, err := m.m.Function(name)
	if err == nil {
		m.functions[name] = f
	}
	return f, err
}

// Launch implements Stream.
func (s *stream) Launch(l kernels.Launch) error {
	s.params = s.params[:0]
	for i := range l.Args {
		s.params = append(s.params, unsafe.Pointer(&l.Args[i]))
	}
	return s.do("launch "+l.Kernel, func() error {
		f, err := s.d.kernels.function(l.Kernel)
		if err != nil {
			return err
		}
		// Each parameter is copied as exactly eight bytes before this returns.
		return f.Launch(int(l.Grid[0]), int(l.Grid[1]), int(l.Grid[2]), int(l.Block[0]), int(l.Block[1]), int(l.Block[2]), 0, s.s, s.params)
	})
}
