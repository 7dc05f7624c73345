package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// A message survives kill -9; a frozen broker does not answer; every listener works.
func TestBroker(t *testing.T) {
	b := Start(t)
	b.CreateTopic("events", 2, "retention.ms=60000")
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()

	produce(ctx, t, &kafka.Writer{Addr: kafka.TCP(b.Addr), Balancer: kafka.BalancerFunc(func(kafka.Message, ...int) int { return 1 })}, "kept")
	b.Kill9()
	if answers(ctx, b.Addr) {
		t.Fatal("the broker answers after it was killed")
	}
	b.Restart()
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{b.Addr}, Topic: "events", Partition: 1, MaxWait: 100 * time.Millisecond})
	defer reader.Close()
	if m, err := reader.ReadMessage(ctx); err != nil || string(m.Value) != "kept" {
		t.Fatalf("after the restart: %q, %v", m.Value, err)
	}

	b.Pause()
	short, stop := context.WithTimeout(ctx, time.Second)
	if answers(short, b.Addr) {
		t.Error("the paused broker answers")
	}
	stop()
	b.Resume()

	for name, mechanism := range mechanisms(t, b) {
		t.Run(name, func(t *testing.T) {
			addr := b.SASLAddr
			if mechanism == nil {
				addr = b.SSLAddr
			}
			produce(ctx, t, &kafka.Writer{Addr: kafka.TCP(addr), Transport: &kafka.Transport{TLS: trust(t, b), SASL: mechanism}}, name)
		})
	}
	b.Stop()
}

func mechanisms(t *testing.T, b *Broker) map[string]sasl.Mechanism {
	t.Helper()
	all := map[string]sasl.Mechanism{"TLS": nil, "PLAIN": plain.Mechanism{Username: b.User, Password: b.Password}}
	for _, algorithm := range []scram.Algorithm{scram.SHA256, scram.SHA512} {
		m, err := scram.Mechanism(algorithm, b.User, b.Password)
		if err != nil {
			t.Fatal(err)
		}
		all[m.Name()] = m
	}
	return all
}

func trust(t *testing.T, b *Broker) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(b.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}
}

func produce(ctx context.Context, t *testing.T, w *kafka.Writer, value string) {
	t.Helper()
	defer w.Close()
	w.Topic, w.RequiredAcks, w.BatchTimeout = "events", kafka.RequireAll, time.Millisecond
	if err := w.WriteMessages(ctx, kafka.Message{Key: []byte("k"), Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}
