//go:build cuda

package cuda

import (
	"fmt"
	"maps"
	"sync/atomic"
	"unsafe"

	"gorgonia.org/cu"
)

// memory implements Memory.
type memory struct {
	d     *device
	owner string
	bytes int
	block block
	host  unsafe.Pointer
	freed atomic.Bool
}

// Alloc implements Device.
func (d *device) Alloc(owner string, bytes int) (Memory, error) {
	if bytes <= 0 {
		return nil, fmt.Errorf("allocate %d bytes: there is nothing to allocate", bytes)
	}
	m := &memory{d: d, owner: owner, bytes: bytes, block: block{bytes: int64(bytes), size: blockSize(int64(bytes))}}
	doing := fmt.Sprintf("allocate %d bytes for %s", bytes, owner)
	d.mu.Lock()
	ok := d.store.reserve(owner, m.block.size)
	out, budget := d.store.out, d.store.budget
	cached, found := block{}, false
	if ok {
		cached, found = d.store.take(m.block.bytes)
	}
	d.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%s: %w: %d of %d bytes are out", doing, ErrBudget, out, budget)
	}
	err := d.call(doing, func() error {
		if found {
			m.block = cached
		} else if err := d.allocate(m); err != nil {
			return err
		}
		m.host = hostAddress(cu.DevicePtr(m.block.address))
		return nil
	})
	if err != nil {
		d.mu.Lock()
		d.store.forget(owner, m.block.size)
		d.mu.Unlock()
		return nil, err
	}
	d.born(m)
	return m, nil
}

// allocate asks the driver; where that has no room, once more without the cache.
func (d *device) allocate(m *memory) error {
	if err := d.drop(d.store.evict); err != nil {
		return err
	}
	p, err := cu.MemAlloc(m.block.bytes)
	if codeOf(err) == codeOf(cu.OutOfMemory) {
		if err := d.drop(d.store.oldest); err != nil {
			return err
		}
		p, err = cu.MemAlloc(m.block.bytes)
	}
	m.block.address = uint64(p)
	return err
}

// drop gives cached blocks to the driver as long as next names one.
func (d *device) drop(next func() (block, bool)) error {
	for {
		d.mu.Lock()
		b, ok := next()
		d.mu.Unlock()
		if !ok {
			return nil
		}
		if err := cu.MemFree(cu.DevicePtr(b.address)); err != nil {
			return err
		}
	}
}

// Address implements Memory.
func (m *memory) Address() uint64 { return m.block.address }

// Size implements Memory.
func (m *memory) Size() int { return m.bytes }

// HostAddress implements Memory.
func (m *memory) HostAddress() unsafe.Pointer { return m.host }

// Free implements Memory.
func (m *memory) Free() error {
	if m.freed.Swap(true) {
		return nil
	}
	d := m.d
	d.died(m)
	d.mu.Lock()
	d.store.forget(m.owner, m.block.size)
	lost := d.Err() != nil
	if !lost {
		d.store.keep(m.block)
	}
	d.mu.Unlock()
	if lost {
		return nil // it goes with the context
	}
	return d.call("free memory", func() error { return d.drop(d.store.evict) })
}

// Used implements Device.
func (d *device) Used() map[string]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	used := maps.Clone(d.store.used)
	if d.store.cache > 0 {
		used[cacheOwner] = d.store.cache
	}
	return used
}
