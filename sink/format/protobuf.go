package format

import (
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"sightline/detect"
	"sightline/sink"
)

var (
	//go:embed events.proto
	protoText string
	//go:embed events.binpb
	protoCompiled []byte // what protoc makes of it
)

// ProtobufSchema is the .proto file of events.
func ProtobufSchema() string { return protoText }

const eventMessage = Namespace + ".Event"

// protobufFormat writes Confluent's wire format: a zero, the schema's id in four
// bytes, where the message is in its file, and the event in Protobuf.
type protobufFormat struct {
	registry *registry
	schema   schema
	event    protoreflect.MessageDescriptor
	indexes  []byte
	source
}

func newProtobuf(c Registry) (Format, error) {
	r, err := newRegistry(c)
	if err != nil {
		return nil, err
	}
	event, err := eventDescriptor()
	if err != nil {
		return nil, err
	}
	return &protobufFormat{
		registry: r, schema: schema{name: eventMessage, kind: "PROTOBUF", text: protoText},
		event: event, indexes: appendIndexes(nil, event),
	}, nil
}

// eventDescriptor is message Event of the file that ships.
func eventDescriptor() (protoreflect.MessageDescriptor, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(protoCompiled, &set); err != nil {
		return nil, fmt.Errorf("events.binpb: %w", err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("events.binpb: %w", err)
	}
	d, err := files.FindDescriptorByName(eventMessage)
	if err != nil {
		return nil, fmt.Errorf("events.binpb: %w", err)
	}
	return d.(protoreflect.MessageDescriptor), nil
}

// appendIndexes writes where m is in its file, as Confluent's wire format has it:
// how many indices lead to it, then those; the first message of a file is 0 alone.
func appendIndexes(dst []byte, m protoreflect.MessageDescriptor) []byte {
	var path []int
	for d := protoreflect.Descriptor(m); ; d = d.Parent() {
		if _, ok := d.(protoreflect.FileDescriptor); ok {
			break
		}
		path = append([]int{d.Index()}, path...)
	}
	if len(path) == 1 && path[0] == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(len(path)))
	for _, i := range path {
		dst = binary.AppendVarint(dst, int64(i))
	}
	return dst
}

func (f *protobufFormat) Append(ctx context.Context, dst []byte, r sink.Record) ([]byte, error) {
	event, err := f.source.event(r)
	if err != nil {
		return dst, err
	}
	m := dynamicpb.NewMessage(f.event)
	if err := fill(m, event); err != nil {
		return dst, fmt.Errorf("event %s in Protobuf: %w", r.Event.ID, err)
	}
	id, err := f.registry.id(ctx, f.schema, r.Topic)
	if err != nil {
		return dst, err
	}
	out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(append(appendFrame(dst, id), f.indexes...), m)
	if err != nil {
		return dst, fmt.Errorf("event %s in Protobuf: %w", r.Event.ID, err)
	}
	return out, nil
}

func (f *protobufFormat) ContentType() string    { return "application/x-protobuf" }
func (f *protobufFormat) Takes(detect.Type) bool { return true }

// fill sets the fields of m to the members of a JSON object. A member that m has no
// field for is an error: nothing is left out silently.
func fill(m protoreflect.Message, v *value) error {
	fields := m.Descriptor().Fields()
	for i := range v.items {
		name, item := string(v.items[i].name), &v.items[i]
		if name == "reason" && item.kind == '"' { // of object.ended
			name = "end_reason"
		}
		fd := fields.ByName(protoreflect.Name(name))
		if fd == nil {
			return fmt.Errorf("message %s has no %q", m.Descriptor().Name(), name)
		}
		if err := set(m, fd, item); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func set(m protoreflect.Message, fd protoreflect.FieldDescriptor, v *value) error {
	switch {
	case fd.IsMap() && v.kind == '{':
		held := m.Mutable(fd).Map()
		for i := range v.items {
			x, err := single(fd.MapValue(), &v.items[i], held.NewValue)
			if err != nil {
				return fmt.Errorf("%s: %w", v.items[i].name, err)
			}
			held.Set(protoreflect.ValueOfString(string(v.items[i].name)).MapKey(), x)
		}
		return nil
	case fd.IsList() && v.kind == '[':
		held := m.Mutable(fd).List()
		for i := range v.items {
			x, err := single(fd, &v.items[i], held.NewElement)
			if err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
			held.Append(x)
		}
		return nil
	case fd.IsMap() || fd.IsList():
		return fmt.Errorf("%v is no array or object", v)
	}
	x, err := single(fd, v, func() protoreflect.Value { return m.NewField(fd) })
	if err == nil {
		m.Set(fd, x)
	}
	return err
}

// single is one value; fresh makes an empty message of the field.
func single(fd protoreflect.FieldDescriptor, v *value, fresh func() protoreflect.Value) (protoreflect.Value, error) {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		x := fresh()
		return x, message(x.Message(), v)
	case protoreflect.StringKind:
		if v.kind == '"' {
			return protoreflect.ValueOfString(string(v.text)), nil
		}
	case protoreflect.DoubleKind:
		x, err := float(v)
		return protoreflect.ValueOfFloat64(x), err
	case protoreflect.Int64Kind:
		x, err := integer(whole, v)
		return protoreflect.ValueOfInt64(x), err
	case protoreflect.Uint64Kind:
		if v.kind == '0' || v.kind == '"' { // sequence is digits in a string
			x, err := strconv.ParseUint(string(v.text), 10, 64)
			return protoreflect.ValueOfUint64(x), err
		}
	}
	return protoreflect.Value{}, fmt.Errorf("%v is no %v", v, fd.Kind())
}

// message fills m from an object, an array of its fields, or a time.
func message(m protoreflect.Message, v *value) error {
	fields := m.Descriptor().Fields()
	switch {
	case v.kind == '{':
		return fill(m, v)
	case v.kind == '[' && len(v.items) == fields.Len():
		for i := range v.items {
			if err := set(m, fields.Get(i), &v.items[i]); err != nil {
				return err
			}
		}
		return nil
	case v.kind == '"' && m.Descriptor().FullName() == "google.protobuf.Timestamp":
		t, err := time.Parse(time.RFC3339Nano, string(v.text))
		m.Set(fields.ByNumber(1), protoreflect.ValueOfInt64(t.Unix()))
		m.Set(fields.ByNumber(2), protoreflect.ValueOfInt32(int32(t.Nanosecond())))
		return err
	}
	return fmt.Errorf("%v is no %s", v, m.Descriptor().Name())
}
