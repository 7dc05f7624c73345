package optimize

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
)

// What a report tells is read back from the file, without what machines differ in.
func TestProvenance(t *testing.T) {
	m := graphtest.NanoDet()
	r := &Report{
		SourceDigest: "abc", Mode: SceneMode, Classes: []string{"person"}, Calibration: "def", Steps: []Step{{Name: "affine", Count: 1}, {Name: "integers"}, {Name: "channels", Count: 2}},
		Before: Size{Parameters: 100, Bytes: 400, MACs: 1000}, After: Size{Parameters: 50, Bytes: 60, MACs: 300},
		Engines: []EngineReport{{Engine: "openvino", Precision: "int8", Agreement: Agreement{Recall: .98123456, Precision: .99}, Race: Race{Original: 7}}},
	}
	c := Config{Agreement: .97, Stream: "gate", Bind: "123"}
	if err := sign(m, c, r); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "signed.onnx")
	if err := os.WriteFile(path, m.Write(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadProvenance(path)
	want := &Provenance{
		Source: "abc", Mode: SceneMode, Steps: []string{"affine", "channels"}, Classes: []string{"person"}, Calibration: "def",
		Stream: "gate", Bind: "123", Agreement: .97,
		Figures: Figures{Recall: .9812, Precision: .99, MACs: [2]int64{1000, 300}, Parameters: [2]int{100, 50}, Bytes: [2]int{400, 60}},
		Proof:   onnx.Proof{Engines: []onnx.Proved{{Engine: "openvino", Precision: "int8"}}, Processor: onnx.Processor()},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestNoProvenance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "some.onnx")
	for says, data := range map[string][]byte{
		"":             graphtest.NanoDet().Write(),
		"cut short":    []byte("\x72\x7fabc"),
		"its entry si": (&graph.Model{Graph: graphtest.NanoDet().Graph, Metadata: []graph.Entry{{Key: onnx.MadeKey, Value: "{"}}}).Write(),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := ReadProvenance(path)
		if p != nil || (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("got %+v, %v, want %q", p, err, says)
		}
	}
	if _, err := ReadProvenance(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
}
