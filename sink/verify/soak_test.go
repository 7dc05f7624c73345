//go:build soak

package verify

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"sightline/detect"
	"sightline/sink"
)

// TestSoakMemory checks SIGHTLINE_EVENTS events of 100 keys, 10 million unless said
// otherwise, in less than 1 GB.
func TestSoakMemory(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SIGHTLINE_EVENTS"))
	if err != nil {
		n = 10_000_000
	}
	c := New(Config{Topics: map[string]Topic{testTopic: {Partitions: partitions, First: make([]int64, partitions)}}})
	var value []byte
	peak := uint64(0)
	for i := range n {
		stream, ordinal := fmt.Sprint("s", i%100), uint64(i/100+1)
		ev := &detect.Event{Site: "hq", Stream: stream, Type: detect.StreamDegraded, Subject: "stream/" + stream, Time: start, Severity: detect.Info}
		ev.Data.Stream = detect.StreamInfo{Site: "hq", Name: stream, Epoch: "e"}
		ev.ID = detect.EventID(ev.Source(), "e", ev.Type, "", "", ordinal)
		if value, err = sink.AppendStructured(value[:0], sink.Record{Event: ev, Sequence: ordinal}); err != nil {
			t.Fatal(err)
		}
		key := []byte(ev.PartitionKey())
		c.Add(Message{Topic: testTopic, Partition: partitionOf(key, partitions), Offset: int64(i), Key: key, Value: value})
		if i%100_000 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.Sys)
		}
	}
	if r := c.Report(); !r.Sound() || r.Proven != uint64(n) {
		t.Errorf("%d proven, %v, %v", r.Proven, r.Counts, r.Faults)
	}
	if t.Logf("%d MB for %d events", peak>>20, n); peak > 1e9 {
		t.Error("more than 1 GB")
	}
}
