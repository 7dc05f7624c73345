// Package embedded runs a Kafka broker inside the process, in memory: for trying
// Sightline out and for tests. It speaks the protocol; it is not a Kafka: nothing
// survives the process, nothing is replicated, and old messages make room for new
// ones after some 32 MiB a partition.
package embedded

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	partitions   = 3
	retainBytes  = "33554432" // of a partition
	segmentBytes = "4194304"  // what is dropped at once
	sweepMs      = "5000"     // how often retention is looked after
)

// Broker is a running broker.
type Broker struct{ cluster *kfake.Cluster }

// Start listens on a free port of 127.0.0.1. The broker has no topics yet. The
// caller closes it.
func Start() (*Broker, error) {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": sweepMs}),
	)
	if err != nil {
		return nil, fmt.Errorf("start embedded kafka: %w", err)
	}
	return &Broker{cluster}, nil
}

// AddTopic makes a topic; one that exists is left as it is.
func (b *Broker) AddTopic(topic string) error {
	err := b.cluster.CreateTopic(topic, partitions, map[string]string{
		"retention.bytes": retainBytes, "segment.bytes": segmentBytes,
	})
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("embedded kafka: make topic %s: %w", topic, err)
	}
	return nil
}

// Addr is the broker's host:port.
func (b *Broker) Addr() string { return b.cluster.ListenAddrs()[0] }

// Close stops the broker and forgets every message. It never fails.
func (b *Broker) Close() error {
	b.cluster.Close()
	return nil
}
