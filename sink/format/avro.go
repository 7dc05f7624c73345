package format

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

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
	event, err := tree(r)
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

// tree is the event as its JSON has it, less what schemas leave out: the JSON is the
// truth, and a record read back from disk has nothing else.
func tree(r sink.Record) (map[string]any, error) {
	text := r.JSON
	if text == nil {
		var err error
		if text, err = sink.AppendStructured(nil, r); err != nil {
			return nil, err
		}
	}
	out, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("decode event %s of type %s: %w", r.Event.ID, r.Event.Type, err)
	}
	delete(out, skipped)
	return out, nil
}

// write writes the value that n describes.
func (f *avroFormat) write(n *node, v any) error {
	switch n.kind {
	case record, tuple:
		return f.writeRecord(n, v)
	case list:
		items, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%v is no array", v)
		}
		return f.writeBlock(len(items), func(i int) error { return f.write(n.elem, items[i]) })
	case dict:
		values, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%v is no object", v)
		}
		keys := slices.Sorted(maps.Keys(values))
		return f.writeBlock(len(keys), func(i int) error {
			f.writer.WriteString(keys[i])
			return f.write(n.elem, values[keys[i]])
		})
	case text:
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%v is no string", v)
		}
		f.writer.WriteString(s)
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

// writeBlock writes n items as one block, and the end of blocks.
func (f *avroFormat) writeBlock(n int, item func(i int) error) error {
	if n > 0 {
		f.writer.WriteBlockHeader(int64(n), 0)
	}
	for i := range n {
		if err := item(i); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	f.writer.WriteBlockHeader(0, 0)
	return nil
}

func (f *avroFormat) writeRecord(n *node, v any) error {
	values, err := object(n, v)
	if err != nil {
		return err
	}
	for i, m := range n.members {
		value := values(i)
		if m.optional { // a union: its first branch is null
			if value == nil {
				f.writer.WriteLong(0)
				continue
			}
			f.writer.WriteLong(1)
		} else if value == nil {
			return fmt.Errorf("%s is missing", m.name)
		}
		if err := f.write(m.node, value); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// object is the value of each member of a record or tuple. A member that n does not
// know is an error: nothing is left out silently.
func object(n *node, v any) (func(i int) any, error) {
	if n.kind == tuple {
		items, ok := v.([]any)
		if !ok || len(items) != len(n.members) {
			return nil, fmt.Errorf("%v is no %s", v, n.name)
		}
		return func(i int) any { return items[i] }, nil
	}
	values, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%v is no object", v)
	}
	known := 0
	for _, m := range n.members {
		if _, ok := values[m.name]; ok {
			known++
		}
	}
	if known != len(values) {
		for name := range values {
			if !slices.ContainsFunc(n.members, func(m member) bool { return m.name == name }) {
				return nil, fmt.Errorf("the schema of %s has no %q", n.name, name)
			}
		}
	}
	return func(i int) any { return values[n.members[i].name] }, nil
}

func float(v any) (float64, error) {
	x, ok := v.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%v is no number", v)
	}
	return x.Float64()
}

// integer is a whole number, or a time in microseconds since 1970.
func integer(k kind, v any) (int64, error) {
	switch x := v.(type) {
	case json.Number:
		if k == whole {
			return x.Int64()
		}
	case string:
		if k == padded {
			return strconv.ParseInt(x, 10, 64)
		}
		if k == stamp {
			t, err := time.Parse(time.RFC3339Nano, x)
			return t.UnixMicro(), err
		}
	}
	return 0, fmt.Errorf("%v is no number or time as it should be", v)
}
