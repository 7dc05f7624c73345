package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"sightline/detect"
	kafkatest "sightline/internal/testkit/kafka"
	"sightline/sink"
	"sightline/sink/verify"
)

// delivered is a message that a test puts into a topic as it likes.
type delivered struct {
	key     string
	record  sink.Record
	value   []byte
	headers []kafkago.Header
	aside   int // how many partitions away from the key's own
}

// deliveries makes n events of two streams each, with accounts that add up.
func deliveries(t *testing.T, n uint64) (out []delivered) {
	t.Helper()
	start := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for i := uint64(1); i <= n; i++ {
		for _, stream := range []string{"gate", "hall"} {
			ev := &detect.Event{
				Site: "hq", Stream: stream, Type: detect.ObjectUpdated, Subject: "track/e-1", Severity: detect.Info,
				Time: start.Add(time.Duration(i) * time.Second), Recorded: start.Add(time.Duration(i)*time.Second + 1000),
				Data: detect.Data{
					Stream: detect.StreamInfo{Site: "hq", Name: stream, Epoch: "e"}, Frame: &detect.FrameInfo{Index: 10 * i},
					Object: &detect.Object{TrackID: "e-1", Class: "person", Score: .5, State: "active", FirstSeen: start, LastSeen: start},
				},
			}
			track, ordinal := "e-1", i
			if i == n {
				ev.Type, ev.Subject, track, ordinal = detect.Accounting, "stream/"+stream, "", 1
				ev.Data = detect.Data{Stream: ev.Data.Stream, Accounting: &detect.Ledger{
					Received: 10, Decoded: 10, Inferred: 10, Sinks: map[string]detect.SinkLedger{"events": {Made: n, Acknowledged: n - 1, Spooled: 1}},
				}}
			}
			ev.ID = detect.EventID(ev.Source(), "e", ev.Type, "", track, ordinal)
			out = append(out, encoded(t, sink.Record{Event: ev, Sequence: i}))
		}
	}
	return out
}

func encoded(t *testing.T, r sink.Record) delivered {
	t.Helper()
	value, err := sink.AppendStructured(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	d := delivered{key: r.PartitionKey(), record: r, value: value, headers: []kafkago.Header{{Key: "content-type", Value: []byte(sink.StructuredType)}}}
	for _, h := range sink.Attributes(r) {
		d.headers = append(d.headers, kafkago.Header(h))
	}
	return d
}

// changed is d with some text replaced everywhere.
func (d delivered) changed(t *testing.T, old, new string) delivered {
	t.Helper()
	if !bytes.Contains(d.value, []byte(old)) {
		t.Fatalf("no %s in %s", old, d.value)
	}
	d.value, d.headers = bytes.ReplaceAll(d.value, []byte(old), []byte(new)), slices.Clone(d.headers)
	for i := range d.headers {
		d.headers[i].Value = bytes.ReplaceAll(d.headers[i].Value, []byte(old), []byte(new))
	}
	return d
}

// doctored is what is planted into a topic, by the topic's name.
var doctored = map[string]struct {
	plant func(t *testing.T, ms []delivered) []delivered
	want  map[verify.Kind]uint64
	says  string
}{
	"sound":  {func(_ *testing.T, ms []delivered) []delivered { return ms }, map[verify.Kind]uint64{}, "sound: 40 messages of 2 keys, 40 ids recomputed"},
	"repeat": {func(_ *testing.T, ms []delivered) []delivered { return append(ms, ms[4:9]...) }, map[verify.Kind]uint64{}, "sound: 45 messages"},
	"gap": {func(_ *testing.T, ms []delivered) []delivered { return slices.Delete(ms, 6, 8) },
		map[verify.Kind]uint64{verify.Missing: 2}, "missing of hq/gate in gap: 4\n"},
	"body": {func(t *testing.T, ms []delivered) []delivered {
		return append(ms, ms[4].changed(t, `"score":0.5`, `"score":0.9`))
	},
		map[verify.Kind]uint64{verify.Contradiction: 1}, "came before with other content"},
	"reorder": {func(_ *testing.T, ms []delivered) []delivered { ms[8], ms[10] = ms[10], ms[8]; return ms },
		map[verify.Kind]uint64{verify.Reorder: 1}, "sequence 5 first arrives after 6"},
	"foreign": {func(t *testing.T, ms []delivered) []delivered {
		ms[12] = ms[12].changed(t, ms[12].record.Event.ID, "d57a4e7f-dacd-53b5-8104-90428e2c6aab")
		return ms
	}, map[verify.Kind]uint64{verify.Foreign: 1}, "id d57a4e7f-dacd-53b5-8104-90428e2c6aab"},
	"partition": {func(_ *testing.T, ms []delivered) []delivered { ms[14].aside = 1; return ms },
		map[verify.Kind]uint64{verify.Misplaced: 1}, `key "hq/gate" belongs to partition`},
	"json": {func(_ *testing.T, ms []delivered) []delivered { ms[16].value = ms[16].value[:50]; return ms },
		map[verify.Kind]uint64{verify.Unreadable: 1}, "not JSON"},
	"sums": {func(t *testing.T, ms []delivered) []delivered {
		ms[39] = ms[39].changed(t, `"received":10`, `"received":11`)
		return ms
	}, map[verify.Kind]uint64{verify.Accounting: 1}, "received is 11, its parts come to 10"},
	"claims": {func(t *testing.T, ms []delivered) []delivered {
		ms[39] = ms[39].changed(t, `"made":20`, `"made":30`).changed(t, `"acknowledged":19`, `"acknowledged":29`)
		return ms
	}, map[verify.Kind]uint64{verify.Accounting: 1}, "claims 29 acknowledged of /sightline/hq/hall, there are 20"},
}

func TestVerifyFindsWhatIsPlanted(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	verifyDoctored(t, c.ListenAddrs()[0], func(topic string) {
		if err := c.CreateTopic(topic, 3, nil); err != nil {
			t.Fatal(err)
		}
	})
}

func TestVerifyFindsWhatIsPlantedInApacheKafka(t *testing.T) {
	b := kafkatest.Start(t)
	verifyDoctored(t, b.Addr, func(topic string) { b.CreateTopic(topic, 3) })
}

func verifyDoctored(t *testing.T, broker string, makeTopic func(topic string)) {
	for topic, c := range doctored {
		makeTopic(topic)
		produce(t, broker, topic, c.plant(t, deliveries(t, 20)))
		got := sightline("verify", "--brokers", broker, "--topic", topic)
		code := exitDone
		if len(c.want) > 0 {
			code = exitPartial
		}
		if got.code != code || !strings.Contains(got.out, c.says) {
			t.Errorf("%s: exit %d, want %d and %q:\n%s%s", topic, got.code, code, c.says, got.out, got.errOut)
		}
		got = sightline("verify", "--brokers", broker, "--topic", topic, "--json")
		var report struct {
			Sound  bool
			Counts map[verify.Kind]uint64
		}
		if err := json.Unmarshal([]byte(got.out), &report); err != nil {
			t.Fatalf("%s: %v in %s%s", topic, err, got.out, got.errOut)
		}
		if fmt.Sprint(report.Counts) != fmt.Sprint(c.want) || report.Sound != (len(c.want) == 0) {
			t.Errorf("%s: found %v, want %v", topic, report.Counts, c.want)
		}
	}
	got := sightline("verify", "--brokers", broker, "--topic", "s*")
	for _, says := range []string{"sound", "sums", "not sound: accounting 1; 80 messages of 4 keys"} {
		if got.code != exitPartial || !strings.Contains(got.out, says) {
			t.Errorf("topics s*: exit %d, want %q in:\n%s%s", got.code, says, got.out, got.errOut)
		}
	}
}

// produce puts messages into their partitions one after the other.
func produce(t *testing.T, broker, topic string, ms []delivered) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	transport := &kafkago.Transport{}
	defer transport.CloseIdleConnections()
	client := kafkago.Client{Addr: kafkago.TCP(broker), Transport: transport}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for i := 0; i < len(ms); {
		m := ms[i]
		p := (kafkago.Murmur2Balancer{Consistent: true}).Balance(kafkago.Message{Key: []byte(m.key)}, 0, 1, 2)
		res, err := client.Produce(ctx, &kafkago.ProduceRequest{
			Topic: topic, Partition: (p + m.aside) % 3, RequiredAcks: kafkago.RequireAll,
			Records: kafkago.NewRecordReader(kafkago.Record{Key: kafkago.NewBytes([]byte(m.key)), Value: kafkago.NewBytes(m.value), Headers: m.headers}),
		})
		if err == nil {
			err = res.Error
		}
		switch {
		case err == nil:
			i++
		case ctx.Err() != nil:
			t.Fatalf("topic %s: %v", topic, err)
		default:
			<-again.C // a new topic has no leader yet
		}
	}
}

// Following tells of a fault when it comes, and of the whole at the end.
func TestVerifyFollows(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.CreateTopic("live", 3, nil); err != nil {
		t.Fatal(err)
	}
	broker, ms := c.ListenAddrs()[0], deliveries(t, 20)
	produce(t, broker, "live", ms[:20])
	told, say := io.Pipe()
	sh := &shell{out: say, err: io.Discard, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- runVerify(ctx, sh, verification{brokers: []string{broker}, topics: []string{"live"}, until: "follow", window: 100})
		say.Close()
	}()
	produce(t, broker, "live", append([]delivered{ms[20].changed(t, ms[20].record.Event.ID, "d57a4e7f-dacd-53b5-8104-90428e2c6aab")}, ms[21:]...))
	lines := bufio.NewScanner(told)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "foreign: live/") {
		t.Errorf("told %q", lines.Text())
	}
	cancel()
	rest := ""
	for lines.Scan() {
		rest += lines.Text() + "\n"
	}
	var exit *ExitError
	if err := <-ended; !errors.As(err, &exit) || exit.Code != exitPartial || !strings.Contains(rest, "not sound: foreign 1") {
		t.Errorf("%v:\n%s", err, rest)
	}
}

func TestVerifyFiles(t *testing.T) {
	write := func(name string, ms []delivered) string {
		path := filepath.Join(t.TempDir(), name)
		var all []byte
		for _, m := range ms {
			all = append(append(all, m.value...), '\n')
		}
		if err := os.WriteFile(path, all, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ms := deliveries(t, 20)
	older, newer := write("events.1.jsonl", ms[:20]), write("events.jsonl", ms[20:])
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--file", older + "," + newer}, exitDone, "sound: 40 messages of 2 keys, 40 ids recomputed"},
		{[]string{"--file", newer}, exitDone, "10 older than what was read"},
		{[]string{"--file", newer, "--file", older}, exitPartial, "not sound: reused 20"},
		{[]string{"--file", write("gap.jsonl", slices.Delete(slices.Clone(ms), 4, 5))}, exitPartial, "missing of hq/gate"},
	} {
		got := sightline(append([]string{"verify"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.out, c.says) {
			t.Errorf("%q: exit %d, want %d and %q:\n%s%s", c.args, got.code, c.code, c.says, got.out, got.errOut)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	file := writeFile(t, "{}")
	refused(t, []struct {
		args []string
		code int
		says string
	}{
		{[]string{"verify"}, exitUsage, "give --brokers and --topic, or --file"},
		{[]string{"verify", "--brokers", "127.0.0.1:1"}, exitUsage, "give --brokers and --topic"},
		{[]string{"verify", "--brokers", "127.0.0.1:1", "--topic", "a"}, exitNothing, "connection refused"},
		{[]string{"verify", "--brokers", "nowhere", "--topic", "a"}, exitUsage, "not host:port"},
		{[]string{"verify", "--brokers", "h:1", "--topic", "a", "--until", "now"}, exitUsage, "neither end nor follow"},
		{[]string{"verify", "--brokers", "h:1", "--topic", "a", "--from", "yesterday"}, exitUsage, "no time such as"},
		{[]string{"verify", "--brokers", "h:1", "--topic", "a", "--sasl", "PLAIN"}, exitUsage, "SIGHTLINE_KAFKA_PASSWORD"},
		{[]string{"verify", "--brokers", "h:1", "--topic", "a", "--user", "u"}, exitUsage, "--user needs --sasl"},
		{[]string{"verify", "--file", file, "--topic", "a"}, exitUsage, "goes with none of"},
		{[]string{"verify", "--file", file + ".none"}, exitNothing, "no such file"},
		{[]string{"verify", "--file", file, "--window", "0"}, exitUsage, "not positive"},
	})
}
