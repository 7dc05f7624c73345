package kafka

import (
	"context"
	"fmt"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	dialTimeout = 3 * time.Second // of one address
	metadataTTL = 3 * time.Second // how stale the view of leaders and partitions may be
)

// cluster is the way to one topic's brokers. It connects when it is first used.
type cluster struct {
	cfg       Config
	client    *kafkago.Client
	transport *kafkago.Transport
	reached   bool // the topic has been seen
}

func newCluster(cfg Config) (*cluster, error) {
	tlsConfig, err := cfg.TLS.config()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	mechanism, err := cfg.SASL.mechanism()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	transport := &kafkago.Transport{
		Dial:        (&net.Dialer{Timeout: dialTimeout}).DialContext,
		DialTimeout: max(dialTimeout, cfg.WriteTimeout), ClientID: cfg.ClientID,
		MetadataTTL: metadataTTL, MetadataTopics: []string{cfg.Topic},
		TLS: tlsConfig, SASL: mechanism,
	}
	client := &kafkago.Client{Addr: kafkago.TCP(cfg.Brokers...), Timeout: cfg.WriteTimeout, Transport: transport}
	return &cluster{cfg: cfg, client: client, transport: transport}, nil
}

// describe tells of the topic, from the client's cache once that is filled.
func (c *cluster) describe(ctx context.Context) (kafkago.Topic, error) {
	meta, err := c.client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{c.cfg.Topic}})
	switch {
	case err != nil:
		return kafkago.Topic{}, bare(err)
	case len(meta.Topics) != 1:
		return kafkago.Topic{}, kafkago.UnknownTopicOrPartition
	case meta.Topics[0].Error != nil:
		return kafkago.Topic{}, meta.Topics[0].Error
	case len(meta.Topics[0].Partitions) == 0:
		return kafkago.Topic{}, kafkago.LeaderNotAvailable
	}
	c.reached = true
	return meta.Topics[0], nil
}
