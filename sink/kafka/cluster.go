package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	dialTimeout = 3 * time.Second // of one address
	metadataTTL = 3 * time.Second // how stale the view of leaders and partitions may be
)

// cluster is the way to the brokers of some topics. It connects when it is first
// used. One goroutine at a time.
type cluster struct {
	cfg    Config
	log    *slog.Logger
	dialer *dialer
	login  *login // nil: none

	topics    map[string]bool    // whose partitions and leaders the transport keeps up with
	transport *kafkago.Transport // nil: none yet, or it is to be made anew
	reached   bool               // a broker has answered
}

func newCluster(cfg Config, log *slog.Logger) (*cluster, error) {
	d, err := newDialer(cfg.TLS, log)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return &cluster{cfg: cfg, log: log, dialer: d, login: newLogin(cfg.SASL), topics: map[string]bool{}}, nil
}

// client is the way to the brokers, with a view of these topics among others; of
// all topics where none are named. The client library fixes the topics it keeps up
// with when it connects: a topic that was not asked about before costs a new
// connection, which happens as often as there are topics, at most.
func (c *cluster) client(topics []string) *kafkago.Client {
	for _, topic := range topics {
		if !c.topics[topic] {
			c.topics[topic] = true
			c.renew()
		}
	}
	if c.login.renew(time.Now()) {
		c.renew()
	}
	if c.transport == nil {
		c.transport = &kafkago.Transport{
			Dial: c.dialer.dial, DialTimeout: max(dialTimeout, c.cfg.WriteTimeout), ClientID: c.cfg.ClientID,
			MetadataTTL: metadataTTL, MetadataTopics: slices.Sorted(maps.Keys(c.topics)),
		}
		if c.login != nil {
			c.transport.SASL = c.login
		}
	}
	return &kafkago.Client{Addr: kafkago.TCP(c.cfg.Brokers...), Timeout: c.cfg.WriteTimeout, Transport: c.transport}
}

// renew makes the next use connect anew, with a fresh view of the cluster, and with
// certificates and secrets as they are then.
func (c *cluster) renew() {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
		c.transport = nil
	}
}

// describe tells of topics, from the client's cache once that is filled. A topic
// that cannot be written to has its Error set. An error is about the cluster.
func (c *cluster) describe(ctx context.Context, topics []string) (map[string]kafkago.Topic, error) {
	meta, err := c.client(topics).Metadata(ctx, &kafkago.MetadataRequest{Topics: topics})
	if err != nil {
		c.renew() // else the client would repeat the error for some seconds
		return nil, bare(err)
	}
	c.reached = true
	out := make(map[string]kafkago.Topic, len(meta.Topics))
	for _, t := range meta.Topics {
		if t.Error == nil && len(t.Partitions) == 0 {
			t.Error = kafkago.LeaderNotAvailable
		}
		out[t.Name] = t
	}
	return out, nil
}

// createPause is between looks at topics that were just made.
const createPause = 50 * time.Millisecond

// create makes those of the topics that do not exist, and waits until they can be
// written to or ctx ends. It says so in the log, and puts what keeps a topic from
// being made into its Error.
func (c *cluster) create(ctx context.Context, topics map[string]kafkago.Topic) {
	var missing []string
	for name, t := range topics {
		if errors.Is(t.Error, kafkago.UnknownTopicOrPartition) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return
	}
	slices.Sort(missing)
	fail := func(name string, err error) { topics[name] = kafkago.Topic{Name: name, Error: &createError{err}} }
	answer, err := c.client(nil).CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: c.cfg.Create.topics(missing)})
	if err != nil {
		for _, name := range missing {
			fail(name, bare(err))
		}
		return
	}
	var made []string
	for _, name := range missing {
		switch err := answer.Errors[name]; {
		case err == nil:
			c.log.Info("kafka topic made", "topic", name, "partitions", c.cfg.Create.Partitions,
				"replication", c.cfg.Create.Replication, "config", c.cfg.Create.Config)
			made = append(made, name)
		case errors.Is(err, kafkago.TopicAlreadyExists): // another one was faster
			made = append(made, name)
		default:
			fail(name, err)
		}
	}
	c.await(ctx, made, topics)
}

// await looks at new topics until all have leaders, or ctx ends: what has none then
// says so itself.
func (c *cluster) await(ctx context.Context, made []string, topics map[string]kafkago.Topic) {
	pause := time.NewTicker(createPause)
	defer pause.Stop()
	for len(made) > 0 {
		c.renew()
		now, err := c.describe(ctx, made)
		if err != nil {
			return
		}
		for name, t := range now {
			topics[name] = t
		}
		made = slices.DeleteFunc(made, func(name string) bool { return led(now[name]) })
		if len(made) == 0 {
			break
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// led tells whether every partition of the topic has a leader.
func led(t kafkago.Topic) bool {
	return t.Error == nil && !slices.ContainsFunc(t.Partitions, func(p kafkago.Partition) bool { return p.Leader.Host == "" })
}

// topics is the request that makes topics.
func (m *Create) topics(names []string) []kafkago.TopicConfig {
	var out []kafkago.TopicConfig
	for _, name := range names {
		t := kafkago.TopicConfig{Topic: name, NumPartitions: -1, ReplicationFactor: -1} // the broker's own
		if m.Partitions > 0 {
			t.NumPartitions = m.Partitions
		}
		if m.Replication > 0 {
			t.ReplicationFactor = m.Replication
		}
		for _, key := range slices.Sorted(maps.Keys(m.Config)) {
			t.ConfigEntries = append(t.ConfigEntries, kafkago.ConfigEntry{ConfigName: key, ConfigValue: m.Config[key]})
		}
		out = append(out, t)
	}
	return out
}
