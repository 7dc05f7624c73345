package optimize

import "testing"

// What another engine will run, or more than one, is left as it is.
func TestWinogradForItsEngineAlone(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   bool
	}{
		{Config{Engines: []string{"onnxruntime"}}, true},
		{Config{Engines: []string{"onnxruntime"}, Plain: true}, false},
		{Config{Engines: []string{"openvino"}}, false},
		{Config{Engines: []string{"openvino", "onnxruntime"}}, false},
	} {
		if got := lowers(c.config); got != c.want {
			t.Errorf("%+v: %t", c.config, got)
		}
	}
}
