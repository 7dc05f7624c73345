package verify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/detect"
)

// Hashes that the Apache client's own unit test lists, and the client library's
// partitioner for keys of every length.
func TestPartitionIsTheJavaClients(t *testing.T) {
	for key, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string":                       -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got, want := partitionOf([]byte(key), 1<<30), int(hash&0x7fffffff)%(1<<30); got != want {
			t.Errorf("key %q: got %d, want %d", key, got, want)
		}
	}
	ids := make([]int, 17)
	for i := range ids {
		ids[i] = i
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		key := make([]byte, n)
		for i := range key {
			key[i] = byte(random.Uint32())
		}
		want := (kafkago.Murmur2Balancer{Consistent: true}).Balance(kafkago.Message{Key: key}, ids...)
		if got := partitionOf(key, len(ids)); got != want {
			t.Errorf("key %x: got %d, want %d", key, got, want)
		}
	}
}

func TestRangesAgainstASet(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	rs, set := ranges{{1, 40}, {50, 50}, {60, 99}}, map[uint64]bool{}
	for _, r := range rs {
		for n := r.First; n <= r.Last; n++ {
			set[n] = true
		}
	}
	for range 200 {
		n := random.Uint64N(102)
		if got := rs.remove(n); got != set[n] {
			t.Fatalf("remove %d: %v, want %v, of %v", n, got, set[n], rs)
		}
		delete(set, n)
		if rs.total() != uint64(len(set)) || !slices.IsSortedFunc(rs, func(a, b Range) int { return int(a.Last) - int(b.First) }) {
			t.Fatalf("%v, want %d in all", rs, len(set))
		}
	}
}

// An ordinal is found wherever it is, with or without those before it.
func TestOrdinalsAreFound(t *testing.T) {
	s := newStory(t)
	for range 3000 {
		s.event("gate", "e1", detect.StreamDegraded, "stream/gate", detect.Data{})
	}
	d := newIdentities()
	for _, i := range []int{2999, 0, 1, 70, 2998} {
		ev, err := parse(s.messages[i])
		if err != nil {
			t.Fatal(err)
		}
		if got := d.check(&ev); got != proven {
			t.Errorf("ordinal %d: %v", i+1, got)
		}
		ev.data.Stream.Epoch = "e2"
		if got := d.check(&ev); got != strange {
			t.Errorf("ordinal %d of another epoch: %v", i+1, got)
		}
	}
	d.search = 10
	ev, _ := parse(s.messages[500])
	ev.data.Stream.Epoch = "e3"
	if got := d.check(&ev); got != shaped {
		t.Errorf("with nothing left to search with: %v", got)
	}
}

// Whatever bytes a topic holds, they are counted and never end the check.
func FuzzAdd(f *testing.F) {
	s := newStory(&testing.T{})
	s.epoch("gate", "e", 1)
	for _, m := range s.messages {
		f.Add(m.Value, "")
	}
	f.Add([]byte(`{"specversion":"1.0","sequence":"00000000000000000001","data":{"stream":null}}`), "")
	f.Add([]byte(`{"sinks":{"kafka":[]}}`), "sightline.pipeline.accounting")
	f.Fuzz(func(t *testing.T, value []byte, typ string) {
		m := s.messages[0]
		m.Value = value
		if typ != "" {
			m.Headers = slices.Clone(m.Headers)
			for i := range m.Headers {
				switch m.Headers[i].Key {
				case "content-type":
					m.Headers[i].Value = []byte("application/json")
				case "ce_type":
					m.Headers[i].Value = []byte(typ)
				}
			}
		}
		c := New(Config{})
		c.ids.search = 1000
		c.Add(m)
		c.Add(m)
		if r := c.Report(); r.Messages != 2 {
			t.Errorf("%+v", r)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	s := newStory(&testing.T{})
	for i := range 200 {
		s.epoch("gate", fmt.Sprint("e", i), 30)
	}
	c := New(Config{Topics: map[string]Topic{testTopic: {Partitions: partitions, First: make([]int64, partitions)}}})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		c.Add(s.messages[n%len(s.messages)])
		n++
	}
}
