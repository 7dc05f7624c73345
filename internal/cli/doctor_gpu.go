package cli

import (
	"errors"
	"fmt"
	"strings"

	"sightline/detect/onnx"
	"sightline/internal/ort"
	"sightline/kernels/driver"
	"sightline/pipelines/spec"
)

// examineGPUs says which NVIDIA GPUs there are, what each decodes, and what of the rest
// that it takes to use them is there.
func (sh *shell) examineGPUs() []finding {
	found, err := sh.machine.probe()
	if err != nil {
		f := finding{Part: "NVIDIA GPU", Found: "none: " + err.Error()}
		if !errors.Is(err, driver.ErrNone) && !errors.Is(err, driver.ErrNoDevice) {
			f.Todo = "see dmesg and nvidia-smi; networks run on the CPU until then"
		}
		return []finding{f}
	}
	var out []finding
	for _, d := range found.Devices {
		name := fmt.Sprintf("cuda:%d", d.Index)
		out = append(out, finding{
			Part: "GPU " + name, OK: true,
			Found: fmt.Sprintf("%s, compute capability %d.%d, %.1f GiB, driver for CUDA %s", d.Name, d.Compute[0], d.Compute[1], float64(d.Memory)/(1<<30), found.Version),
		}, examineDecoders(d.Index))
	}
	return append(out, sh.examineBinary(), examineProviders(), examineCache())
}

// examineDecoders says what a GPU decodes, of pictures with 8 bits a sample.
func examineDecoders(device int) finding {
	f := finding{Part: fmt.Sprintf("NVDEC cuda:%d", device)}
	codecs, err := driver.Decoders(device)
	if err != nil {
		f.Todo = err.Error() + ": streams are decoded in software, and uploaded"
		return f
	}
	var takes []string
	for _, c := range codecs {
		if c.Engines > 0 {
			takes = append(takes, fmt.Sprintf("%s to %d×%d (%s)", c.Codec, c.Width, c.Height, count(c.Engines, "decoder")))
		}
	}
	f.OK, f.Found = len(takes) > 0, strings.Join(takes, ", ")
	f.Todo = todo(!f.OK, "it decodes nothing: streams are decoded in software, and uploaded")
	return f
}

// examineBinary looks for the program that can use a GPU.
func (sh *shell) examineBinary() finding {
	f := finding{Part: "GPU path", OK: true, Found: "in this program"}
	if sh.machine.built() {
		return f
	}
	path, err := sh.machine.sibling()
	if err != nil {
		return finding{Part: "GPU path", Todo: err.Error()}
	}
	f.Found = path + ", which run, bench and warmup go on in"
	return f
}

// examineProviders says what ONNX Runtime computes with. On a GPU, one without CUDA still
// runs networks on the CPU, with everything around them on the GPU.
func examineProviders() finding {
	f := finding{Part: "GPU providers"}
	for _, e := range onnx.Engines(nil) {
		if e.Name != "onnxruntime" || e.Err != nil {
			continue
		}
		lib, err := ort.Open(e.Path)
		if err != nil {
			f.Todo = err.Error()
			return f
		}
		defer lib.Close()
		names, err := lib.Providers()
		if err != nil {
			f.Todo = err.Error()
			return f
		}
		for _, n := range names {
			f.OK = f.OK || strings.HasPrefix(n, "CUDA") || strings.HasPrefix(n, "Tensorrt")
		}
		f.Found = strings.Join(names, ", ") + " in " + e.Path
	}
	f.Todo = todo(!f.OK, "put ONNX Runtime's GPU build (libonnxruntime.so with its providers, and CUDA's libraries) where engines are looked for: networks run on the CPU until then")
	return f
}

// examineGraphs says what a pipeline that asks for CUDA graphs can expect. Whether a
// network can be recorded shows only when it is.
func (sh *shell) examineGraphs(d spec.Detect) []finding {
	if !d.CUDAGraphs {
		return nil
	}
	_, err := sh.machine.probe()
	f := finding{Part: "CUDA graphs", OK: err == nil, Found: "asked for; `sightline warmup` records them for a try, and status says how many a run has"}
	f.Todo = todo(!f.OK, "there is no GPU to replay them: detect.cuda_graphs does nothing here")
	return []finding{f}
}

// examineCache says what is compiled already.
func examineCache() finding {
	dir := onnx.CacheDir()
	f := finding{Part: "compiled networks", OK: true}
	engines, err := onnx.CachedEngines(dir)
	if err != nil {
		return finding{Part: f.Part, Todo: err.Error()}
	}
	var bytes int64
	for _, e := range engines {
		bytes += e.Bytes
	}
	f.Found = fmt.Sprintf("%s in %s, %d MiB", count(len(engines), "engine"), dir, bytes>>20)
	f.Todo = todo(len(engines) == 0, "with TensorRT, `sightline warmup` compiles them ahead of time")
	return f
}
