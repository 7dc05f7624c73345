// Package ptx holds the device kernels as they ship: vision.cu, compiled by NVRTC
// 11.8 for compute capability 7.5, which drivers from 520 on translate for every
// GPU from Turing to Blackwell when they load it. The package uses no native code.
package ptx

import (
	_ "embed"
	"strings"
)

// Text is the module: PTX 7.8 in ASCII. Read-only.
//
//go:embed vision.ptx
var Text string

// Source is the SHA-256 of the sources that Text was made from, as its first line
// says: of what sha256sum prints for the files that build.py lists, in its order.
func Source() string {
	header, _, _ := strings.Cut(Text, "\n")
	return header[strings.LastIndexByte(header, ' ')+1:]
}
