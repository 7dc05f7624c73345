// Package verify reads back what sinks delivered and proves, from the messages
// alone, that nothing is missing, foreign, out of order or contradicted. It knows
// nothing of who wrote them, and nothing of Kafka.
package verify

import (
	"crypto/sha1"
	"hash/maphash"
	"strings"

	"sightline/detect"
)

// Config says what the messages are held against.
type Config struct {
	Topics map[string]Topic // what is known of where messages come from
	// Sink is whose acknowledgments are held against the topic; "": the only one that
	// accounts tell of.
	Sink string
	// Window is how many of the last events' ids are remembered at least, and at most
	// twice as many; a repeat from farther away is counted, not compared. 0: 1,000,000,
	// which takes up to half a GB.
	Window int
	Faults int // how many are told in full; 0: 100. All are counted
	// Told, when set, is called with every fault as it is found; what is missing is
	// found at the end.
	Told func(Fault)
}

// Topic is what is known of a topic.
type Topic struct {
	Partitions int     // 0: not checked
	First      []int64 // by partition, the offset at which reading begins: not 0 where older ones are gone
}

// Checker follows the messages of any number of topics. One goroutine at a time.
// Beside the window it holds some hundred bytes for each key, some 20 for each epoch
// of a key, and 16 for each gap.
type Checker struct {
	cfg      Config
	seed     maphash.Seed
	window   *window
	ids      *identities
	keys     map[keyName]*key
	accounts accounts
	report   Report
}

type keyName struct{ topic, key string }

// key is one numbering: a destination's of one partition key.
type key struct {
	Key
	number uint32   // among the keys
	source string   // of its first event
	gaps   ranges   // of the current numbering, which late arrivals may close
	stray  []uint64 // arrived in a wrong partition, where they have no order
	last   uint64   // highest in order
	epochs map[uint64]struct{}
	// what the window has for sure is after kept[0]
	kept [2]uint64
}

// New makes a checker that has seen nothing.
func New(cfg Config) *Checker {
	if cfg.Window == 0 {
		cfg.Window = 1_000_000
	}
	if cfg.Faults == 0 {
		cfg.Faults = 100
	}
	c := &Checker{cfg: cfg, seed: maphash.MakeSeed(), ids: newIdentities(), keys: map[keyName]*key{}, accounts: accounts{}}
	c.window = newWindow(cfg.Window, c.forget)
	c.report.Counts = map[Kind]uint64{}
	return c
}

// forget notes for each key what the window is sure to have.
func (c *Checker) forget() {
	for _, k := range c.keys {
		k.kept = [2]uint64{k.kept[1], k.last}
	}
}

// Add takes the next message of its partition. It keeps nothing of m.
func (c *Checker) Add(m Message) {
	c.report.Messages++
	ev, err := parse(m)
	if err != nil {
		c.fault(Unreadable, m, ev, "%v", err)
		if ev.number == 0 || ev.ID == "" {
			return
		}
		ev.plain = false // what follows goes by the headers
	} else if text := ev.mistakes(m); text != "" {
		c.fault(Inconsistent, m, ev, "%s", text)
	}
	k := c.key(m.Topic, ev.PartitionKey)
	if k.Events++; k.Events == 1 {
		k.Partition, k.source = m.Partition, strings.Clone(ev.Source)
	}
	stray := c.misplaced(m, ev)
	switch c.number(m, &ev, k, stray) {
	case repeated:
		k.Repeated++
		c.accounts.message(ev.Source)
		return
	case denied:
		return
	case remade:
		k.Remade++
	case fresh:
		c.identify(m, &ev, k)
	}
	c.accounts.message(ev.Source)
	if text := c.accounts.add(m, &ev); text != "" {
		c.fault(Accounting, m, ev, "%s", text)
	}
}

func (c *Checker) key(topic, name string) *key {
	k := c.keys[keyName{topic, name}]
	if k == nil {
		topic, name = strings.Clone(topic), strings.Clone(name)
		k = &key{Key: Key{Topic: topic, Key: name}, number: uint32(len(c.keys)), epochs: map[uint64]struct{}{}}
		c.keys[keyName{topic, name}] = k
	}
	return k
}

// misplaced tells of a message in another partition than its key's.
func (c *Checker) misplaced(m Message, ev event) bool {
	n := c.cfg.Topics[m.Topic].Partitions
	if n == 0 || m.Key == nil {
		return false
	}
	want := partitionOf(m.Key, n)
	if want != m.Partition {
		c.fault(Misplaced, m, ev, "key %q belongs to partition %d of %d", m.Key, want, n)
	}
	return want != m.Partition
}

// arrival is what a message is to its key.
type arrival int

const (
	fresh arrival = iota
	repeated
	remade // an event of before, made again and numbered anew
	denied // a repeat that is none
)

// number holds the message against what arrived before it.
func (c *Checker) number(m Message, ev *event, k *key, stray bool) arrival {
	id, ok := parseUUID(ev.ID)
	if !ok { // identify tells of it
		sum := sha1.Sum([]byte(ev.ID))
		id = [16]byte(sum[:16])
	}
	now := entry{ev.number, c.digest(m), c.content(ev), k.number}
	before, seen := c.window.find(id)
	if seen && before.key == k.number && before.sequence == now.sequence {
		if before.whole != now.whole {
			c.fault(Contradiction, m, *ev, "the id and sequence came before with other content")
			return denied
		}
		return repeated
	}
	if seen && before.content != now.content && ev.kind() != detect.Accounting {
		c.fault(Contradiction, m, *ev, "the id came before, with sequence %d and other data", before.sequence)
	}
	what := c.place(m, ev, k, seen, stray)
	if what == fresh {
		c.window.keep(id, now)
		if seen {
			return remade
		}
	}
	return what
}

// place finds the message's sequence among those of its key.
func (c *Checker) place(m Message, ev *event, k *key, seen, stray bool) arrival {
	n, part := ev.number, ev.epoch()
	if part == "" {
		part = ev.ID // a part of its own
	}
	epoch := maphash.String(c.seed, part)
	_, known := k.epochs[epoch]
	k.epochs[epoch] = struct{}{}
	switch {
	case stray:
		k.stray = append(k.stray, n)
	case k.last == 0:
		c.begin(m, k, n)
	case n > k.last:
		if n > k.last+1 {
			k.gaps = append(k.gaps, Range{k.last + 1, n - 1})
		}
		k.last = n
	case k.gaps.remove(n):
		k.Reordered++
		c.fault(Reorder, m, *ev, "sequence %d first arrives after %d", n, k.last)
	case seen:
		return repeated
	case !known && (ev.epoch() != "" || n == 1):
		k.settle()
		k.Restarts++
		k.kept = [2]uint64{}
		c.begin(m, k, n)
	case n > k.kept[0]:
		c.fault(Reused, m, *ev, "sequence %d came before with another id", n)
	default:
		k.Uncompared++
		return repeated
	}
	return fresh
}

// begin takes the first sequence of a numbering. What lies before it is missing,
// unless the topic no longer has its beginning.
func (c *Checker) begin(m Message, k *key, n uint64) {
	first := c.cfg.Topics[m.Topic].First
	cut := k.Restarts == 0 && (m.Partition >= len(first) || first[m.Partition] > 0)
	if k.last = n; k.Restarts == 0 {
		k.First = n
	}
	switch {
	case cut:
		k.Before = n - 1
	case n > 1:
		k.gaps = append(k.gaps, Range{1, n - 1})
	}
}

// settle ends a numbering: what is missing of it stays missing.
func (k *key) settle() {
	for _, n := range k.stray {
		k.gaps.remove(n)
	}
	k.Missing += k.gaps.total()
	k.Gaps = append(k.Gaps, k.gaps...)
	k.gaps, k.stray = nil, nil
	k.Last = k.last
}

// identify recomputes the id of an event that arrives for the first time.
func (c *Checker) identify(m Message, ev *event, k *key) {
	switch c.ids.check(ev) {
	case proven:
		c.report.Proven++
	case shaped:
		c.report.Shaped++
	case strange:
		k.Foreign++
		c.fault(Foreign, m, *ev, "no event of this source, epoch, type, rule and track has the id")
	}
}

// digest is over all that a repeat has to have again.
func (c *Checker) digest(m Message) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	part := func(b []byte) {
		h.Write(b)
		h.WriteByte(0xff) // in no UTF-8, so that parts do not run together
	}
	part(m.Key)
	part(m.Value)
	for _, header := range m.Headers {
		h.WriteString(header.Key)
		part(header.Value)
	}
	return h.Sum64()
}

// content is over what an event tells, however often it was made.
func (c *Checker) content(ev *event) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, text := range []string{ev.Source, ev.Type, ev.Subject, ev.Time, ev.DataRef, ev.SeverityText} {
		h.WriteString(text)
		h.WriteByte(0xff)
	}
	h.Write(ev.raw)
	return h.Sum64()
}
