package layout

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sightline/internal/testkit"
)

const module = "sightline"

// Limits of STYLE, in lines.
const (
	maxFile, maxTest, maxKernel = 400, 600, 250
	maxFunc                     = 60
)

// layers lists the folders from upstream to downstream: a package imports only
// from layers before its own, and from its own what sameLayer allows.
var layers = []string{"configs", "internal/libav", "internal/ort", "internal/openvino", "kernels", "configs", "ingest", "decode", "detect", "sink", "pipelines", "web", "internal/cli", "internal/oracle", ""}

// bindings import no package of ours, neither each other nor kernels.
var bindings = []string{"internal/libav", "internal/ort", "internal/openvino", "kernels"}

// shared parts are no kinds: their siblings may import them.
var shared = []string{"ingest/rtp", "ingest/av", "ingest/camera", "ingest/httpauth", "detect/onnx", "detect/optimize/graph", "sink/journal", "sink/spool", "sink/format"}

// dataPackages may be imported for nothing but what they carry.
var dataPackages = []string{"embed", "time/tzdata"}

// assemblers put parts together: there the parent imports its sub-packages.
var assemblers = []string{"kernels", "pipelines", "web", "internal/cli"}

// A fence names the folders that may import a package; tests may besides where
// the folder is in tests, "*" being all.
type fence struct {
	imported    string
	code, tests []string
}

var fences = []fence{
	{"C", []string{"internal/libav", "internal/ort", "internal/openvino", "kernels"}, nil},
	{module + "/internal/libav", []string{"ingest/file", "ingest/av", "ingest/hls", "ingest/srt", "ingest/v4l2", "ingest/camera", "decode", "internal/cli"}, []string{"*"}},
	{module + "/internal/ort", []string{"detect/onnx", "detect/optimize", "internal/cli"}, []string{"*"}},
	{module + "/internal/openvino", []string{"detect/onnx", "detect/optimize", "internal/cli"}, []string{"*"}},
	{module + "/kernels", []string{"decode", "detect", "pipelines", "internal/cli"}, []string{"*"}},
	{"gocv.io/x/gocv", []string{"detect/motion", "detect/quality", "detect/eval", "sink/snapshot", "web", "internal/cli"}, []string{"kernels"}},
	{"github.com/segmentio/kafka-go", []string{"sink/kafka", "internal/cli", "internal/testkit"}, []string{"*"}},
	{"github.com/pion/webrtc", []string{"ingest/webrtc", "web"}, []string{"*"}},
	{"github.com/bluenviron/gortsplib", []string{"ingest/rtsp", "ingest/rtp", "ingest/camera", "internal/cli"}, []string{"*"}},
}

// A source is one Go file of ours, by its path from the repository's root.
type source struct {
	path string
	fset *token.FileSet
	file *ast.File
	text []byte
}

func (s source) folder() string { return strings.TrimPrefix(path.Dir(s.path), ".") }

// test says that the file never reaches the product: a test, or a package that only tests import.
func (s source) test() bool {
	return strings.HasSuffix(s.path, "_test.go") || isTestPackage(s.folder())
}

func TestImportsPointUpstream(t *testing.T) {
	for _, s := range sources(t) {
		for _, spec := range s.file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if spec.Name != nil && spec.Name.Name == "_" && !slices.Contains(dataPackages, imported) {
				t.Errorf("%s: blank import of %s: nothing registers itself here, pipelines/components.go is the one list", s.at(spec), imported)
			}
			if why := refuse(s.folder(), imported, s.test()); why != "" {
				t.Errorf("%s: imports %s: %s", s.at(spec), imported, why)
			}
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init: start things where they are owned", s.at(f))
			}
		}
	}
}

func TestSizes(t *testing.T) {
	for _, s := range sources(t) {
		limit := maxFile
		if strings.HasSuffix(s.path, "_test.go") {
			limit = maxTest
		}
		checkLines(t, s.path, s.text, limit)
		if s.test() {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunc {
				t.Errorf("%s: func %s has %d lines, the limit is %d: split it where a reader would pause", s.at(f), f.Name.Name, n, maxFunc)
			}
		}
	}
	for ext, limit := range map[string]int{".cu": maxKernel, ".c": maxFile, ".cc": maxFile, ".h": maxFile, ".py": maxFile, ".sh": maxFile} {
		for _, name := range files(t, ext) {
			text, err := os.ReadFile(filepath.Join(testkit.Root(t), name))
			if err != nil {
				t.Fatal(err)
			}
			checkLines(t, name, text, limit)
		}
	}
}

func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		folder, imported string
		test, refused    bool
	}{
		{"decode", "sightline/ingest", false, false},
		{"ingest", "sightline/decode", false, true},
		{"ingest/rtsp", "sightline/ingest", false, false},
		{"ingest/rtsp", "sightline/ingest/rtp", false, false},
		{"ingest/rtsp", "sightline/ingest/file", false, true},
		{"ingest", "sightline/ingest/rtsp", false, true},
		{"ingest/file", "sightline/internal/libav", false, false},
		{"ingest/rtsp", "sightline/internal/libav", false, true},
		{"ingest/rtsp", "sightline/ingest/ingesttest", false, true},
		{"ingest/rtsp", "sightline/ingest/ingesttest", true, false},
		{"internal/ort", "sightline/kernels", false, true},
		{"kernels", "sightline/kernels/cpu", false, false},
		{"decode", "sightline/kernels/emu", false, true},
		{"decode", "sightline/kernels/emu", true, false},
		{"detect/onnx", "sightline/internal/ort", false, false},
		{"detect/rules", "sightline/detect/track", false, true},
		{"detect/rules", "C", false, true},
		{"sink/kafka/embedded", "sightline/sink/kafka", false, false},
		{"sink", "sightline/sink/kafka", false, true},
		{"pipelines", "sightline/sink/kafka", false, false},
		{"pipelines", "sightline/pipelines/spec", false, false},
		{"pipelines", "sightline/pipelines/tally", false, false},
		{"pipelines/delivery", "sightline/pipelines/spec", false, false},
		{"pipelines/delivery", "sightline/pipelines/tally", false, true},
		{"pipelines/delivery", "sightline/pipelines", true, true},
		{"pipelines", "sightline/web", false, true},
		{"", "sightline/internal/cli", false, false},
		{"web", "github.com/pion/webrtc/v3", false, false},
		{"sink/jsonl", "github.com/segmentio/kafka-go", false, true},
		{"detect/track", "gocv.io/x/gocv", true, true},
		{"kernels", "gocv.io/x/gocv", true, false},
		{"kernels", "gocv.io/x/gocv", false, true},
		{"common", "sightline/ingest", false, true},
	} {
		why := refuse(c.folder, c.imported, c.test)
		if (why != "") != c.refused {
			t.Errorf("refuse(%q, %q, test %v) = %q, refused should be %v", c.folder, c.imported, c.test, why, c.refused)
		}
	}
}

// refuse says why a file in folder must not import a package, "" if it may.
func refuse(folder, imported string, test bool) string {
	for _, f := range fences {
		if !below(imported, f.imported) || below(module+"/"+folder, f.imported) || within(folder, f.code) {
			continue
		}
		if !test || !(slices.Contains(f.tests, "*") || within(folder, f.tests)) {
			return fmt.Sprintf("only %s may", strings.Join(f.code, ", "))
		}
	}
	if !below(imported, module) {
		return ""
	}
	target := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
	if isTestPackage(target) {
		if test {
			return ""
		}
		return "only tests may"
	}
	if strings.HasPrefix(folder, "internal/testkit") || folder == "internal/layout" {
		return ""
	}
	return refuseLayer(folder, target)
}

func refuseLayer(folder, target string) string {
	from, to := layer(folder), layer(target)
	switch {
	case from < 0:
		return folder + " is no folder of ARCHITECTURE"
	case to < 0:
		return target + " is no folder of ARCHITECTURE"
	case from == to:
		return refuseSibling(folder, target)
	case slices.Contains(bindings, layers[from]):
		return "bindings and kernels import no package of ours"
	case to > from:
		return fmt.Sprintf("%s is downstream of %s; imports point upstream", layers[to], layers[from])
	}
	return ""
}

// refuseSibling rules imports inside one layer.
func refuseSibling(folder, target string) string {
	top := layers[layer(folder)]
	switch {
	case top == "pipelines" && folder != top && target != "pipelines/spec" && !below(target, folder):
		return "what is below pipelines shares nothing but pipelines/spec; pipelines puts it together"
	case below(folder, target), slices.Contains(shared, target), slices.Contains(assemblers, top), below(target, folder) && folder != top:
		return ""
	case folder == top:
		return "a package does not import its own kinds; pipelines/components.go lists them"
	}
	return "kinds do not import each other"
}

// layer returns the index of the layer that a folder belongs to, -1 for none.
func layer(folder string) int {
	return slices.IndexFunc(layers, func(l string) bool { return folder == l || l != "" && below(folder, l) })
}

func below(name, top string) bool { return name == top || strings.HasPrefix(name, top+"/") }

func within(folder string, tops []string) bool {
	return slices.ContainsFunc(tops, func(top string) bool { return below(folder, top) })
}

func isTestPackage(folder string) bool {
	return below(folder, "internal/testkit") || below(folder, "kernels/emu") || strings.HasSuffix(path.Base(folder), "test")
}

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}

func checkLines(t *testing.T, name string, text []byte, limit int) {
	t.Helper()
	if n := bytes.Count(text, []byte("\n")); n > limit && !bytes.Contains(text, []byte("// Code generated ")) {
		t.Errorf("%s has %d lines, the limit is %d: one job a file, split it", name, n, limit)
	}
}

// sources parses every Go file of the repository.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, name := range files(t, ".go") {
		text, err := os.ReadFile(filepath.Join(testkit.Root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{path: filepath.ToSlash(name), fset: fset, file: file, text: text})
	}
	if len(all) < 10 {
		t.Fatalf("found only %d Go files", len(all))
	}
	return all
}

// files lists what ends in ext, outside hidden folders, testdata, other modules
// and include folders (headers of others).
func files(t *testing.T, ext string) []string {
	t.Helper()
	root := testkit.Root(t)
	var found []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root {
			if strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"testdata", "tools", "out", "include"}, d.Name()) {
				return filepath.SkipDir
			}
		}
		if !d.IsDir() && path.Ext(d.Name()) == ext {
			rel, _ := filepath.Rel(root, name)
			found = append(found, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
