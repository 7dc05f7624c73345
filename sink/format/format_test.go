package format

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sightline/detect"
	"sightline/sink"
)

func TestCloudEventsIsTheStructuredForm(t *testing.T) {
	f, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range samples() {
		want, err := sink.AppendStructured([]byte("x"), r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Append(t.Context(), []byte("x"), r)
		if err != nil || string(got) != string(want) {
			t.Errorf("got %s (%v)\nwant %s", got, err, want)
		}
		if !f.Takes(r.Event.Type) {
			t.Errorf("%s is left out", r.Event.Type)
		}
	}
	if f.ContentType() != sink.StructuredType {
		t.Error("content type is", f.ContentType())
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for want, c := range map[string]Config{
		`format: "xml" is none of cloudevents`: {Kind: "xml"},
		"registry.url: missing":                {Kind: Avro},
		"registry.url: want http":              {Kind: Protobuf, Registry: Registry{URL: "localhost:8081"}},
		"registry.url: holds a login":          {Kind: Avro, Registry: Registry{URL: "http://viewer:hunter2@localhost:8081"}},
		`registry.subject: "topic" is none of`: {Kind: Avro, Registry: Registry{URL: "http://localhost:8081", Subject: "topic"}},
		"registry: tls.ca: ":                   {Kind: Avro, Registry: Registry{URL: "https://localhost:8081", CA: "none.pem"}},
	} {
		_, err := New(c)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestEveryTypeIsKnown: a type that EventTypes lacks would be left out of Avro.
func TestEveryTypeIsKnown(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../detect/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []detect.Type
	for n := range ast.Preorder(file) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			continue
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Type" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, detect.Type(text))
		}
	}
	if diff := cmp.Diff(declared, EventTypes()); diff != "" {
		t.Errorf("-declared +known:\n%s", diff)
	}
}
