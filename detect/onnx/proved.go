package onnx

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/cpu"
)

// MadeKey is the metadata entry in which an optimized network says how it was made. Of
// that JSON this package reads what Proof has.
const MadeKey = "sightline.optimized"

// Proof is where a network that is not exact was held against its original.
type Proof struct {
	Engines   []Proved `json:"proved,omitempty"`
	Processor []string `json:"processor,omitempty"` // what Processor returned there
}

// Proved is an engine and the precision that it really computed in.
type Proved struct {
	Engine    string `json:"engine"`
	Precision string `json:"precision"`
}

// Processor names what engines here compute 8-bit integers and short floats with, by
// the system's words for it. Without vnni sums of products of bytes are cut off.
func Processor() []string {
	x, a := cpu.X86, cpu.ARM64
	names := []string{runtime.GOARCH}
	for _, f := range []struct {
		there bool
		name  string
	}{
		{x.HasAVX2, "avx2"}, {x.HasAVX512BW, "avx512bw"}, {x.HasAVX512VNNI, "avx512_vnni"}, {x.HasAVXVNNI, "avx_vnni"},
		{x.HasAVXVNNIInt8, "avx_vnni_int8"}, {x.HasAMXInt8, "amx_int8"}, {x.HasAVX512BF16, "avx512_bf16"}, {x.HasAMXBF16, "amx_bf16"},
		{a.HasASIMDDP, "asimddp"}, {a.HasI8MM, "i8mm"}, {a.HasSVE, "sve"},
	} {
		if f.there {
			names = append(names, f.name)
		}
	}
	return names
}

// proof reads what a file's metadata say; nothing where they do not.
func proof(metadata map[string]string) (p Proof) {
	if json.Unmarshal([]byte(metadata[MadeKey]), &p) != nil {
		return Proof{} // of another program
	}
	return p
}

// unproved says why nobody knows what a network in 8-bit integers sees on an engine and
// a processor; "" where it was proved there, or says nothing of it.
func (spec *Spec) unproved(engine string, processor []string) string {
	if !spec.Quantized || len(spec.proof.Engines) == 0 {
		return ""
	}
	var on []string
	for _, p := range spec.proof.Engines {
		if p.Precision == "int8" {
			on = append(on, p.Engine)
		}
	}
	here := slices.Equal(processor, spec.proof.Processor)
	if slices.Contains(on, engine) && here {
		return ""
	}
	text := fmt.Sprintf("its 8-bit integers were proved on %s", cmp.Or(strings.Join(on, ", "), "no engine"))
	if !here {
		text += fmt.Sprintf(" and a processor with %s, not with %s", strings.Join(spec.proof.Processor, " "), strings.Join(processor, " "))
	}
	return text + ": make it again where it is to run, or use its original"
}
