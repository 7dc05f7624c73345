package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	kafkatest "sightline/internal/testkit/kafka"
	"sightline/sink"
	"sightline/sink/sinktest"
)

// BenchmarkAgainstTheClient publishes 500 events of 1 KB at a time to 3 partitions of
// the real broker, and sends the same messages with the client library's Writer and
// with its Client, one request a partition, in turns: what is reported are records
// per second in the median turn, and ours in percent of the faster one of theirs.
func BenchmarkAgainstTheClient(b *testing.B) {
	broker := kafkatest.Start(b)
	const batch, partitions, size = 500, 3, 1000
	records := oneKilobyte(b, batch, size)
	ctx := context.Background()
	runs := map[string]func() error{}

	cfg := config(broker.Addr)
	cfg.Topic = "ours"
	broker.CreateTopic(cfg.Topic, partitions)
	s := newSink(b, cfg)
	runs["ours"] = func() error { return s.Publish(ctx, records) }

	broker.CreateTopic("writer", partitions)
	w := &kafkago.Writer{
		Addr: kafkago.TCP(broker.Addr), Topic: "writer", Balancer: kafkago.Murmur2Balancer{Consistent: true},
		RequiredAcks: kafkago.RequireAll, BatchSize: batch, BatchTimeout: time.Millisecond, Transport: &kafkago.Transport{},
	}
	b.Cleanup(func() {
		w.Close()
		w.Transport.(*kafkago.Transport).CloseIdleConnections()
	})
	messages := theirs(records)
	runs["writer"] = func() error { return w.WriteMessages(ctx, messages...) }

	broker.CreateTopic("client", partitions)
	transport := &kafkago.Transport{MetadataTopics: []string{"client"}}
	b.Cleanup(transport.CloseIdleConnections)
	client := &kafkago.Client{Addr: kafkago.TCP(broker.Addr), Transport: transport, Timeout: 10 * time.Second}
	runs["client"] = func() error { return produceAll(ctx, client, messages) }

	took := map[string][]time.Duration{}
	for _, run := range runs { // find the leaders, grow the buffers
		for tries := 0; tries < 50; tries++ {
			if err := run(); err == nil && tries > 10 {
				break
			}
		}
	}
	for b.Loop() {
		for name, run := range runs {
			start := time.Now()
			for range 5 {
				if err := run(); err != nil {
					b.Fatal(name, err)
				}
			}
			took[name] = append(took[name], time.Since(start))
		}
	}
	rate := func(name string) float64 {
		slices.Sort(took[name])
		return 5 * batch / took[name][len(took[name])/2].Seconds()
	}
	for name := range runs {
		b.ReportMetric(rate(name), name+"/s")
	}
	b.ReportMetric(100*rate("ours")/max(rate("writer"), rate("client")), "percent")
}

// oneKilobyte makes events of 30 streams whose JSON has that many bytes.
func oneKilobyte(tb testing.TB, n, size int) []sink.Record {
	tb.Helper()
	var records []sink.Record
	for i := range n {
		r := sinktest.Record(fmt.Sprint("cam-", i%30), uint64(1+i/30))
		for range 2 {
			json, err := sink.AppendStructured(nil, sink.Record{Event: r.Event, Sequence: r.Sequence})
			if err != nil {
				tb.Fatal(err)
			}
			r.Event.Data.Stream.Title += strings.Repeat("x", max(0, size-len(json)))
			r.JSON = json
		}
		records = append(records, r)
	}
	return records
}

// theirs are the same messages as the client library wants them.
func theirs(records []sink.Record) []kafkago.Message {
	var out []kafkago.Message
	for _, r := range records {
		m := kafkago.Message{Key: []byte(r.PartitionKey()), Value: r.JSON}
		m.Headers = append(m.Headers, kafkago.Header{Key: contentType, Value: []byte(sink.StructuredType)})
		for _, a := range sink.Attributes(r) {
			m.Headers = append(m.Headers, kafkago.Header(a))
		}
		out = append(out, m)
	}
	return out
}

func produceAll(ctx context.Context, client *kafkago.Client, messages []kafkago.Message) error {
	lanes := map[int][]kafkago.Record{}
	for _, m := range messages {
		p := kafkago.Murmur2Balancer{Consistent: true}.Balance(m, 0, 1, 2)
		lanes[p] = append(lanes[p], kafkago.Record{Key: kafkago.NewBytes(m.Key), Value: kafkago.NewBytes(m.Value), Headers: m.Headers})
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(lanes))
	for p, lane := range lanes {
		wg.Go(func() {
			res, err := client.Produce(ctx, &kafkago.ProduceRequest{
				Topic: "client", Partition: p, RequiredAcks: kafkago.RequireAll, Records: kafkago.NewRecordReader(lane...),
			})
			if err == nil {
				err = res.Error
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
