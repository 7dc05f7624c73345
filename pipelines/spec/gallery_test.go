package spec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sightline/internal/testkit"
)

func noEnv(string) (string, bool) { return "", false }

func configFiles(t *testing.T, folder, least string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testkit.Root(t), "configs", folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if filepath.Base(f) == least {
			return files
		}
	}
	t.Fatalf("%s is not among the %d files of %s", least, len(files), folder)
	return nil
}

// TestGallery loads each file of mistakes. Its `# want:` lines are the whole of
// what must be said, in order, less the file's name.
func TestGallery(t *testing.T) {
	for _, path := range configFiles(t, "testdata/bad", "several-at-once.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if w, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSpace(w))
				}
			}
			t.Chdir(filepath.Dir(path))
			_, err = Load([]string{filepath.Base(path)}, nil, noEnv)
			var found Diagnostics
			if !errors.As(err, &found) {
				t.Fatalf("error %v is no Diagnostics", err)
			}
			var got []string
			for _, d := range found {
				got = append(got, strings.TrimLeft(strings.TrimPrefix(d.String(), filepath.Base(path)), ": "))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "hunt%er2") {
				t.Errorf("the password is in the message: %v", err)
			}
		})
	}
}

// TestShippedFiles loads what ships with no variable set, renders it and loads
// that again.
func TestShippedFiles(t *testing.T) {
	schema := compiledSchema(t)
	for _, path := range configFiles(t, "", "shop-door.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			p, err := Load([]string{path}, nil, noEnv)
			if err != nil {
				t.Fatal(err)
			}
			var rendered strings.Builder
			if err := p.Render(&rendered); err != nil {
				t.Fatal(err)
			}
			again, err := Parse("rendered.yaml", []byte(rendered.String()), nil, noEnv)
			if err != nil {
				t.Fatalf("what was rendered does not load: %v\n%s", err, rendered.String())
			}
			var second strings.Builder
			if err := again.Render(&second); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(withoutOrigins(rendered.String()), withoutOrigins(second.String())); diff != "" {
				t.Errorf("rendering is not stable:\n%s", diff)
			}
			if err := validate(t, schema, path); err != nil {
				t.Errorf("the JSON Schema refuses it: %v", err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(text), "# yaml-language-server: $schema=schema.json\n") {
				t.Error("the first line does not name the schema for editors")
			}
		})
	}
}

// withoutOrigins drops the comments that say where values come from.
func withoutOrigins(s string) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		value, _, _ := strings.Cut(line, " # ")
		out.WriteString(strings.TrimRight(value, " \n") + "\n")
	}
	return out.String()
}

// TestSchemaRefuses holds the schema against mistakes that an editor should mark.
func TestSchemaRefuses(t *testing.T) {
	schema := compiledSchema(t)
	bad := filepath.Join(testkit.Root(t), "configs", "testdata", "bad")
	for _, name := range []string{
		"version-missing", "version-unknown", "name-with-capitals", "streams-a-list", "stream-name-with-a-space",
		"unknown-top-key", "unknown-stream-key", "unknown-nested-key", "url-missing", "transport-unknown",
		"confidence-out-of-range", "fps-zero", "engine-unknown", "device-unknown", "input-unknown", "batch-not-whole",
		"duration-without-unit", "zone-two-corners", "zone-in-pixels", "line-three-points", "rule-kind-unknown",
		"rule-zone-for-a-line", "rule-dwell-without-for", "sink-kind-unknown", "sink-key-of-another-kind",
		"sink-buffer-without-unit", "kafka-without-brokers", "kafka-sasl-without-password", "kafka-create-topic-misspelt", "kafka-create-topic-none", "jsonl-without-path",
		"url-and-urls", "urls-without-main", "urls-unknown-key", "urls-a-list", "detect-from-unknown", "detect-enabled-a-word", "fallback-a-word",
		"tls-unknown-key", "decode-damage-unknown", "decode-skip-unknown", "decode-hwaccel-unknown", "decode-surfaces", "quality-watch-unknown",
		"quality-for-without-unit", "media-port-too-high", "media-unknown-key",
		"snapshots-type-without-object", "snapshots-s3-without-secret", "snapshots-margin-in-percent",
		"spool-key-unknown", "spool-when-full-unknown", "dead-letter-tries", "format-unknown",
	} {
		if validate(t, schema, filepath.Join(bad, name+".yaml")) == nil {
			t.Errorf("the JSON Schema accepts %s.yaml", name)
		}
	}
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testkit.Root(t), "configs", "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, path string) error {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}
