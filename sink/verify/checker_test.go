package verify

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sightline/detect"
	"sightline/sink"
)

func TestSoundTopicIsSound(t *testing.T) {
	for _, binary := range []bool{false, true} {
		s := sound(t, binary)
		r := check(s.messages)
		if !r.Sound() || r.Messages != uint64(len(s.messages)) || r.Proven != r.Messages || len(r.Keys) != 3 {
			t.Errorf("binary %v: %+v", binary, r)
		}
		for _, k := range r.Keys {
			if k.First != 1 || k.Last != s.sequence[k.Key] || k.Events != k.Last || k.Repeated+k.Remade+k.Restarts+k.Before != 0 {
				t.Errorf("binary %v: %+v of %d", binary, k, s.sequence[k.Key])
			}
		}
	}
}

// at is the index of the n-th message of a key.
func (s *story) at(key string, n int) int {
	for i, m := range s.messages {
		if string(m.Key) == key {
			if n--; n == 0 {
				return i
			}
		}
	}
	s.t.Fatalf("key %s has fewer messages", key)
	return 0
}

// replace changes a message's body and headers alike.
func (s *story) replace(i int, old, new string) {
	s.t.Helper()
	m := &s.messages[i]
	if !bytes.Contains(m.Value, []byte(old)) {
		s.t.Fatalf("no %s in %s", old, m.Value)
	}
	m.Value = bytes.ReplaceAll(m.Value, []byte(old), []byte(new))
	m.Headers = slices.Clone(m.Headers)
	for h := range m.Headers {
		m.Headers[h].Value = bytes.ReplaceAll(m.Headers[h].Value, []byte(old), []byte(new))
	}
}

func attribute(m Message, name string) string {
	for _, h := range m.Headers {
		if h.Key == "ce_"+name {
			return string(h.Value)
		}
	}
	return ""
}

// Each fault that can be planted is found and named, and nothing else.
func TestPlantedFaults(t *testing.T) {
	const key, foreign = "hq/gate", "d57a4e7f-dacd-53b5-8104-90428e2c6aab"
	for name, c := range map[string]struct {
		plant func(s *story)
		want  map[Kind]uint64
		says  string
	}{
		"gap": {func(s *story) {
			i := s.at(key, 5)
			s.messages = slices.Delete(s.messages, i, i+2)
		}, map[Kind]uint64{Missing: 2}, "sequences 5 to 6 are missing"},
		"beginning": {func(s *story) {
			i := s.at(key, 1)
			s.messages = slices.Delete(s.messages, i, i+1)
		}, map[Kind]uint64{Missing: 1}, "sequences 1 to 1 are missing"},
		"repeat with another body": {func(s *story) {
			s.messages = append(s.messages, s.messages[s.at(key, 4)])
			s.replace(len(s.messages)-1, `"score":0.5`, `"score":0.6`)
		}, map[Kind]uint64{Contradiction: 1}, "with other content"},
		"repeat with another recordedtime": {func(s *story) {
			i := s.at(key, 4)
			s.messages = append(s.messages, s.messages[i])
			s.replace(len(s.messages)-1, attribute(s.messages[i], "recordedtime"), "2027-01-01T00:00:00.000000Z")
		}, map[Kind]uint64{Contradiction: 1}, "with other content"},
		"made again with other data": {func(s *story) {
			old := s.messages[s.at(key, 4)]
			s.sequence[key]++
			s.messages = append(s.messages, old)
			s.replace(len(s.messages)-1, attribute(old, "sequence"), fmt.Sprintf("%020d", s.sequence[key]))
			s.replace(len(s.messages)-1, `"score":0.5`, `"score":0.6`)
		}, map[Kind]uint64{Contradiction: 1}, "with sequence 4 and other data"},
		"reorder": {func(s *story) {
			i, j := s.at(key, 7), s.at(key, 8)
			s.messages[i], s.messages[j] = s.messages[j], s.messages[i]
		}, map[Kind]uint64{Reorder: 1}, "sequence 7 first arrives after 8"},
		"foreign id": {func(s *story) {
			i := s.at(key, 6)
			s.replace(i, attribute(s.messages[i], "id"), foreign)
		}, map[Kind]uint64{Foreign: 1}, foreign},
		"id of version 4": {func(s *story) {
			i := s.at(key, 6)
			s.replace(i, attribute(s.messages[i], "id"), "d57a4e7f-dacd-43b5-8104-90428e2c6aab")
		}, map[Kind]uint64{Foreign: 1}, "d57a4e7f-dacd-43b5"},
		"sequence used twice": {func(s *story) {
			s.sequence[key] = 3
			s.event("gate", "1767225700000000", detect.StreamDegraded, "stream/gate", detect.Data{Reason: &detect.ReasonInfo{Code: "frozen"}})
		}, map[Kind]uint64{Reused: 1}, "sequence 4 came before with another id"},
		"wrong partition": {func(s *story) {
			i := s.at(key, 9)
			s.messages[i].Partition = (s.messages[i].Partition + 1) % partitions
		}, map[Kind]uint64{Misplaced: 1}, "belongs to partition"},
		"broken JSON": {func(s *story) {
			i := s.at(key, 9)
			s.messages[i].Value = s.messages[i].Value[:len(s.messages[i].Value)-5]
		}, map[Kind]uint64{Unreadable: 1}, "unexpected end"},
		"no event": {func(s *story) {
			s.messages = append(s.messages, Message{Topic: testTopic, Value: []byte(`{"hello": "world"}`)})
		}, map[Kind]uint64{Unreadable: 1}, "no CloudEvent"},
		"headers of another event": {func(s *story) {
			i := s.at(key, 9)
			s.messages[i].Headers = slices.Clone(s.messages[i].Headers)
			for h := range s.messages[i].Headers {
				if s.messages[i].Headers[h].Key == "ce_type" {
					s.messages[i].Headers[h].Value = []byte("sightline.line.crossed")
				}
			}
		}, map[Kind]uint64{Unreadable: 1}, "headers say something else"},
		"key of another stream": {func(s *story) {
			i := s.at(key, 9)
			s.messages[i].Key = []byte("hq/hall")
			s.messages[i].Partition = partitionOf(s.messages[i].Key, partitions)
		}, map[Kind]uint64{Inconsistent: 1}, `the message's key is "hq/hall"`},
		"streams' sums": {func(s *story) {
			s.account("gate", "1767225700000000", func(l *detect.Ledger) { l.Received-- })
		}, map[Kind]uint64{Accounting: 1}, "received is 99, its parts come to 100"},
		"sinks' sums": {func(s *story) {
			s.account("gate", "1767225700000000", func(l *detect.Ledger) {
				k := l.Sinks["kafka"]
				k.Made++
				l.Sinks["kafka"] = k
			})
		}, map[Kind]uint64{Accounting: 1}, "made of sink kafka"},
		"acknowledged more than there is": {func(s *story) {
			s.account("gate", "1767225700000000", func(l *detect.Ledger) {
				k := l.Sinks["kafka"]
				k.Made, k.Acknowledged = k.Made+50, k.Acknowledged+50
				l.Sinks["kafka"] = k
			})
		}, map[Kind]uint64{Accounting: 1}, "acknowledged of /sightline/hq/gate"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sound(t, false)
			c.plant(s)
			r := check(s.messages)
			if !maps.Equal(r.Counts, c.want) || len(r.Faults) == 0 {
				t.Fatalf("found %v, want %v: %+v", r.Counts, c.want, r.Faults)
			}
			if !strings.Contains(r.Faults[0].Text+r.Faults[0].ID, c.says) {
				t.Errorf("says %+v, want %q", r.Faults[0], c.says)
			}
		})
	}
}

// What is no fault: repeats, events made again, a beginning that is gone, numbering
// anew without a spool, and sinks of other forms.
func TestHarmless(t *testing.T) {
	const key = "hq/gate"
	total := func(r Report, of func(Key) uint64) (n uint64) {
		for _, k := range r.Keys {
			n += of(k)
		}
		return n
	}
	t.Run("repeats", func(t *testing.T) {
		s := sound(t, false)
		r := check(append(s.messages, s.messages...))
		if n := total(r, func(k Key) uint64 { return k.Repeated }); !r.Sound() || n != uint64(len(s.messages)) {
			t.Errorf("%d repeated: %v", n, r.Faults)
		}
	})
	t.Run("made again", func(t *testing.T) {
		s := sound(t, false)
		again := newStory(t)
		again.sequence = s.sequence
		again.epoch("gate", "1767225600000000", 3) // other times in stream.offline: another id
		r := check(append(s.messages, again.messages...))
		if n := total(r, func(k Key) uint64 { return k.Remade }); !r.Sound() || n != uint64(len(again.messages)) {
			t.Errorf("%d made again of %d: %v", n, len(again.messages), r.Faults)
		}
	})
	t.Run("retention", func(t *testing.T) {
		s := sound(t, false)
		topic := Topic{Partitions: partitions, First: make([]int64, partitions)}
		topic.First[partitionOf([]byte(key), partitions)] = 4
		c := New(Config{Topics: map[string]Topic{testTopic: topic}})
		skip := 4
		for _, m := range s.messages {
			if string(m.Key) == key && skip > 0 {
				skip--
				continue
			}
			c.Add(m)
		}
		if r := c.Report(); !r.Sound() || total(r, func(k Key) uint64 { return k.Before }) != 4 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("numbering anew", func(t *testing.T) {
		s := newStory(t)
		for _, epoch := range []string{"1767225600000000", "1767225700000000", "1767225800000000"} {
			s.sequence = map[string]uint64{}
			s.epoch("gate", epoch, 2)
		}
		if r := check(s.messages); !r.Sound() || total(r, func(k Key) uint64 { return k.Restarts }) != 2 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("forgotten", func(t *testing.T) {
		s := sound(t, false)
		c := New(Config{Topics: map[string]Topic{testTopic: {Partitions: partitions, First: make([]int64, partitions)}}, Window: 5})
		for _, m := range append(s.messages, s.messages...) {
			c.Add(m)
		}
		r := c.Report()
		all, n := total(r, func(k Key) uint64 { return k.Repeated }), total(r, func(k Key) uint64 { return k.Uncompared })
		if !r.Sound() || all != uint64(len(s.messages)) || n < all-10 || n == all {
			t.Errorf("%d repeated, %d of them uncompared: %v", all, n, r.Faults)
		}
	})
	for content, value := range map[string]string{"application/avro": "\x00\x00\x00\x00\x07ab", sink.DataType: `{"stream":"gate","object":"4|1|2|3|4|person"}`} {
		t.Run(content, func(t *testing.T) {
			s := sound(t, false)
			for i := range s.messages {
				s.messages[i].Value = []byte(value)
				s.messages[i].Headers = slices.Clone(s.messages[i].Headers)
				s.messages[i].Headers[0] = sink.Header{Key: "content-type", Value: []byte(content)}
			}
			if r := check(s.messages); !r.Sound() || r.Shaped != r.Messages {
				t.Errorf("%+v", r)
			}
		})
	}
}
