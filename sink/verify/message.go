package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sightline/detect"
	"sightline/sink"
)

// Message is one message or line as it was read back. The checker keeps nothing of it.
type Message struct {
	Topic     string // or the file's name
	Partition int
	Offset    int64 // or the line's number
	Key       []byte
	Value     []byte
	Headers   []sink.Header
}

// errNoEvent is what a message is that has neither form of an event.
var errNoEvent = errors.New("no CloudEvent: neither a JSON object with specversion nor ce_ headers")

// event is what the checks need of a message.
type event struct {
	attributes
	data   payload
	plain  bool   // data is Sightline's own JSON, so that ids can be recomputed
	raw    []byte // the data as it was sent; the whole value where that has another form
	number uint64 // the sequence, 0 where there is none
}

// attributes are an event's, by their CloudEvents names.
type attributes struct {
	SpecVersion  string `json:"specversion"`
	ID           string `json:"id"`
	Source       string `json:"source"`
	Type         string `json:"type"`
	Subject      string `json:"subject"`
	Time         string `json:"time"`
	Schema       string `json:"dataschema"`
	PartitionKey string `json:"partitionkey"`
	Sequence     string `json:"sequence"`
	SeverityText string `json:"severitytext"`
	Severity     uint64 `json:"severitynumber"`
	DataRef      string `json:"dataref"`
}

// payload is what ids are made of.
type payload struct {
	Stream *struct {
		Site  string `json:"site"`
		Name  string `json:"name"`
		Epoch string `json:"epoch"`
	} `json:"stream"`
	Frame *struct {
		Index uint64 `json:"index"`
	} `json:"frame"`
	Object *struct {
		TrackID string `json:"track_id"`
	} `json:"object"`
	Rule *struct {
		Name string `json:"name"`
	} `json:"rule"`
	Window *struct {
		Start string `json:"start"`
	} `json:"window"`
	Reason json.RawMessage `json:"reason"` // text, or an object
}

// code is the reason's, where it has one.
func (p *payload) code() string {
	var reason struct{ Code string }
	if json.Unmarshal(p.Reason, &reason) != nil {
		return ""
	}
	return reason.Code
}

// parse reads a message of either mode. On an error the event has what the headers
// say, and number is 0 where they say nothing of use.
func parse(m Message) (ev event, err error) {
	fromHeaders(m.Headers, &ev.attributes)
	structured := len(m.Headers) == 0 || ev.SpecVersion == "" || contentType(m.Headers) == sink.StructuredType
	ev.raw = m.Value
	if structured {
		err = ev.readStructured(m)
	}
	n, bad := sequence(ev.Sequence)
	if ev.number = n; err == nil {
		err = bad
	}
	if err == nil && !structured && strings.HasPrefix(contentType(m.Headers), sink.DataType) {
		// JSON of another shape, such as another product's, is no mistake.
		if ev.plain = json.Unmarshal(m.Value, &ev.data) == nil; !ev.plain && !json.Valid(m.Value) {
			err = errors.New("the value is not the JSON that it is said to be")
		}
	}
	if ev.plain = ev.plain && ev.data.Stream != nil; !ev.plain {
		ev.data = payload{}
	}
	return ev, err
}

func (ev *event) readStructured(m Message) error {
	var whole struct {
		attributes
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(m.Value, &whole); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if whole.SpecVersion == "" {
		return errNoEvent
	}
	told := ev.attributes
	ev.attributes, ev.raw = whole.attributes, whole.Data
	if told.SpecVersion != "" && told != ev.attributes {
		return fmt.Errorf("the ce_ headers say something else than the body: %s", difference(told, ev.attributes))
	}
	if err := json.Unmarshal(whole.Data, &ev.data); err != nil {
		return fmt.Errorf("data is not what events carry: %w", err)
	}
	ev.plain = true
	return nil
}

func difference(a, b attributes) string {
	pairs := [][3]string{
		{"id", a.ID, b.ID}, {"source", a.Source, b.Source}, {"type", a.Type, b.Type}, {"subject", a.Subject, b.Subject},
		{"time", a.Time, b.Time}, {"partitionkey", a.PartitionKey, b.PartitionKey}, {"sequence", a.Sequence, b.Sequence},
	}
	for _, p := range pairs {
		if p[1] != p[2] {
			return fmt.Sprintf("%s %q and %q", p[0], p[1], p[2])
		}
	}
	return "other attributes"
}

func fromHeaders(headers []sink.Header, a *attributes) {
	for _, h := range headers {
		v := string(h.Value)
		switch h.Key {
		case "ce_specversion":
			a.SpecVersion = v
		case "ce_id":
			a.ID = v
		case "ce_source":
			a.Source = v
		case "ce_type":
			a.Type = v
		case "ce_subject":
			a.Subject = v
		case "ce_time":
			a.Time = v
		case "ce_dataschema":
			a.Schema = v
		case "ce_partitionkey":
			a.PartitionKey = v
		case "ce_sequence":
			a.Sequence = v
		case "ce_severitytext":
			a.SeverityText = v
		case "ce_severitynumber":
			a.Severity, _ = strconv.ParseUint(v, 10, 8) // 0 shows as a difference to the text
		case "ce_dataref":
			a.DataRef = v
		}
	}
}

func contentType(headers []sink.Header) string {
	for _, h := range headers {
		if h.Key == "content-type" {
			return string(h.Value)
		}
	}
	return ""
}

// sequence reads 20 digits.
func sequence(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || len(text) != 20 || n == 0 {
		return 0, fmt.Errorf("sequence %q is not 20 digits from 1", text)
	}
	return n, nil
}

// kind is the event's type without "sightline.".
func (ev *event) kind() detect.Type { return detect.Type(strings.TrimPrefix(ev.Type, "sightline.")) }

// epoch is the one the event says it belongs to, "" where it says none.
func (ev *event) epoch() string {
	if ev.data.Stream == nil {
		return ""
	}
	return ev.data.Stream.Epoch
}

// mistakes says what in the event contradicts itself or its message, "" if nothing.
func (ev *event) mistakes(m Message) string {
	var all []string
	fault := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	fault(ev.SpecVersion != "1.0", "specversion %q", ev.SpecVersion)
	fault(!strings.HasPrefix(ev.Type, "sightline."), "type %q", ev.Type)
	fault(m.Key != nil && !bytes.Equal(m.Key, []byte(ev.PartitionKey)), "the message's key is %q, partitionkey %q", m.Key, ev.PartitionKey)
	fault(ev.Schema != "urn:"+strings.Replace(ev.Type, ".", ":", 1)+":1", "dataschema %q of type %q", ev.Schema, ev.Type)
	fault(ev.Severity != 0 && ev.SeverityText != severityText(ev.Severity), "severity %d is called %q", ev.Severity, ev.SeverityText)
	if ev.plain {
		s := ev.data.Stream
		fault(ev.Source != detect.Source(s.Site, s.Name), "source %q of a stream %s/%s", ev.Source, s.Site, s.Name)
	} else {
		fault(!strings.HasPrefix(ev.Source, "/sightline/"), "source %q", ev.Source)
	}
	if o := ev.data.Object; ev.plain && o != nil {
		fault(ev.Subject != "track/"+o.TrackID, "subject %q about track %q", ev.Subject, o.TrackID)
	}
	return strings.Join(all, "; ")
}

func severityText(n uint64) string {
	switch {
	case n >= uint64(detect.Critical):
		return "ERROR"
	case n >= uint64(detect.Warning):
		return "WARN"
	}
	return "INFO"
}
