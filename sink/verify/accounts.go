package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sightline/detect"
)

// accounts follows what pipeline.accounting events say, by source.
type accounts map[string]*account

type account struct {
	messages uint64             // of the source, repeats included
	missing  uint64             // sequences of its keys, which are told of by themselves
	sinks    map[string]*claim  // by name
	topics   map[string]bool    // that have messages of it which are no accounts
	from     map[string]Message // the last account of each sink
}

// claim is what a sink says it delivered: in runs of the process that are over, and
// in the last one.
type claim struct{ before, now, made uint64 }

type sinkSums struct {
	Made         uint64            `json:"made"`
	Filtered     uint64            `json:"filtered"`
	Acknowledged uint64            `json:"acknowledged"`
	Spooled      uint64            `json:"spooled"`
	DeadLettered uint64            `json:"dead_lettered"`
	Expired      uint64            `json:"expired"`
	Dropped      map[string]uint64 `json:"dropped"`
}

type streamSums struct {
	Received  uint64              `json:"received"`
	Decoded   uint64              `json:"decoded"`
	Undecoded map[string]uint64   `json:"undecoded"`
	InDecoder uint64              `json:"in_decoder"`
	Inferred  uint64              `json:"inferred"`
	Skipped   map[string]uint64   `json:"skipped"`
	InFlight  uint64              `json:"in_flight"`
	Sinks     map[string]sinkSums `json:"sinks"`
}

func (a accounts) of(source string) *account {
	acc := a[source]
	if acc == nil {
		acc = &account{sinks: map[string]*claim{}, topics: map[string]bool{}, from: map[string]Message{}}
		a[strings.Clone(source)] = acc
	}
	return acc
}

// message counts one of a source.
func (a accounts) message(source string) { a.of(source).messages++ }

// add recomputes the sums of an accounting event, and says what is wrong with them.
func (a accounts) add(m Message, ev *event) string {
	acc := a.of(ev.Source)
	if ev.kind() != detect.Accounting || !ev.plain {
		acc.topics[m.Topic] = true
		return ""
	}
	var sums streamSums
	if err := json.Unmarshal(ev.raw, &sums); err != nil {
		return "no account: " + err.Error()
	}
	for name, s := range sums.Sinks {
		acc.claim(name, s)
		acc.from[name] = Message{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset}
	}
	return sums.mistakes()
}

// claim takes a sink's word; numbers that fall tell of a process that began anew.
func (acc *account) claim(name string, s sinkSums) {
	c := acc.sinks[name]
	if c == nil {
		c = &claim{}
		acc.sinks[strings.Clone(name)] = c
	}
	if s.Acknowledged < c.now || s.Made < c.made {
		c.before += c.now
	}
	c.now, c.made = s.Acknowledged, s.Made
}

// mistakes says which sums do not hold.
func (s streamSums) mistakes() string {
	var all []string
	check := func(what string, whole uint64, parts ...uint64) {
		n := uint64(0)
		for _, p := range parts {
			n += p
		}
		if n != whole {
			all = append(all, fmt.Sprintf("%s is %d, its parts come to %d", what, whole, n))
		}
	}
	check("received", s.Received, s.Decoded, total(s.Undecoded), s.InDecoder)
	check("decoded", s.Decoded, s.Inferred, total(s.Skipped), s.InFlight)
	for _, name := range slices.Sorted(maps.Keys(s.Sinks)) {
		k := s.Sinks[name]
		check("made of sink "+name, k.Made, k.Filtered, k.Acknowledged, k.Spooled, k.DeadLettered, k.Expired, total(k.Dropped))
	}
	return strings.Join(all, "; ")
}

func total(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// overclaimed calls tell for each source of which the sink says it delivered more
// than is there. Without a name it is the only sink told of, as long as its accounts
// lie among other events: where types have topics of their own, not all may be read.
func (a accounts) overclaimed(sink string, tell func(source, sink string, at Message, claimed, there uint64)) {
	for _, source := range slices.Sorted(maps.Keys(a)) {
		acc := a[source]
		name := sink
		if name == "" {
			if len(acc.sinks) != 1 {
				continue
			}
			for name = range acc.sinks {
			}
		}
		c, at := acc.sinks[name], acc.from[name]
		if c == nil || sink == "" && !acc.topics[at.Topic] {
			continue
		}
		if claimed := c.before + c.now; claimed > acc.messages+acc.missing {
			tell(source, name, at, claimed, acc.messages)
		}
	}
}
