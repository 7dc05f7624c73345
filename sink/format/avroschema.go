package format

import (
	"bytes"
	"encoding/json"

	"sightline/detect"
)

// Namespace of the records and messages. Whatever is not an addition gets v2.
const Namespace = "sightline.v1"

// AvroSchema is the Avro schema of an event's type, indented. Attributes and data
// have the names of the JSON; what may be absent is a union with null and null by
// default; times are timestamp-micros; words of which more may come are strings.
func AvroSchema(t detect.Type) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, avroSchema(describe(t)), "", "  "); err != nil {
		panic(err) // what was just marshaled
	}
	return append(out.Bytes(), '\n')
}

func avroSchema(n *node) []byte {
	out, err := json.Marshal(avroType(n, map[*node]bool{}))
	if err != nil {
		panic(err) // of our own types
	}
	return out
}

type avroRecord struct {
	Type      string      `json:"type"`
	Name      string      `json:"name"`
	Namespace string      `json:"namespace"`
	Fields    []avroField `json:"fields"`
}

type avroField struct {
	Name    string          `json:"name"`
	Type    any             `json:"type"`
	Default json.RawMessage `json:"default,omitempty"`
}

// avroType is n as a schema has it; a record that was there before is its name.
func avroType(n *node, seen map[*node]bool) any {
	switch n.kind {
	case text:
		return "string"
	case decimal:
		return "double"
	case whole, padded:
		return "long"
	case stamp:
		return map[string]string{"type": "long", "logicalType": "timestamp-micros"}
	case list:
		return map[string]any{"type": "array", "items": avroType(n.elem, seen)}
	case dict:
		return map[string]any{"type": "map", "values": avroType(n.elem, seen)}
	}
	if seen[n] {
		return Namespace + "." + n.name
	}
	seen[n] = true
	r := avroRecord{Type: "record", Name: n.name, Namespace: Namespace}
	for _, m := range n.members {
		f := avroField{Name: m.name, Type: avroType(m.node, seen)}
		if m.optional {
			f.Type, f.Default = []any{"null", f.Type}, json.RawMessage("null")
		}
		r.Fields = append(r.Fields, f)
	}
	return r
}
