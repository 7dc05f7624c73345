package optimization

import (
	"fmt"
	"slices"
	"testing"

	"sightline/detect/onnx"
	"sightline/pipelines/spec"
)

// A network is made for all streams of its model and settings, and for the classes of any
// of them, with those that are blurred; none are all. What one stream alone sees may have
// the input fit it.
func TestRecipe(t *testing.T) {
	for _, c := range []struct {
		mode, input, gate, door, blur string
		streams, classes              []string
		fit                           bool
	}{
		{"general", "aspect", "[person]", "[car, person]", "", []string{"gate", "door"}, []string{"car", "person"}, false},
		{"general", "aspect", "[person]", "[person]", "[face]", []string{"gate", "door"}, []string{"face", "person"}, false},
		{"general", "aspect", "[person]", "[]", "[face]", []string{"gate", "door"}, nil, false},
		{"scene", "aspect", "[person]", "[car]", "[person]", []string{"gate"}, []string{"person"}, true},
		{"scene", "320x256", "[person]", "[car]", "", []string{"gate"}, []string{"person"}, false},
	} {
		text := fmt.Sprintf(`version: 1
name: p
detect: { input: %s, optimize: { mode: %s } }
streams:
  gate: { url: 'rtsp://10.0.0.3/main', detect: { classes: %s } }
  door: { url: 'rtsp://10.0.0.4/main', detect: { classes: %s } }
`, c.input, c.mode, c.gate, c.door)
		if c.blur != "" {
			text += fmt.Sprintf("snapshots: { path: pictures, blur: %s }\n", c.blur)
		}
		sp := parse(t, text)
		r := recipeFor(sp, stream(t, sp, "gate"), &onnx.Spec{}, "none")
		slices.Sort(r.Streams)
		slices.Sort(c.streams)
		if !slices.Equal(r.Streams, c.streams) || !slices.Equal(r.Classes, c.classes) || r.Fit != c.fit || len(r.Binds) != len(c.streams) {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

func parse(t *testing.T, text string) *spec.Pipeline {
	t.Helper()
	sp, err := spec.Parse("test.yaml", []byte(text), nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func stream(t *testing.T, sp *spec.Pipeline, name string) *spec.Stream {
	t.Helper()
	i := slices.IndexFunc(sp.Streams, func(s spec.Stream) bool { return s.Name == name })
	if i < 0 {
		t.Fatal("no stream ", name)
	}
	return &sp.Streams[i]
}
