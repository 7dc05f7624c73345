package format

import (
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"sightline/detect"
)

// kind is what JSON a node stands for.
type kind uint8

const (
	text    kind = iota // a string
	decimal             // a number
	whole               // a whole number
	padded              // a whole number, written in JSON as a string of digits
	stamp               // a time
	record              // an object with known members
	tuple               // an array with known items, in their order
	list                // an array
	dict                // an object with any members
)

// node describes one value in an event's JSON. Nodes of one Go type are one node.
type node struct {
	kind    kind
	name    string // of a record or tuple
	members []member
	elem    *node // of a list or dict
}

type member struct {
	name     string
	node     *node
	optional bool
}

// EventTypes lists the types of event there are.
func EventTypes() []detect.Type {
	return []detect.Type{
		detect.Detections, detect.ObjectStarted, detect.ObjectUpdated, detect.ObjectEnded, detect.LineCrossed,
		detect.ZoneEntered, detect.ZoneExited, detect.ZoneDwell, detect.ZoneOccupancy, detect.CountReported,
		detect.StreamOnline, detect.StreamOffline, detect.StreamDegraded, detect.SinkDegraded, detect.Accounting,
	}
}

// envelope is an event's attributes in the order in which schemas have them.
// datacontenttype is not among them: it speaks of the JSON.
type envelope struct {
	SpecVersion    string    `json:"specversion"`
	ID             string    `json:"id"`
	Source         string    `json:"source"`
	Type           string    `json:"type"`
	Subject        string    `json:"subject,omitempty"`
	Time           time.Time `json:"time"`
	DataSchema     string    `json:"dataschema"`
	PartitionKey   string    `json:"partitionkey"`
	Sequence       uint64    `json:"sequence,omitempty"`
	SeverityText   string    `json:"severitytext,omitempty"`
	SeverityNumber int       `json:"severitynumber,omitempty"`
	RecordedTime   time.Time `json:"recordedtime,omitempty"`
	DataRef        string    `json:"dataref,omitempty"`
}

// skipped is the attribute that envelope leaves out.
const skipped = "datacontenttype"

// always lists, per type, which members of data the contract promises besides
// stream; the types of those that only this type has are in only.
func always(t detect.Type) []string {
	switch t {
	case detect.Detections:
		return []string{"frame", "clock", "objects"}
	case detect.ObjectStarted, detect.ObjectUpdated:
		return []string{"frame", "clock", "object"}
	case detect.ObjectEnded:
		return []string{"object", "reason"}
	case detect.LineCrossed:
		return []string{"frame", "clock", "object", "rule", "line"}
	case detect.ZoneEntered, detect.ZoneDwell:
		return []string{"frame", "clock", "object", "rule", "zone"}
	case detect.ZoneExited:
		return []string{"object", "rule", "zone"}
	case detect.ZoneOccupancy:
		return []string{"rule", "zone"}
	case detect.CountReported:
		return []string{"rule", "line", "window", "counts"}
	case detect.StreamOffline, detect.StreamDegraded, detect.SinkDegraded:
		return []string{"reason"}
	}
	return nil
}

// elsewhere tells whether a member of data belongs to another type of event alone.
func elsewhere(name string, t detect.Type) bool {
	switch name {
	case "objects":
		return t != detect.Detections
	case "changed":
		return t != detect.ObjectUpdated
	case "window", "counts":
		return t != detect.CountReported
	}
	return false
}

// describe is the whole event of a type, by the Go structs it is made of.
func describe(t detect.Type) *node {
	known := map[reflect.Type]*node{}
	data := &node{kind: record, name: recordName(t) + "Data"}
	for _, m := range members(reflect.TypeFor[detect.Data](), known) {
		if !elsewhere(m.name, t) {
			data.members = append(data.members, m)
		}
	}
	reason := of(reflect.TypeFor[detect.ReasonInfo](), known)
	if t == detect.ObjectEnded {
		reason = &node{kind: text}
	}
	data.members = append(data.members, member{"reason", reason, true})
	if t == detect.Accounting {
		data.members = append(data.members, members(reflect.TypeFor[detect.Ledger](), known)...)
	}
	for i := range data.members {
		if m := &data.members[i]; slices.Contains(always(t), m.name) {
			m.optional = false
		}
	}
	event := &node{kind: record, name: recordName(t), members: members(reflect.TypeFor[envelope](), known)}
	for i := range event.members {
		if m := &event.members[i]; m.name == "sequence" {
			m.node = &node{kind: padded}
		}
	}
	event.members = append(event.members, member{"data", data, false})
	return event
}

// recordName turns line.crossed into LineCrossed.
func recordName(t detect.Type) string {
	var out strings.Builder
	for word := range strings.FieldsFuncSeq(string(t), func(r rune) bool { return r == '.' || r == '_' }) {
		out.WriteString(string(unicode.ToUpper(rune(word[0]))) + word[1:])
	}
	return out.String()
}

// of describes a Go type as its JSON is.
func of(t reflect.Type, known map[reflect.Type]*node) *node {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n := known[t]; n != nil {
		return n
	}
	n := &node{}
	known[t] = n
	switch {
	case t == reflect.TypeFor[time.Time]():
		n.kind = stamp
	case t == reflect.TypeFor[detect.Point]():
		n.kind, n.name = tuple, "Point"
		n.members = []member{{"x", &node{kind: decimal}, false}, {"y", &node{kind: decimal}, false}}
	case t == reflect.TypeFor[[3]float64](): // of a path
		n.kind, n.name = tuple, "PathPoint"
		for _, name := range []string{"ms", "x", "y"} {
			n.members = append(n.members, member{name, &node{kind: decimal}, false})
		}
	case t.Kind() == reflect.Struct:
		n.kind, n.name, n.members = record, t.Name(), members(t, known)
	case t.Kind() == reflect.Slice:
		n.kind, n.elem = list, of(t.Elem(), known)
	case t.Kind() == reflect.Map:
		n.kind, n.elem = dict, of(t.Elem(), known)
	case t.Kind() == reflect.String:
		n.kind = text
	case t.Kind() == reflect.Float64:
		n.kind = decimal
	case t.Kind() == reflect.Int || t.Kind() == reflect.Uint64:
		n.kind = whole
	default:
		panic("an event holds a " + t.String() + ", of which the schemas know nothing")
	}
	return n
}

// members describes the fields of a struct that JSON has.
func members(t reflect.Type, known map[reflect.Type]*node) (out []member) {
	for f := range t.Fields() {
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		out = append(out, member{name, of(f.Type, known), option == "omitempty"})
	}
	return out
}
