package optimize

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sightline/internal/testkit"
)

// The default model's arithmetic is known from its authors' table: 2090 million
// multiply-adds at 416×416.
func TestSizeOfTheDefaultModel(t *testing.T) {
	m := readGraph(t, testkit.Dep(t, "models/coco-nano.onnx"))
	if s := SizeOf(m, 416, 416); s.MACs/1e6 != 2090 || s.Nodes != 105 {
		t.Errorf("%+v", s)
	}
	known := m.Graph.Shapes(416, 320)
	for value, want := range map[string][]int64{
		"network_input": {1, 3, 320, 416}, "maxpool_1": {1, 32, 80, 104}, "cls8": {1, 2080, 80}, "reg32": {1, 130, 44}, "split_1_1": {1, 44, 40, 52},
	} {
		if diff := cmp.Diff(want, known[value]); diff != "" {
			t.Errorf("%s: %s", value, diff)
		}
	}
	for _, n := range m.Graph.Nodes {
		if known[n.Outputs[0]] == nil {
			t.Errorf("%s (%s): not known", n.Outputs[0], n.Op)
		}
	}
}
