//go:build cuda

package cuda

import "testing"

// Figures of these mean something on a real GPU alone: `make gpu-check`.

func benchStream(b *testing.B) (Device, Stream) {
	b.Helper()
	d, err := Open(Config{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := d.NewStream()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	return d, s
}

// BenchmarkCUDAEvent records an event in an empty stream and waits for it: what one
// round trip to the device takes.
func BenchmarkCUDAEvent(b *testing.B) {
	_, s := benchStream(b)
	for b.Loop() {
		e, err := s.Record()
		if err == nil {
			err = e.Wait()
		}
		if err != nil {
			b.Fatal(err)
		}
		e.Close()
	}
}

// BenchmarkCUDACopy copies a 1080p picture in NV12, from and to pinned memory and Go's.
func BenchmarkCUDACopy(b *testing.B) {
	const size = 1920 * 1080 * 3 / 2
	d, s := benchStream(b)
	m, err := d.Alloc("bench", size)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Free()
	pinned, err := d.Pinned(size)
	if err != nil {
		b.Fatal(err)
	}
	defer pinned.Free()
	for name, host := range map[string][]byte{"pinned": pinned.Bytes(), "pageable": make([]byte, size)} {
		for way, copy := range map[string]func() error{
			"up":   func() error { return s.Upload(m.Address(), host) },
			"down": func() error { return s.Download(host, m.Address()) },
		} {
			b.Run(name+"-"+way, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					if err := copy(); err != nil {
						b.Fatal(err)
					}
					if err := s.Synchronize(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkCUDAAlloc takes and gives back what is in the cache.
func BenchmarkCUDAAlloc(b *testing.B) {
	d, _ := benchStream(b)
	for b.Loop() {
		m, err := d.Alloc("bench", 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Free(); err != nil {
			b.Fatal(err)
		}
	}
}
