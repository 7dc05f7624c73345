package onnx

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// block is memory outside the Go heap, aligned to pages: engines keep pointers
// into it, and the garbage collector neither moves nor counts it. Pages cost
// nothing until they are touched. free gives it back, once.
type block struct{ bytes []byte }

func newBlock(size int) (*block, error) {
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", size, err)
	}
	return &block{m}, nil
}

func (b *block) free() {
	if b.bytes != nil {
		_ = unix.Munmap(b.bytes) // it fails only for addresses that are not mapped
		b.bytes = nil
	}
}

// readFile reads a whole file into a block.
func readFile(path string) (*block, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 1<<31 {
		return nil, fmt.Errorf("%s is not a file of at most 2 GiB", path)
	}
	if info.Size() == 0 {
		return &block{}, nil
	}
	b, err := newBlock(int(info.Size()))
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(f, b.bytes); err != nil {
		b.free()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}
