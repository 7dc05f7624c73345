package kernels

// Launch is one call of a device kernel. Every argument is eight bytes: an address
// on the device, an integer, or the bits of a float64.
type Launch struct {
	Kernel      string
	Grid, Block [3]uint32
	Args        []uint64
}
