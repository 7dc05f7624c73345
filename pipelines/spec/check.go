package spec

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	_ "time/tzdata" // so that a rule's timezone does not depend on the machine
)

// checker decodes the pipeline and then looks for what no single value shows.
type checker struct {
	*decoder
	root *node
	p    *Pipeline
}

func (c *checker) run() {
	c.structure(c.root, reflect.ValueOf(c.p).Elem(), "")
	c.origins[""] = c.root.at
	if c.p.Site == "" {
		c.p.Site = c.p.Name
	}
	if streams := c.root.get("streams"); streams != nil && streams.kind == mapNode && len(c.p.Streams) == 0 {
		c.bad("streams", "want at least one stream")
	}
	c.detect(&c.p.Detect)
	c.optimize(c.p.Detect.Optimize, "detect.optimize")
	c.quality(&c.p.Quality)
	if !c.failed("track") {
		c.track(&c.p.Track)
	}
	for i := range c.p.Streams {
		c.stream(&c.p.Streams[i])
	}
	c.rules()
	c.sinks()
	c.snapshots()
	c.web()
}

// leastMemory holds one small network with its batches.
const leastMemory = 64 << 20

// detect refuses what no machine runs; what this one lacks shows when it starts.
func (c *checker) detect(d *Detect) {
	gpu := strings.HasPrefix(d.Device, "cuda:")
	switch {
	case d.Engine == "tensorrt" && d.Device == "cpu":
		c.bad("detect.engine", "tensorrt runs on GPUs: leave detect.device at auto, or name one (cuda:0)")
	case d.Engine == "openvino" && gpu:
		c.bad("detect.engine", "openvino runs on the CPU, and detect.device is %s: want auto, tensorrt or onnxruntime", d.Device)
	}
	switch {
	case c.failed("detect.memory") || d.Memory == 0:
	case d.Device == "cpu":
		c.bad("detect.memory", "bounds the memory of GPUs, and detect.device is cpu")
	case d.Memory < leastMemory:
		c.bad("detect.memory", "too little for a network: want 64MiB at least")
	}
	switch {
	case c.failed("detect.cuda_graphs") || !d.CUDAGraphs:
	case d.Device == "cpu" || d.Engine == "openvino":
		c.bad("detect.cuda_graphs", "are for GPUs, and detect has the CPU compute")
	case d.Engine == "tensorrt":
		c.bad("detect.cuda_graphs", "are for ONNX Runtime's CUDA engine, and TensorRT has none: remove it, or set detect.engine: onnxruntime")
	}
}

// track keeps low <= high <= new: what nobody wrote gives way.
func (c *checker) track(t *Track) {
	written := func(key string) bool { _, ok := c.origins["track."+key]; return ok }
	if !written("low") {
		t.Low = min(t.Low, t.High)
	}
	if !written("new") {
		t.New = max(t.New, t.High)
	}
	if t.Low > t.High {
		c.bad("track.low", "%s is above track.high, %s", short(t.Low), short(t.High))
	}
	if t.New < t.High {
		c.bad("track.new", "%s is below track.high, %s", short(t.New), short(t.High))
	}
}

// bad reports a mistake about the value at path.
func (c *checker) bad(path, format string, args ...any) {
	c.report.add(c.where(path), path, format, args...)
}

// failed tells whether something at or below path was reported already.
func (c *checker) failed(path string) bool {
	return slices.ContainsFunc(c.report.found, func(d Diagnostic) bool {
		rest, ok := strings.CutPrefix(d.Path, path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// itemPath is the key path of the nth item of rules or sinks.
func itemPath(list, name string, n int) string {
	if name == "" {
		return fmt.Sprintf("%s[%d]", list, n)
	}
	return join(list, name)
}

func (c *checker) web() {
	w := c.p.Web
	if w == nil || c.failed("web") {
		return
	}
	host, ok := hostPort(w.Listen)
	switch {
	case !ok:
		c.bad("web.listen", "want HOST:PORT, such as 127.0.0.1:8080")
	case w.Auth == nil && !loopback(host):
		c.bad("web.listen", "reachable from other machines: add web.auth (username and password, or token), or listen on 127.0.0.1")
	case w.Auth != nil && (w.Auth.Username == "") != w.Auth.Password.IsZero():
		c.bad("web.auth", "want username and password together")
	case w.Auth != nil && w.Auth.Username == "" && w.Auth.Token.IsZero():
		c.bad("web.auth", "want username and password, or token")
	}
	for i, a := range w.Media.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			c.bad(itemPath("web.media.addresses", "", i), "%q is no IP address", a)
		}
	}
}
