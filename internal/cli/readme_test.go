package cli

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sightline/internal/testkit"
	"sightline/pipelines/spec"
)

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.Root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns the fenced blocks of one language.
func blocks(text, language string) (found []string) {
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// TestReadmePipelines loads every pipeline that the README shows.
func TestReadmePipelines(t *testing.T) {
	set := func(string) (string, bool) { return "something", true }
	found := blocks(document(t, "README.md"), "yaml")
	if len(found) < 3 {
		t.Fatalf("%d pipelines in README.md, want at least 3", len(found))
	}
	for _, text := range found {
		dir := t.TempDir()
		path := filepath.Join(dir, "readme.yaml")
		write(t, path, text)
		for _, m := range regexp.MustCompile(`\$\{file:([^}]+)\}`).FindAllStringSubmatch(text, -1) {
			write(t, filepath.Join(dir, m[1]), "something")
		}
		if _, err := spec.Load([]string{path}, nil, set); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestReadmeCommands looks up every command and flag of the README's shell blocks.
func TestReadmeCommands(t *testing.T) {
	root := newRoot(&shell{out: io.Discard, err: io.Discard, env: os.LookupEnv})
	line := regexp.MustCompile(`(?m)^\./sightline ([^#\n]*)`)
	n := 0
	for _, block := range blocks(document(t, "README.md"), "sh") {
		for _, m := range line.FindAllStringSubmatch(block, -1) {
			n++
			words := strings.Fields(m[1])
			command, rest, err := root.Find(words)
			if err != nil || command == root {
				t.Errorf("%q: no such command (%v)", m[0], err)
				continue
			}
			if err := command.ParseFlags(rest); err != nil {
				t.Errorf("%q: %v", m[0], err)
			}
		}
	}
	if n < 5 {
		t.Errorf("%d commands in README.md, want at least 5", n)
	}
}

// TestDocumentsNameWhatIsThere follows relative links, headings of other
// documents included, and looks for every file and folder named in DESIGN.md.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	root := testkit.Root(t)
	link := regexp.MustCompile(`\]\(([^)#: ]*)(#[^) ]*)?\)`)
	for _, name := range []string{"README.md", "DESIGN.md", "CHANGELOG.md"} {
		for _, m := range link.FindAllStringSubmatch(document(t, name), -1) {
			target := m[1]
			if target == "" {
				target = name
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			} else if m[2] != "" && !headings(document(t, target))[m[2][1:]] {
				t.Errorf("%s links to %s%s: no such heading", name, target, m[2])
			}
		}
	}
	path := regexp.MustCompile("`([a-z][a-z0-9_]*(?:/[A-Za-z0-9_.-]*)+)`")
	named := path.FindAllStringSubmatch(document(t, "DESIGN.md"), -1)
	if len(named) < 30 {
		t.Errorf("%d paths named in DESIGN.md, want its map of files", len(named))
	}
	for _, m := range named {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("DESIGN.md names %s: %v", m[1], err)
		}
	}
}

// headings returns the anchors of a Markdown text.
func headings(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		out[strings.ReplaceAll(anchor, " ", "-")] = true
	}
	return out
}
