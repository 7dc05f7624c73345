package spec

import (
	"io"
	"os"
	"path/filepath"
)

// Load reads files, later ones layered over earlier, then lays sets (KEY=VALUE)
// over them, and checks the result. Its error is Diagnostics with every mistake
// found; without files only sets can make a pipeline. It reads the files and
// those that ${file:} names, and opens nothing else.
func Load(paths, sets []string, env func(string) (string, bool)) (*Pipeline, error) {
	r := &report{files: append(append([]string{}, paths...), overrideFile)}
	var layers []*node
	for _, path := range paths {
		text, err := readFile(path)
		if err != nil {
			r.add(Origin{File: path}, "", "cannot read it: %v", reasonOf(err))
			layers = append(layers, nil)
			continue
		}
		layers = append(layers, parseLayer(path, text, env, r))
	}
	return build(layers, sets, env, r)
}

// Parse is Load for one text in memory. Name stands for it in messages, and
// relative paths start from the name's folder.
func Parse(name string, text []byte, sets []string, env func(string) (string, bool)) (*Pipeline, error) {
	r := &report{files: []string{name, overrideFile}}
	return build([]*node{parseLayer(name, text, env, r)}, sets, env, r)
}

func parseLayer(name string, text []byte, env Env, r *report) *node {
	f := &file{name: name, dir: filepath.Dir(name), env: env, report: r}
	return f.parse(text)
}

// readFile reads one byte more than a file may have, for the parser to refuse.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// build turns layers and overrides into a checked pipeline.
func build(layers []*node, sets []string, env Env, r *report) (*Pipeline, error) {
	root := &node{kind: mapNode}
	whole := true
	for _, l := range layers {
		if l == nil {
			whole = false
			continue
		}
		root = merge(root, l, true)
	}
	if !whole { // what is missing would only cause further complaints
		return nil, r.err()
	}
	root.at = Origin{File: r.files[0], Line: 1, Column: 1}
	for i, set := range sets {
		root = override(root, set, i+1, env, r)
	}
	p := &Pipeline{}
	d := newDecoder(r)
	c := &checker{decoder: d, root: inheritAll(root), p: p}
	c.run()
	if err := r.err(); err != nil {
		return nil, err
	}
	p.origins = d.origins
	return p, nil
}

// inheritAll gives every stream what it does not say itself: from defaults, then
// from the pipeline's detect, decode and quality.
func inheritAll(root *node) *node {
	streams := root.get("streams")
	if streams == nil || streams.kind != mapNode {
		return root
	}
	out := *streams
	out.entries = nil
	for _, e := range streams.entries {
		if e.value.kind == mapNode {
			e.value = inheritStream(root, e.value)
		}
		out.entries = append(out.entries, e)
	}
	return root.with("streams", &out)
}

func inheritStream(root, stream *node) *node {
	if defaults := root.get("defaults"); defaults != nil && defaults.kind == mapNode {
		stream = merge(defaults.inherit(), stream, true)
	}
	shared := map[string][]string{
		"detect":  {"model", "fps", "classes", "confidence", "optimize"},
		"decode":  {"threads", "skip_loop_filter", "damage", "skip", "hwaccel", "surfaces"},
		"quality": {"watch", "for"},
	}
	for section, keys := range shared {
		base, own := root.get(section).only(keys...).inherit(), stream.get(section)
		if own == nil {
			own = &node{kind: mapNode, inherited: true}
		}
		if own.kind == mapNode {
			stream = stream.with(section, merge(base, own, true))
		}
	}
	detect := stream.get("detect")
	if detect.kind == mapNode && detect.get("fps") == nil {
		stream = stream.with("detect", detect.with("fps", defaultNode(defaultFPS(ownAddress(stream)))))
	}
	return stream
}

// defaultFPS is detect.fps where nobody says: a file is looked at frame by frame.
func defaultFPS(url string) string {
	if kind, _, _ := sourceOf(url); !kind.Live() {
		return "all"
	}
	return "5"
}
