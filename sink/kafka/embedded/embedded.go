// Package embedded runs a Kafka broker inside the process, in memory: for trying
// Sightline out and for tests. It speaks the protocol; it is not a Kafka: nothing
// survives the process, nothing is replicated, topics come to be when somebody asks
// for them, and old messages make room for new ones after some 32 MiB a partition.
package embedded

import (
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	partitions   = 3          // of a new topic
	retainBytes  = "33554432" // of a partition
	segmentBytes = "4194304"  // what is dropped at once
	sweepEvery   = 5 * time.Second
)

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	stop    func()
	sweeper sync.WaitGroup
}

// Start listens on a free port of 127.0.0.1. The caller closes the broker.
func Start() (*Broker, error) {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(partitions),
		kfake.BrokerConfigs(map[string]string{"log.retention.bytes": retainBytes, "log.segment.bytes": segmentBytes}),
	)
	if err != nil {
		return nil, fmt.Errorf("start embedded kafka: %w", err)
	}
	cluster.ControlKey(kmsg.Metadata.Int16(), makeTopics)
	b := &Broker{cluster: cluster}
	done := make(chan struct{})
	b.stop = sync.OnceFunc(func() { close(done) })
	b.sweeper.Go(func() { b.sweep(done) })
	return b, nil
}

// makeTopics lets the broker make every topic that a client asks about, also for
// clients that do not want it to. The request itself is left to the broker.
func makeTopics(r kmsg.Request) (kmsg.Response, error, bool) {
	if m, ok := r.(*kmsg.MetadataRequest); ok {
		m.AllowAutoTopicCreation = true
	}
	return nil, nil, false
}

// sweep forgets what is beyond retention, until done.
func (b *Broker) sweep(done <-chan struct{}) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.cluster.ApplyRetention()
		case <-done:
			return
		}
	}
}

// Addr is the broker's host:port.
func (b *Broker) Addr() string { return b.cluster.ListenAddrs()[0] }

// Close stops the broker and forgets every message. It never fails, and may be
// called again.
func (b *Broker) Close() error {
	b.stop()
	b.sweeper.Wait()
	b.cluster.Close()
	return nil
}
