package spec

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"

	"sightline/detect"
	"sightline/internal/testkit"
)

var update = flag.Bool("update", false, "write configs/schema.json anew")

// TestSchemaIsFresh compares the schema that ships with the one the types give.
func TestSchemaIsFresh(t *testing.T) {
	path := filepath.Join(testkit.Root(t), "configs", "schema.json")
	fresh, err := json.MarshalIndent(pipelineSchema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	fresh = append(fresh, '\n')
	if *update {
		if err := os.WriteFile(path, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shipped, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(shipped), string(fresh)); diff != "" {
		t.Errorf("configs/schema.json is stale; run `go test ./pipelines/spec -update`:\n%s", diff)
	}
}

// pipelineSchema reflects the types, then says in JSON Schema what reflection
// cannot: maps of names, variables, nulls, and keys that only some kinds have.
func pipelineSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	r := &jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, Anonymous: true, Mapper: scalarSchema}
	if err := r.AddGoComments("sightline/pipelines/spec", "."); err != nil {
		t.Fatal(err)
	}
	s := r.Reflect(&Pipeline{})
	s.Title = "Sightline pipeline, version 1"
	for name, typ := range map[string]reflect.Type{
		"Pipeline": reflect.TypeFor[Pipeline](), "Detect": reflect.TypeFor[Detect](), "Batch": reflect.TypeFor[Batch](),
		"Track": reflect.TypeFor[Track](), "Decode": reflect.TypeFor[Decode](), "Stream": reflect.TypeFor[Stream](),
		"StreamDefaults": reflect.TypeFor[StreamDefaults](), "StreamDetect": reflect.TypeFor[StreamDetect](),
		"Zone": reflect.TypeFor[Zone](), "Line": reflect.TypeFor[Line](), "Rule": reflect.TypeFor[Rule](),
		"Sink": reflect.TypeFor[Sink](), "Registry": reflect.TypeFor[Registry](), "TLS": reflect.TypeFor[TLS](), "SASL": reflect.TypeFor[SASL](),
		"CreateTopic": reflect.TypeFor[CreateTopic](),
		"Spool":       reflect.TypeFor[Spool](), "DeadLetter": reflect.TypeFor[DeadLetter](), "Rotate": reflect.TypeFor[Rotate](), "Web": reflect.TypeFor[Web](), "Auth": reflect.TypeFor[Auth](),
		"Media": reflect.TypeFor[Media](), "Quality": reflect.TypeFor[Quality](), "URLs": reflect.TypeFor[URLs](),
		"ICEServer": reflect.TypeFor[ICEServer](), "StreamTLS": reflect.TypeFor[StreamTLS](),
		"Snapshots": reflect.TypeFor[Snapshots](), "S3": reflect.TypeFor[S3](),
	} {
		def := s.Definitions[name]
		if def == nil {
			t.Fatalf("the schema lacks %s", name)
		}
		inlineSchemas(s, def)
		finishProperties(def, typ)
	}
	for _, name := range inlinedKinds() {
		delete(s.Definitions, name)
	}
	return s
}

func scalarSchema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`}
	case reflect.TypeFor[Size]():
		return &jsonschema.Schema{Type: "string", Pattern: `^[0-9]+(\.[0-9]*)? ?([KMGT]iB|[kMGT]B|B)$`}
	case reflect.TypeFor[Secret](), reflect.TypeFor[Address]():
		return &jsonschema.Schema{Type: "string"}
	case reflect.TypeFor[FPS]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "number", ExclusiveMinimum: "0", Maximum: json.Number("1000")}, {Const: "all"}}}
	case reflect.TypeFor[Input]():
		return &jsonschema.Schema{Type: "string", Pattern: `^(aspect|model|[0-9]+x[0-9]+)$`}
	case reflect.TypeFor[detect.Point]():
		two := uint64(2)
		return &jsonschema.Schema{Type: "array", MinItems: &two, MaxItems: &two,
			Items: &jsonschema.Schema{Type: "number", Minimum: "0", Maximum: "1"}}
	}
	return nil
}

// inlinedKinds are the structs of kinds of sink: their keys are the sink's.
func inlinedKinds() []string { return []string{"Kafka", "JSONL", "MQTT", "Webhook"} }

// inlineSchemas moves the keys of inlined kinds into def. What several kinds have
// is described for each.
func inlineSchemas(root, def *jsonschema.Schema) {
	for _, name := range inlinedKinds() {
		if _, ok := def.Properties.Get(name); !ok {
			continue
		}
		def.Properties.Delete(name)
		part := root.Definitions[name]
		for p := part.Properties.Oldest(); p != nil; p = p.Next() {
			if other, ok := def.Properties.Get(p.Key); ok {
				both(p.Value, other)
			}
			def.Properties.Set(p.Key, p.Value)
		}
	}
}

// both adds to p what another kind says of its key of the same name.
func both(p, other *jsonschema.Schema) {
	if other.Description != p.Description {
		p.Description = other.Description + "\n" + p.Description
	}
	for _, word := range p.Enum {
		if !slices.Contains(other.Enum, word) {
			other.Enum = append(other.Enum, word)
		}
	}
	p.Enum = other.Enum
	if p.Default != other.Default {
		p.Default = nil
	}
}

// finishProperties rewrites def's properties by what typ's tags say.
func finishProperties(def *jsonschema.Schema, typ reflect.Type) {
	var kinds []string
	done, words := map[string]bool{}, map[string][]any{} // what any kind allows of a key
	for _, f := range fieldsOf(typ) {
		for _, word := range f.enum {
			if !slices.Contains(words[f.key], any(word)) {
				words[f.key] = append(words[f.key], word)
			}
		}
	}
	for _, f := range fieldsOf(typ) {
		if f.kinds != nil {
			def.Required = slices.DeleteFunc(def.Required, func(r string) bool { return r == f.key })
		}
		if done[f.key] {
			continue
		}
		done[f.key] = true
		p, ok := def.Properties.Get(f.key)
		if !ok {
			panic("no property " + f.key)
		}
		if p.Enum != nil {
			p.Enum = words[f.key]
		}
		if f.key == "kind" {
			kinds = f.enum
		}
		if f.isName {
			p.Pattern = namePattern
		}
		if f.named {
			p.Type, p.PatternProperties, p.AdditionalProperties = "object", map[string]*jsonschema.Schema{namePattern: orNull(p.Items)}, jsonschema.FalseSchema
			p.Items = nil
		}
		def.Properties.Set(f.key, loosen(p, f.required && f.kinds == nil))
	}
	if typ == reflect.TypeFor[Stream]() {
		def.OneOf = []*jsonschema.Schema{{Required: []string{"url"}}, {Required: []string{"urls"}}}
	}
	if typ == reflect.TypeFor[SASL]() {
		def.OneOf = []*jsonschema.Schema{{Required: []string{"username", "password"}}, {Required: []string{"token"}}}
	}
	if typ == reflect.TypeFor[Rule]() || typ == reflect.TypeFor[Sink]() {
		for _, kind := range kinds {
			def.AllOf = append(def.AllOf, kindSchema(typ, kind))
		}
	}
}

// kindSchema says which keys one kind needs, and which it does not have.
func kindSchema(typ reflect.Type, kind string) *jsonschema.Schema {
	is, then := jsonschema.NewProperties(), jsonschema.NewProperties()
	is.Set("kind", &jsonschema.Schema{Const: kind})
	out := &jsonschema.Schema{
		If:   &jsonschema.Schema{Properties: is, Required: []string{"kind"}},
		Then: &jsonschema.Schema{Properties: then},
	}
	fields := fieldsOf(typ)
	for _, f := range fields {
		switch {
		case f.kinds == nil:
		case !f.fits(kind):
			if !slices.ContainsFunc(fields, func(o field) bool { return o.key == f.key && o.fits(kind) }) {
				then.Set(f.key, jsonschema.FalseSchema)
			}
		case f.required:
			out.Then.Required = append(out.Then.Required, f.key)
		}
	}
	return out
}

func orNull(s *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, {Type: "null"}}}
}

// loosen lets a property also be what the loader takes for it: a variable, a
// number where text is wanted, and null, which removes.
func loosen(p *jsonschema.Schema, required bool) *jsonschema.Schema {
	if p.Type == "string" && p.Enum == nil && p.Pattern == "" && p.Format == "" {
		p.Type, p.Extras = "", map[string]any{"type": []string{"string", "number", "boolean", "null"}}
		return p
	}
	inner := *p
	inner.Description, inner.Default = "", nil
	if more := p.AdditionalProperties; more != nil && more.Type == "string" {
		inner.AdditionalProperties = loosen(more, true)
	}
	out := &jsonschema.Schema{Description: p.Description, Default: p.Default, AnyOf: []*jsonschema.Schema{&inner}}
	if p.Ref == "" && p.Type != "array" && p.Type != "object" {
		out.AnyOf = append(out.AnyOf, &jsonschema.Schema{Type: "string", Pattern: `\$\{`})
	}
	if !required {
		out.AnyOf = append(out.AnyOf, &jsonschema.Schema{Type: "null"})
	}
	return out
}
