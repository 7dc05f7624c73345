package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"sightline/sink"
	"sightline/sink/kafka"
	"sightline/sink/verify"
)

// verification is what the flags ask for.
type verification struct {
	brokers, topics, files []string
	login                  kafkaLogin
	from, until, sink      string
	window                 int
	json                   bool
}

func newVerify(sh *shell) *cobra.Command {
	var v verification
	c := &cobra.Command{
		Use:   "verify --brokers HOST:PORT,… --topic NAME",
		Short: "Prove from what was delivered that no event is missing, foreign or out of order",
		Long: "Verify reads topics from their beginning to their end, as of the start of the reading, and holds every message\n" +
			"against those before it: sequences without gaps, repeats that are the same byte for byte, order of first\n" +
			"arrivals, ids recomputed from the events' own fields, partitions, and the sums of pipeline.accounting events.\n" +
			"It exits with 0 where all is sound, with 3 where something is wrong, with 1 where it could not read.\n" +
			"The password of --user is read from SIGHTLINE_KAFKA_PASSWORD, the token of OAUTHBEARER from\n" +
			"SIGHTLINE_KAFKA_TOKEN. --window N bounds memory: some 500 bytes for each event of the last N.",
		Example: "  sightline verify --brokers localhost:9092 --topic sightline.events\n" +
			"  sightline verify --brokers kafka-1:9093 --topic 'sightline.hq.*' --ca ca.pem --sasl SCRAM-SHA-512 --user audit --json\n" +
			"  sightline verify --file events.jsonl",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runVerify(cmd.Context(), sh, v) },
	}
	f := c.Flags()
	f.StringSliceVar(&v.brokers, "brokers", nil, "`HOST:PORT,…` of any of the cluster's brokers")
	f.StringSliceVar(&v.topics, "topic", nil, "`NAME` of a topic, or a pattern with * and ?; may be given again")
	f.StringSliceVar(&v.files, "file", nil, "`PATH` of a file of JSON lines instead, plain or .gz; of rotated ones all, the oldest first")
	v.login.flags(c)
	f.StringVar(&v.from, "from", "", "leave out what is older than this `TIME` (RFC 3339)")
	f.StringVar(&v.until, "until", "end", "end, or follow: go on and tell of faults as they come, until a signal")
	f.StringVar(&v.sink, "sink", "", "`NAME` of the sink whose acknowledgments are held against the topic; the only one where there is one")
	f.IntVar(&v.window, "window", 1_000_000, "repeats are compared with at least this `NUMBER` of the last events")
	f.BoolVar(&v.json, "json", false, "print the report as JSON")
	return c
}

func runVerify(ctx context.Context, sh *shell, v verification) error {
	since, err := v.validate()
	if err != nil {
		return &ExitError{exitUsage, err}
	}
	cfg := verify.Config{Sink: v.sink, Window: v.window}
	if v.until == "follow" && !v.json {
		cfg.Told = func(f verify.Fault) { fmt.Fprintln(sh.out, faultText(f)) }
	}
	var report verify.Report
	if len(v.files) > 0 {
		report, err = verifyFiles(ctx, sh, v.files, cfg)
	} else {
		report, err = v.readTopics(ctx, sh, since, cfg)
	}
	if err != nil {
		return err
	}
	if err := printVerified(sh.out, report, v.json, cfg.Told == nil); err != nil {
		return err
	}
	if !report.Sound() {
		return &ExitError{Code: exitPartial}
	}
	return nil
}

// validate reports what of the flags cannot be.
func (v verification) validate() (since time.Time, err error) {
	switch {
	case len(v.files) == 0 && (len(v.brokers) == 0 || len(v.topics) == 0):
		return since, errors.New("give --brokers and --topic, or --file")
	case len(v.files) > 0 && (len(v.brokers) > 0 || len(v.topics) > 0 || v.from != "" || v.until != "end"):
		return since, errors.New("--file is read whole: it goes with none of --brokers, --topic, --from and --until")
	case v.until != "end" && v.until != "follow":
		return since, fmt.Errorf("--until %q is neither end nor follow", v.until)
	case v.window < 1:
		return since, fmt.Errorf("--window %d is not positive", v.window)
	}
	if v.from == "" {
		return since, nil
	}
	if since, err = time.Parse(time.RFC3339Nano, v.from); err != nil {
		return since, fmt.Errorf("--from %q is no time such as 2026-01-31T08:00:00Z", v.from)
	}
	return since, nil
}

// readTopics checks the messages of topics.
func (v verification) readTopics(ctx context.Context, sh *shell, since time.Time, cfg verify.Config) (none verify.Report, err error) {
	from := kafka.Defaults()
	from.Brokers, from.Topic = v.brokers, "{type}" // read is what --topic says
	if err := v.login.apply(sh, &from); err != nil {
		return none, err
	}
	if err := from.Validate(); err != nil {
		return none, &ExitError{exitUsage, err}
	}
	ends, err := kafka.Ends(ctx, from, v.topics...)
	if err != nil {
		return none, err
	}
	var total int64
	cfg.Topics = map[string]verify.Topic{}
	for _, e := range ends {
		t := cfg.Topics[e.Topic]
		first := e.First
		if !since.IsZero() {
			first = max(first, 1) // what is left out counts as gone
		}
		t.Partitions, t.First = t.Partitions+1, append(t.First, first)
		cfg.Topics[e.Topic] = t
		total += e.Next - e.First
	}
	sh.log.Info("reading", slog.Int("topics", len(cfg.Topics)), slog.Int("partitions", len(ends)), slog.Int64("messages", total))
	bar := sh.progress(int(total), "messages")
	defer bar.Finish()
	checker := verify.New(cfg)
	err = kafka.Follow(ctx, from, kafka.Span{Topics: v.topics, Since: since, UntilEnd: v.until == "end"}, func(m kafka.Message) error {
		bar.Add(1)
		headers := make([]sink.Header, len(m.Headers))
		for i, h := range m.Headers {
			headers[i] = sink.Header(h)
		}
		checker.Add(verify.Message{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Headers: headers})
		return nil
	})
	if err == nil && ctx.Err() != nil && v.until == "end" {
		err = errors.New("ended before all was read")
	}
	if err != nil {
		return none, err
	}
	return checker.Report(), nil
}
