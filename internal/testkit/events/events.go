// Package events lets any test hold the events it made against the schema that
// ships in configs/events.schema.json.
package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sightline/configs"
)

// Validate fails the test unless text is one event in structured mode that the
// schema describes in full: members it does not name are an error here, though
// consumers are told to accept them.
func Validate(t testing.TB, text []byte) {
	t.Helper()
	if err := Check(text); err != nil {
		t.Errorf("%v in the event\n%s", err, text)
	}
}

// ValidateLines validates one event a line, and returns how many there were.
func ValidateLines(t testing.TB, text []byte) int {
	t.Helper()
	n := 0
	for line := range bytes.Lines(text) {
		Validate(t, bytes.TrimSpace(line))
		n++
	}
	return n
}

// Check is Validate for callers that want the error.
func Check(text []byte) error {
	schema, err := compiled()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return schema.Validate(value)
}

// compiled is the schema, made strict, once for all tests of a process.
var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	var doc map[string]any
	decoder := json.NewDecoder(strings.NewReader(configs.EventSchema()))
	decoder.UseNumber()
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("read the event schema: %w", err)
	}
	for _, def := range doc["$defs"].(map[string]any) {
		if d := def.(map[string]any); d["properties"] != nil {
			d["additionalProperties"] = false
		}
	}
	doc["unevaluatedProperties"] = false
	doc["properties"].(map[string]any)["type"] = map[string]any{"enum": types(doc)}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("events.schema.json", doc); err != nil {
		return nil, fmt.Errorf("add the event schema: %w", err)
	}
	return c.Compile("events.schema.json")
})

// types lists the event types that the schema's branches describe.
func types(doc map[string]any) []any {
	var out []any
	for _, branch := range doc["allOf"].([]any) {
		condition := branch.(map[string]any)["if"].(map[string]any)
		out = append(out, condition["properties"].(map[string]any)["type"].(map[string]any)["const"])
	}
	return out
}
