package ptx

// An architecture is what CUDA's programming guide says of an SM (appendix on
// compute capabilities, technical specifications).
type architecture struct {
	arch, threads, blocks int // of an SM, at most
	shared                int // bytes of an SM that blocks share, at most
}

// architectures are those that the kernels are assembled for. All have 65536
// registers an SM, given to a warp by 256 at a time.
func architectures() []architecture {
	return []architecture{
		{75, 1024, 16, 64 << 10},
		{80, 2048, 32, 164 << 10},
		{86, 1536, 16, 100 << 10},
		{89, 1536, 24, 100 << 10},
		{90, 2048, 32, 228 << 10},
	}
}

const block = 256

// occupancy is the share of an SM's threads that blocks of 256 can fill.
func (a architecture) occupancy(k usage) float64 {
	warp := (k.registers*32 + 255) / 256 * 256
	blocks := min(a.threads/block, a.blocks, 65536/(warp*block/32))
	if k.shared > 0 {
		reserved := 1 << 10 // of each block, from compute capability 8.0 on
		if a.arch < 80 {
			reserved = 0
		}
		blocks = min(blocks, a.shared/(k.shared+reserved))
	}
	return float64(blocks*block) / float64(a.threads)
}
