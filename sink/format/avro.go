package format

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/hamba/avro/v2"

	"sightline/detect"
	"sightline/sink"
)

// avroFormat writes Confluent's wire format: a zero, the schema's id in four bytes,
// and the event in Avro.
type avroFormat struct {
	registry *registry
	shapes   map[detect.Type]*avroShape
	writer   *avro.Writer
	source
}

// avroShape is what one type of event looks like.
type avroShape struct {
	node   *node
	schema schema
}

func newAvro(c Registry) (Format, error) {
	r, err := newRegistry(c)
	if err != nil {
		return nil, err
	}
	f := &avroFormat{registry: r, shapes: map[detect.Type]*avroShape{}, writer: avro.NewWriter(nil, 2048)}
	for _, t := range EventTypes() {
		n := describe(t)
		f.shapes[t] = &avroShape{n, schema{name: Namespace + "." + n.name, text: string(avroSchema(n))}}
	}
	return f, nil
}

func (f *avroFormat) Append(ctx context.Context, dst []byte, r sink.Record) ([]byte, error) {
	shape := f.shapes[r.Event.Type]
	if shape == nil {
		return dst, fmt.Errorf("type %s: %w", r.Event.Type, ErrNoCounterpart)
	}
	event, err := f.event(r)
	if err != nil {
		return dst, err
	}
	f.writer.Reset(nil)
	if err := f.write(shape.node, event); err != nil {
		return dst, fmt.Errorf("event %s in Avro: %w", r.Event.ID, err)
	}
	id, err := f.registry.id(ctx, shape.schema, r.Topic)
	if err != nil {
		return dst, err
	}
	return append(appendFrame(dst, id), f.writer.Buffer()...), nil
}

func (f *avroFormat) ContentType() string      { return "application/avro" }
func (f *avroFormat) Takes(t detect.Type) bool { return f.shapes[t] != nil }

// appendFrame begins a message in Confluent's wire format.
func appendFrame(dst []byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0), id)
}

// write writes the value that n describes.
func (f *avroFormat) write(n *node, v *value) error {
	switch n.kind {
	case record, tuple:
		return f.writeRecord(n, v)
	case list, dict:
		return f.writeBlock(n, v)
	case text:
		if v.kind != '"' {
			return fmt.Errorf("%v is no string", v)
		}
		f.writer.WriteBytes(v.text) // a string is written as bytes are
		return nil
	case decimal:
		x, err := float(v)
		f.writer.WriteDouble(x)
		return err
	}
	x, err := integer(n.kind, v)
	f.writer.WriteLong(x)
	return err
}

// writeBlock writes the items of an array or map as one block, a map's by name.
func (f *avroFormat) writeBlock(n *node, v *value) error {
	if want := byte('['); n.kind == list && v.kind != want || n.kind == dict && v.kind != '{' {
		return fmt.Errorf("%v is no array or object", v)
	}
	items := v.items
	if n.kind == dict {
		items = slices.SortedFunc(slices.Values(items), func(a, b value) int { return bytes.Compare(a.name, b.name) })
	}
	if len(items) > 0 {
		f.writer.WriteBlockHeader(int64(len(items)), 0)
	}
	for i := range items {
		if n.kind == dict {
			f.writer.WriteBytes(items[i].name)
		}
		if err := f.write(n.elem, &items[i]); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	f.writer.WriteBlockHeader(0, 0)
	return nil
}

func (f *avroFormat) writeRecord(n *node, v *value) error {
	if n.kind == record && v.kind != '{' || n.kind == tuple && (v.kind != '[' || len(v.items) != len(n.members)) {
		return fmt.Errorf("%v is no %s", v, n.name)
	}
	found, last := 0, -1
	for i, m := range n.members {
		at := i
		if n.kind == record {
			at = v.member(m.name, last+1)
		}
		if at < 0 { // a union: its first branch is null
			if !m.optional {
				return fmt.Errorf("%s is missing", m.name)
			}
			f.writer.WriteLong(0)
			continue
		}
		if found, last = found+1, at; m.optional {
			f.writer.WriteLong(1)
		}
		if err := f.write(m.node, &v.items[at]); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if found == len(v.items) {
		return nil
	}
	return unknown(n, v) // nothing is left out silently
}

func unknown(n *node, v *value) error {
	for i := range v.items {
		if !slices.ContainsFunc(n.members, func(m member) bool { return m.name == string(v.items[i].name) }) {
			return fmt.Errorf("the schema of %s has no %q", n.name, v.items[i].name)
		}
	}
	return fmt.Errorf("%s has a member twice", n.name)
}
