package format

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"sightline/detect"
	"sightline/sink"
)

var update = flag.Bool("update", false, "write the golden files, and what protoc makes of events.proto, anew")

// TestProtoIsCompiled holds events.binpb to what protoc makes of events.proto.
func TestProtoIsCompiled(t *testing.T) {
	python, fresh := others(t), t.TempDir()+"/events.binpb"
	out, err := exec.Command(python, "-m", "grpc_tools.protoc", "-I.", "--include_imports", "--descriptor_set_out="+fresh, "events.proto").CombinedOutput()
	if err != nil {
		t.Fatalf("protoc: %v\n%s", err, out)
	}
	made, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("events.binpb", made, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(made, protoCompiled) {
		t.Error("events.binpb is stale; run `go test ./sink/format -update`")
	}
}

// protoFields lists every field there is, in the order of messages and numbers.
func protoFields(t *testing.T) (out []string) {
	t.Helper()
	event, err := eventDescriptor()
	if err != nil {
		t.Fatal(err)
	}
	messages := event.ParentFile().Messages()
	for i := range messages.Len() {
		m := messages.Get(i)
		var fields []protoreflect.FieldDescriptor
		for j := range m.Fields().Len() {
			fields = append(fields, m.Fields().Get(j))
		}
		slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
		for _, f := range fields {
			out = append(out, fmt.Sprintf("%s.%d %s %s", m.Name(), f.Number(), f.Name(), typeOf(f)))
		}
	}
	return out
}

func typeOf(f protoreflect.FieldDescriptor) string {
	name := f.Kind().String()
	if f.Message() != nil {
		name = string(f.Message().FullName())
	}
	switch {
	case f.IsMap():
		return "map of " + typeOf(f.MapValue())
	case f.IsList():
		return "repeated " + name
	}
	return name
}

// TestFieldNumbersStay refuses a field that is gone or has another number, name or
// type than it was released with, and a new one that is not noted.
func TestFieldNumbersStay(t *testing.T) {
	const file = "testdata/events.proto.fields"
	now := protoFields(t)
	text, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	var released []string
	for line := range strings.Lines(string(text)) {
		f := strings.TrimSpace(line)
		if released = append(released, f); !slices.Contains(now, f) {
			t.Errorf("events.proto has no longer %s: numbers, names and types stay for ever", f)
		}
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, f := range now {
		if !slices.Contains(released, f) {
			t.Errorf("%s is new: note it with `go test ./sink/format -update`", f)
		}
	}
}

// TestProtoHasEveryMember holds events.proto to the structs that make the JSON.
func TestProtoHasEveryMember(t *testing.T) {
	fields := map[string]string{}
	for _, f := range protoFields(t) {
		of, rest, _ := strings.Cut(f, ".")
		_, rest, _ = strings.Cut(rest, " ")
		name, typ, _ := strings.Cut(rest, " ")
		fields[of+"."+name] = typ
	}
	for _, typ := range EventTypes() {
		missing(t, describe(typ), "Event", fields)
	}
}

func missing(t *testing.T, n *node, in string, fields map[string]string) {
	t.Helper()
	for _, m := range n.members {
		name := m.name
		if name == "reason" && m.node.kind == text {
			name = "end_reason"
		}
		typ, ok := fields[in+"."+name]
		if !ok {
			t.Errorf("message %s of events.proto has no %s: add it with a new number", in, name)
			continue
		}
		inner := m.node
		if inner.elem != nil {
			inner = inner.elem
		}
		if inner.members != nil {
			missing(t, inner, typ[strings.LastIndex(typ, ".")+1:], fields)
		}
	}
}

func protobufTo(t testing.TB, url string) Format {
	t.Helper()
	f, err := New(Config{Kind: Protobuf, Registry: Registry{URL: url}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestProtobufFrame(t *testing.T) {
	url, saw := notes(t, number)
	f := protobufTo(t, url)
	for _, r := range samples() {
		b, err := f.Append(t.Context(), []byte("x"), r)
		if err != nil || !strings.HasPrefix(string(b), "x\x00\x00\x00\x01\x02\x00") {
			t.Fatalf("% x, %v", b[:10], err)
		}
		again, err := f.Append(t.Context(), nil, readBack(t, r))
		if err != nil || string(again) != string(b[1:]) {
			t.Errorf("%s is another after it was read back (%v)", r.Event.Type, err)
		}
	}
	want := asked{path: "/subjects/sightline.hq-sightline.v1.Event/versions", kind: "PROTOBUF", schema: ProtobufSchema()}
	if !reflect.DeepEqual(*saw, []asked{want}) {
		t.Errorf("asked for %+v", *saw)
	}
}

func TestMessageIndexes(t *testing.T) {
	event, err := eventDescriptor()
	if err != nil {
		t.Fatal(err)
	}
	data := event.ParentFile().Messages().ByName("Data")
	nested := data.Fields().ByName("undecoded").Message() // an entry of a map is nested in Data
	for want, m := range map[string]protoreflect.MessageDescriptor{
		"00": event, "0202": data, "0402" + "00": nested,
	} {
		if got := hex.EncodeToString(appendIndexes(nil, m)); got != want {
			t.Errorf("%s: got %s, want %s", m.FullName(), got, want)
		}
	}
}

func TestProtobufSaysWhatItCannotHold(t *testing.T) {
	url, _ := notes(t, number)
	f := protobufTo(t, url)
	r := samples()[1]
	text, err := sink.AppendStructured(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string][2]string{
		`data: message Data has no "extra"`:           {`"data":{`, `"data":{"extra":1,`},
		"data: object: score: high is no number":      {`"score":0.8765`, `"score":"high"`},
		"data: object: path: [0]: [… is no PathPoint": {`"path":[[0,0.3125,0.6]`, `"path":[[0,0.3125]`},
		"time: ":         {`"time":"2026-`, `"time":"once-`},
		"subject: 1 is ": {`"subject":"track/1769846400000000-12"`, `"subject":1`},
	} {
		r.JSON = []byte(strings.Replace(string(text), change[0], change[1], 1))
		b, err := f.Append(t.Context(), []byte("x"), r)
		if err == nil || !strings.Contains(err.Error(), want) || Temporary(err) || string(b) != "x" {
			t.Errorf("got %q, %v, want %s", b, err, want)
		}
	}
}

// TestTimesKeepTheirMicroseconds is what both encodings promise, before 1970 too.
func TestTimesKeepTheirMicroseconds(t *testing.T) {
	for _, at := range []time.Time{time.UnixMicro(1).UTC(), time.UnixMicro(-1).UTC(), time.Date(2199, 1, 1, 0, 0, 0, 999_999_000, time.UTC)} {
		x, err := integer(stamp, &value{kind: '"', text: []byte(detect.FormatTime(at))})
		if err != nil || x != at.UnixMicro() {
			t.Errorf("%v: %d, %v", at, x, err)
		}
	}
}
