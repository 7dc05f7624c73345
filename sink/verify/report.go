package verify

import (
	"cmp"
	"fmt"
	"slices"
)

// Kind is what can be wrong.
type Kind string

// Kinds of faults.
const (
	Missing       Kind = "missing"       // a sequence that no message has, between others that came
	Reorder       Kind = "reorder"       // a sequence that first arrives after a higher one
	Reused        Kind = "reused"        // two events with one sequence
	Contradiction Kind = "contradiction" // an id that came before with other content
	Foreign       Kind = "foreign"       // an id that no event of this kind has
	Misplaced     Kind = "misplaced"     // a message outside its key's partition
	Unreadable    Kind = "unreadable"    // no event, or one that contradicts its headers
	Inconsistent  Kind = "inconsistent"  // attributes that contradict one another
	Accounting    Kind = "accounting"    // sums that do not add up, or claim more than is there
)

// Report is what was found. It is sound when nothing was counted in Counts.
type Report struct {
	Messages uint64          `json:"messages"`
	Proven   uint64          `json:"ids_proven"` // recomputed from the event's own fields
	Shaped   uint64          `json:"ids_shaped"` // of which no more can be said than that they are UUIDv5
	Keys     []Key           `json:"keys"`       // by topic and key
	Counts   map[Kind]uint64 `json:"counts"`     // of faults; of missing, events
	Faults   []Fault         `json:"faults"`     // the first ones, in order of arrival; what is missing last
}

// Key is one key of a topic.
type Key struct {
	Topic      string `json:"topic"`
	Key        string `json:"key"`
	Partition  int    `json:"partition"`
	Events     uint64 `json:"events"` // messages, repeats included
	First      uint64 `json:"first"`  // sequence
	Last       uint64 `json:"last"`
	Before     uint64 `json:"before"` // sequences older than the topic's beginning
	Missing    uint64 `json:"missing"`
	Gaps       ranges `json:"gaps,omitempty"`
	Repeated   uint64 `json:"repeated"`   // delivered again, the same byte for byte
	Uncompared uint64 `json:"uncompared"` // of these, from farther back than the window
	Remade     uint64 `json:"remade"`     // made again after a replay: the same id and data, another sequence
	Reordered  uint64 `json:"reordered"`
	Foreign    uint64 `json:"foreign"`
	Restarts   uint64 `json:"restarts"` // numberings that began anew: of a sink without a spool, with each epoch
}

// Fault is one thing that is wrong.
type Fault struct {
	Kind      Kind   `json:"kind"`
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       string `json:"key"`
	ID        string `json:"id,omitempty"`
	Text      string `json:"text"`
}

// Sound says that nothing is wrong.
func (r Report) Sound() bool { return len(r.Counts) == 0 }

func (c *Checker) fault(kind Kind, m Message, ev event, format string, args ...any) {
	c.report.Counts[kind]++
	c.tell(Fault{
		Kind: kind, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset,
		Key: ev.PartitionKey, ID: ev.ID, Text: fmt.Sprintf(format, args...),
	})
}

func (c *Checker) tell(f Fault) {
	if c.cfg.Told != nil {
		c.cfg.Told(f)
	}
	if len(c.report.Faults) < c.cfg.Faults {
		c.report.Faults = append(c.report.Faults, f)
	}
}

// Report ends the check: what has not arrived by now is missing. The checker is not
// used any more.
func (c *Checker) Report() Report {
	out := &c.report
	for _, k := range c.keys {
		k.settle()
		c.accounts.of(k.source).missing += k.Missing
		out.Keys = append(out.Keys, k.Key)
	}
	slices.SortFunc(out.Keys, func(a, b Key) int { return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Key, b.Key)) })
	before := false // something is older than what was read
	for _, k := range out.Keys {
		before = before || k.Before > 0
		for _, gap := range k.Gaps {
			out.Counts[Missing] += gap.Last - gap.First + 1
			c.tell(Fault{Kind: Missing, Topic: k.Topic, Partition: k.Partition, Key: k.Key, Offset: -1,
				Text: fmt.Sprintf("sequences %d to %d are missing", gap.First, gap.Last)})
		}
	}
	if !before {
		c.accounts.overclaimed(c.cfg.Sink, func(source, sink string, at Message, claimed, there uint64) {
			c.fault(Accounting, at, event{}, "sink %s claims %d acknowledged of %s, there are %d", sink, claimed, source, there)
		})
	}
	return *out
}
