package spec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"sightline/internal/testkit"
)

// FuzzParse feeds any text: it must give a pipeline or mistakes with a place in
// the text, and what loads must load again after being rendered.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"configs/*.yaml", "configs/testdata/bad/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(testkit.Root(f), pattern))
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text), "streams.gate.title=x")
		}
	}
	f.Add(base, "rules.loitering.for=20s")
	f.Add(base, `detect={batch: [1, "x", {a: null}]}`)
	f.Add(strings.Repeat("[", 200), "a=[[[")
	f.Add(strings.Repeat("- ", 200), "a='")
	f.Add(strings.Repeat("? ", 200), "a.b.c.d.e=1")
	f.Add(strings.Repeat("&a ", 200)+"!!x", "=")
	f.Add("a: &a [*a]\nb: &b {<<: *b}\n<<: [*a, *b]\n", "a=&x")
	env := func(name string) (string, bool) { return "v", name != "UNSET" }
	f.Fuzz(func(t *testing.T, text, set string) {
		p, err := Parse("a.yaml", []byte(text), []string{set}, env)
		if err != nil {
			places(t, err, text)
			return
		}
		var rendered strings.Builder
		if err := p.Render(&rendered); err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(text + set) {
			return // YAML cannot write such text, so it comes back changed
		}
		if _, err := Parse("b.yaml", []byte(rendered.String()), nil, env); err != nil {
			t.Fatalf("rendered does not load: %v\n%s", err, rendered.String())
		}
	})
}

// places checks that each mistake points into the text.
func places(t *testing.T, err error, text string) {
	var found Diagnostics
	if !errors.As(err, &found) || len(found) == 0 {
		t.Fatalf("error %v is no Diagnostics", err)
	}
	lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1
	for _, d := range found {
		if d.Message == "" || d.Line < 0 || d.File == "a.yaml" && d.Line > lines {
			t.Fatalf("%+v is not in the %d lines", d, lines)
		}
	}
}
