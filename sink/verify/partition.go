package verify

import "encoding/binary"

// partitionOf is where Java's default partitioner puts a key: murmur2 with its seed,
// made positive, modulo the partitions.
//
// Algorithm: Austin Appleby's MurmurHash2, as org.apache.kafka.common.utils.Utils has it.
func partitionOf(key []byte, partitions int) int {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(key))
	rest := key
	for ; len(rest) >= 4; rest = rest[4:] {
		k := binary.LittleEndian.Uint32(rest) * m
		k ^= k >> r
		h = h*m ^ k*m
	}
	for i := len(rest) - 1; i >= 0; i-- {
		h ^= uint32(rest[i]) << (8 * i)
	}
	if len(rest) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int(h&0x7fffffff) % partitions
}
