//go:build cuda

package cuda

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"gorgonia.org/cu"
)

// pinned implements Pinned.
type pinned struct {
	d     *device
	bytes []byte
	freed atomic.Bool
}

func (p *pinned) address() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p.bytes))) }

func (p *pinned) compare(address uintptr) int { return cmp.Compare(p.address(), address) }

// Pinned implements Device.
func (d *device) Pinned(bytes int) (Pinned, error) {
	if bytes <= 0 {
		return nil, fmt.Errorf("pin %d bytes: there is nothing to pin", bytes)
	}
	p := &pinned{d: d}
	err := d.call(fmt.Sprintf("pin %d bytes of host memory", bytes), func() error {
		at, err := hostAlloc(bytes)
		if err == nil {
			p.bytes = unsafe.Slice((*byte)(at), bytes)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	clear(p.bytes)
	d.mu.Lock()
	i, _ := slices.BinarySearchFunc(d.pinned, p.address(), (*pinned).compare)
	d.pinned = slices.Insert(d.pinned, i, p)
	d.mu.Unlock()
	d.born(p)
	return p, nil
}

// isPinned tells whether n bytes at p are of one Pinned.
func (d *device) isPinned(p unsafe.Pointer, n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, found := slices.BinarySearchFunc(d.pinned, uintptr(p), (*pinned).compare)
	if !found {
		i--
	}
	return i >= 0 && uintptr(p)+uintptr(n) <= d.pinned[i].address()+uintptr(len(d.pinned[i].bytes))
}

// Bytes implements Pinned.
func (p *pinned) Bytes() []byte { return p.bytes }

// Free implements Pinned.
func (p *pinned) Free() error {
	if p.freed.Swap(true) {
		return nil
	}
	d := p.d
	d.died(p)
	d.mu.Lock()
	d.pinned = slices.DeleteFunc(d.pinned, func(q *pinned) bool { return p == q })
	d.mu.Unlock()
	if d.Err() != nil {
		return nil // it goes with the context
	}
	return d.call("free pinned memory", func() error { return cu.MemFreeHost(unsafe.Pointer(unsafe.SliceData(p.bytes))) })
}
