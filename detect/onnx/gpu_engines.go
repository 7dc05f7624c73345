package onnx

import (
	"fmt"
	"strconv"
	"strings"

	"sightline/internal/ort"
	"sightline/kernels"
)

// Engines on a GPU, beside onnxRuntime, which is there ONNX Runtime's code for
// CPUs, over the GPU's memory.
const (
	tensorRT   = "tensorrt"
	cudaEngine = "cuda"
)

// candidate is an engine that may run a network on a GPU.
type candidate struct{ name string }

// candidatesFor are the engines that a setting means, the best first.
func candidatesFor(setting string) []candidate {
	switch setting {
	case tensorRT:
		return []candidate{{tensorRT}}
	case onnxRuntime:
		return []candidate{{cudaEngine}, {onnxRuntime}}
	}
	return []candidate{{tensorRT}, {cudaEngine}, {onnxRuntime}}
}

// precision is what the candidate computes in. TensorRT converts the network to
// any; the others compute in what the file says. CUDA's auto lets convolutions
// round their factors to TF32 on the GPUs that have it, from Ampere on.
func (c candidate) precision(cfg Config, spec *Spec, compute [2]int) string {
	switch {
	case c.name == tensorRT && cfg.Precision == "auto":
		return "f16"
	case c.name == tensorRT:
		return cfg.Precision
	case spec.Input.Type == kernels.F16:
		return "f16"
	case c.name == cudaEngine && cfg.Precision == "auto" && compute[0] >= 8:
		return "tf32"
	}
	return "f32"
}

// fits says why the candidate cannot do what cfg asks for.
func (c candidate) fits(cfg Config, spec *Spec) error {
	if c.name == tensorRT || cfg.Precision == "auto" || cfg.Precision == "int8" {
		return nil
	}
	if runs := c.precision(cfg, spec, [2]int{}); runs != cfg.Precision {
		return fmt.Errorf("it computes this network in %s, not in %s", runs, cfg.Precision)
	}
	return nil
}

// providers are what a session is made with: what the first does not take goes to
// the next, and in the end to the CPU.
func (g *gpu) providers(c candidate, shape Shape, graphs bool) []ort.Provider {
	switch c.name {
	case tensorRT:
		return []ort.Provider{g.provider(c, shape, false), g.provider(candidate{cudaEngine}, shape, false)}
	case cudaEngine:
		return []ort.Provider{g.provider(c, shape, graphs)}
	}
	return nil
}

func (g *gpu) provider(c candidate, shape Shape, graphs bool) ort.Provider {
	p := ort.Provider{TensorRT: c.name == tensorRT, Stream: g.compute.Handle()}
	if p.TensorRT {
		p.Options = g.tensorRTOptions(c, shape)
	} else {
		p.Options = g.cudaOptions(graphs)
	}
	return p
}

// cudaOptions are those of onnxruntime/core/providers/cuda/cuda_execution_provider_info.cc.
func (g *gpu) cudaOptions(graphs bool) map[string]string {
	o := map[string]string{
		"device_id":              strconv.Itoa(g.device.Info().Index),
		"arena_extend_strategy":  "kSameAsRequested", // not powers of two: others need the memory
		"cudnn_conv_algo_search": "HEURISTIC",        // the same choice in every run, so the same boxes
		"use_tf32":               digit(g.cfg.Precision == "auto"),
		"enable_cuda_graph":      digit(graphs),
	}
	if g.cfg.Memory > 0 {
		o["gpu_mem_limit"] = g.limit()
	}
	return o
}

// tensorRTOptions are those of onnxruntime/core/providers/tensorrt/tensorrt_execution_provider_info.cc.
func (g *gpu) tensorRTOptions(c candidate, shape Shape) map[string]string {
	runs := c.precision(g.cfg, g.spec, g.device.Info().Compute)
	most := 1
	if g.spec.Input.Chunk > 1 {
		most = g.cfg.MaxBatch
	}
	o := map[string]string{
		"device_id":               strconv.Itoa(g.device.Info().Index),
		"trt_fp16_enable":         digit(runs == "f16" || runs == "int8"),
		"trt_bf16_enable":         digit(runs == "bf16"),
		"trt_int8_enable":         digit(g.spec.Quantized),
		"trt_engine_cache_enable": "1",
		"trt_engine_cache_path":   g.engineDir(c, shape),
		"trt_timing_cache_enable": "1",
		"trt_timing_cache_path":   g.cfg.cache(), // what one network's build measured serves the next
		"trt_profile_min_shapes":  profile(g.spec.Input, shape, 1),
		"trt_profile_opt_shapes":  profile(g.spec.Input, shape, most),
		"trt_profile_max_shapes":  profile(g.spec.Input, shape, most),
	}
	if g.cfg.Memory > 0 {
		o["trt_max_workspace_size"] = g.limit()
	}
	return o
}

// limit is the memory of one input size's session, each of which has its own.
func (g *gpu) limit() string {
	sizes := maxShapes
	if g.spec.Input.Fixed || g.cfg.Input != "aspect" {
		sizes = 1
	}
	return strconv.FormatInt(g.cfg.Memory/int64(sizes), 10)
}

func digit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// profile is an input's shape as TensorRT's provider reads it: images:4x3x320x416.
func profile(in Input, shape Shape, rows int) string {
	var dims []string
	for _, d := range in.dims(shape, rows) {
		dims = append(dims, strconv.FormatInt(d, 10))
	}
	return in.Name + ":" + strings.Join(dims, "x")
}
