package verify

import (
	"fmt"
	"testing"
	"time"

	"sightline/detect"
	"sightline/sink"
)

const (
	testTopic  = "events"
	partitions = 3
)

var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// story makes a sound topic's messages: streams that come, see objects, count,
// account and go, numbered by key.
type story struct {
	t        *testing.T
	binary   bool
	site     string
	sequence map[string]uint64
	ordinals map[string]uint64
	offsets  [partitions]int64
	messages []Message
}

func newStory(t *testing.T) *story {
	return &story{t: t, site: "hq", sequence: map[string]uint64{}, ordinals: map[string]uint64{}}
}

// event appends one complete event of a stream.
func (s *story) event(stream, epoch string, typ detect.Type, subject string, data detect.Data) {
	s.t.Helper()
	n := len(s.messages)
	ev := &detect.Event{
		Site: s.site, Stream: stream, Type: typ, Subject: subject, Severity: detect.Info, Data: data,
		Time: start.Add(time.Duration(n) * time.Millisecond), Recorded: start.Add(time.Duration(n)*time.Millisecond + time.Second),
	}
	ev.Data.Stream = detect.StreamInfo{Site: s.site, Name: stream, Epoch: epoch}
	rule, track := "", ""
	if data.Rule != nil {
		rule = data.Rule.Name
	}
	if data.Object != nil {
		track = data.Object.TrackID
	}
	if typ == detect.SinkDegraded {
		rule, track = subject[len("sink/"):], data.Reason.Code
	}
	name := fmt.Sprint(stream, epoch, typ, rule, track)
	s.ordinals[name]++
	ordinal := s.ordinals[name]
	switch {
	case data.Window != nil:
		ordinal = uint64(data.Window.Start.UnixMicro())
	case epoch == "":
		ordinal = uint64(ev.Time.UnixMicro())
	}
	ev.ID = detect.EventID(ev.Source(), epoch, typ, rule, track, ordinal)
	s.publish(ev)
}

// publish numbers an event and appends it to its partition.
func (s *story) publish(ev *detect.Event) {
	key := ev.PartitionKey()
	s.sequence[key]++
	s.append(sink.Record{Event: ev, Sequence: s.sequence[key]})
}

func (s *story) append(r sink.Record) {
	s.t.Helper()
	m := Message{Topic: testTopic, Key: []byte(r.PartitionKey())}
	content := sink.StructuredType
	var err error
	if s.binary {
		content = sink.DataType
		m.Value, err = sink.AppendData(nil, r)
	} else {
		m.Value, err = sink.AppendStructured(nil, r)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	m.Headers = append([]sink.Header{{Key: "content-type", Value: []byte(content)}}, sink.Attributes(r)...)
	m.Partition = partitionOf(m.Key, partitions)
	m.Offset = s.offsets[m.Partition]
	s.offsets[m.Partition]++
	s.messages = append(s.messages, m)
}

// epoch tells one connection of a stream with some objects.
func (s *story) epoch(stream, epoch string, objects int) {
	about := "stream/" + stream
	s.event(stream, "", detect.StreamOffline, about, detect.Data{Reason: &detect.ReasonInfo{Code: "refused"}})
	s.event(stream, epoch, detect.StreamOnline, about, detect.Data{})
	for i := range objects {
		track := fmt.Sprintf("%s-%d", epoch, i+1)
		data := func() detect.Data {
			return detect.Data{
				Frame:  &detect.FrameInfo{Index: uint64(10 * (i + 1)), Width: 640, Height: 480},
				Object: &detect.Object{TrackID: track, Class: "person", Score: .5, State: "active", FirstSeen: start, LastSeen: start},
			}
		}
		s.event(stream, epoch, detect.ObjectStarted, "track/"+track, data())
		for range 3 {
			s.event(stream, epoch, detect.ObjectUpdated, "track/"+track, data())
		}
		entered := data()
		entered.Rule, entered.Zone = &detect.RuleInfo{Name: "door", Kind: "presence"}, &detect.ZoneInfo{Name: "door", Visit: 1}
		s.event(stream, epoch, detect.ZoneEntered, "track/"+track, entered)
		s.event(stream, epoch, detect.ObjectEnded, "track/"+track, detect.Data{Object: data().Object, EndReason: "left"})
	}
	counts := []detect.Count{}
	s.event(stream, epoch, detect.CountReported, "line/kerb", detect.Data{
		Rule: &detect.RuleInfo{Name: "q15", Kind: "count"}, Line: &detect.LineInfo{Name: "kerb"}, Counts: &counts,
		Window: &detect.Window{Start: start, End: start.Add(15 * time.Minute)},
	})
	s.account(stream, epoch, func(*detect.Ledger) {})
}

// account appends an account that adds up, changed by edit.
func (s *story) account(stream, epoch string, edit func(*detect.Ledger)) {
	n := s.sequence[s.site+"/"+stream]
	l := &detect.Ledger{
		Received: 100, Decoded: 90, Undecoded: map[string]uint64{"overload": 7, "damaged": 1}, InDecoder: 2,
		Inferred: 60, Skipped: map[string]uint64{"sampled": 29}, InFlight: 1,
		Sinks: map[string]detect.SinkLedger{"kafka": {
			Made: n + 10, Filtered: 4, Acknowledged: n, Spooled: 3, DeadLettered: 1, Expired: 1, Dropped: map[string]uint64{"queue_full": 1},
		}},
	}
	edit(l)
	s.event(stream, epoch, detect.Accounting, "stream/"+stream, detect.Data{Accounting: l})
}

// sound is a topic with nothing wrong: two streams, one of which came twice.
func sound(t *testing.T, binary bool) *story {
	s := newStory(t)
	s.binary = binary
	s.epoch("gate", "1767225600000000", 3)
	s.epoch("hall", "1767225600000001", 2)
	s.epoch("gate", "1767225700000000", 2)
	s.event("-", "", detect.SinkDegraded, "sink/other", detect.Data{Reason: &detect.ReasonInfo{Code: "unreachable", Message: "no"}})
	return s
}

// check runs the messages through a checker of a topic that is there from its beginning.
func check(messages []Message) Report {
	c := New(Config{Topics: map[string]Topic{testTopic: {Partitions: partitions, First: make([]int64, partitions)}}})
	for _, m := range messages {
		c.Add(m)
	}
	return c.Report()
}
