package kafka

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	kafkatest "sightline/internal/testkit/kafka"
	"sightline/sink/sinktest"
)

// apacheMutualTLS logs in with a certificate, which is replaced by another one while
// the sink runs, and by rubbish in between.
func apacheMutualTLS(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "mutual", 1)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	b.ClientCertificate("camera", cert, key)
	cfg := config(b.MutualAddr)
	cfg.Topic, cfg.TLS = "mutual", &TLS{CA: b.CAFile, Cert: cert, Key: key}
	var log bytes.Buffer
	s := newLoggedSink(t, cfg, &log)
	publish := func(n uint64) {
		t.Helper()
		s.renew()
		if _, err := deliver(t.Context(), s, sinktest.Records([]string{"a"}, n, 1)); err != nil {
			t.Fatal(err)
		}
	}
	publish(1)
	old := s.dialer.last.Certificates[0].Certificate[0]
	if err := os.WriteFile(cert, []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	publish(2)
	if !strings.Contains(log.String(), "those read before are kept") {
		t.Errorf("nothing said of the broken file: %s", log.String())
	}
	b.ClientCertificate("camera-2", cert, key)
	publish(3)
	if bytes.Equal(old, s.dialer.last.Certificates[0].Certificate[0]) {
		t.Error("the new certificate was not taken")
	}
	if got := read(t, cfg, 3); len(got) != 3 {
		t.Errorf("%d arrived", len(got))
	}
	cfg.TLS = &TLS{CA: b.CAFile}
	err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 4, 1))
	if err == nil || !strings.Contains(err.Error(), "tls.cert") {
		t.Errorf("without a certificate: %v", err)
	}
}

func newLoggedSink(t *testing.T, cfg Config, to *bytes.Buffer) *Sink {
	t.Helper()
	s, err := New(cfg, slog.New(slog.NewTextHandler(to, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(t.Context()) })
	return s
}

// apacheToken logs in with a token from a file that is replaced before it expires.
func apacheToken(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "token", 1)
	current := kafkatest.Token("camera", time.Now().Add(renewBefore/2))
	cfg := config(b.SASLAddr)
	cfg.Topic, cfg.TLS = "token", &TLS{CA: b.CAFile}
	cfg.SASL = &SASL{Mechanism: OAuthBearer, Token: func() string { return current + "\n" }}
	s := newSink(t, cfg)
	publish := func(n uint64) (same bool) {
		t.Helper()
		before := s.transport
		if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, n, 1)); err != nil {
			t.Fatal(err)
		}
		return before == s.transport
	}
	if _, err := deliver(t.Context(), s, sinktest.Records([]string{"a"}, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if !publish(2) {
		t.Error("connected anew though there is no new token")
	}
	current = kafkatest.Token("camera", time.Now().Add(time.Hour))
	if publish(3) {
		t.Error("went on with the token that is about to expire")
	}
	if !publish(4) {
		t.Error("connected anew though the token is fresh")
	}
	if got := read(t, cfg, 4); len(got) != 4 {
		t.Errorf("%d arrived", len(got))
	}
	for token, want := range map[string]string{
		kafkatest.Token("camera", time.Now().Add(-time.Hour)): "broker refused the token",
		"no token": "sasl.token: what is given there is not a token",
	} {
		current = token
		err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 5, 1))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token) {
			t.Errorf("got %v, want %s and no token", err, want)
		}
	}
}

// apacheRotation changes a password at the broker and in its file while a sink runs.
func apacheRotation(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "rotation", 1)
	file := filepath.Join(t.TempDir(), "password")
	change := func(password string) {
		t.Helper()
		salt := []byte("a salt of the test")
		salted, err := pbkdf2.Key(sha256.New, password, salt, 4096, sha256.Size)
		if err != nil {
			t.Fatal(err)
		}
		client := &kafkago.Client{Addr: kafkago.TCP(b.Addr), Timeout: 10 * time.Second}
		res, err := client.AlterUserScramCredentials(t.Context(), &kafkago.AlterUserScramCredentialsRequest{
			Upsertions: []kafkago.UserScramCredentialsUpsertion{{
				Name: "rotating", Mechanism: kafkago.ScramMechanismSha256, Iterations: 4096, Salt: salt, SaltedPassword: salted,
			}}})
		if err == nil {
			err = res.Results[0].Error
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("first secret")
	write("first secret")
	cfg := config(b.SASLAddr)
	cfg.Topic, cfg.TLS = "rotation", &TLS{CA: b.CAFile}
	cfg.SASL = &SASL{Mechanism: "SCRAM-SHA-256", Username: "rotating", Password: func() string {
		text, _ := os.ReadFile(file)
		return strings.TrimSpace(string(text))
	}}
	s := newSink(t, cfg)
	if _, err := deliver(t.Context(), s, sinktest.Records([]string{"a"}, 1, 1)); err != nil {
		t.Fatal(err)
	}
	change("second secret")
	s.renew()
	checkRefusedPassword(t, s.Publish(t.Context(), sinktest.Records([]string{"a"}, 2, 1)), `broker refused the password of user "rotating" (SASL SCRAM-SHA-256)`)
	write("second secret")
	if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 2, 1)); err != nil {
		t.Error(err)
	}
	if got := read(t, cfg, 2); len(got) != 2 {
		t.Errorf("%d arrived", len(got))
	}
}

// apachePermissions meets a topic that others may use.
func apachePermissions(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "guarded", 1)
	client := &kafkago.Client{Addr: kafkago.TCP(b.Addr), Timeout: 10 * time.Second}
	allow := func(resource kafkago.ResourceType, name, who string, op kafkago.ACLOperationType) {
		t.Helper()
		rule := kafkago.ACLEntry{
			ResourceType: resource, ResourceName: name, ResourcePatternType: kafkago.PatternTypeLiteral,
			Principal: "User:" + who, Host: "*", Operation: op, PermissionType: kafkago.ACLPermissionTypeAllow,
		}
		res, err := client.CreateACLs(t.Context(), &kafkago.CreateACLsRequest{ACLs: []kafkago.ACLEntry{rule}})
		if err == nil {
			err = res.Errors[0]
		}
		if err != nil {
			t.Fatal(err)
		}
		awaitRule(t, client, rule)
	}
	allow(kafkago.ResourceTypeTopic, "guarded", "somebody", kafkago.ACLOperationTypeWrite)
	cfg := config(b.SASLAddr)
	cfg.Topic, cfg.TLS = "guarded", &TLS{CA: b.CAFile}
	cfg.SASL = &SASL{Mechanism: "PLAIN", Username: b.User, Password: always(b.Password)}
	checkDenied(t, cfg, "topic guarded: the client may not write to the topic; it needs the operations Write and Describe")
	allow(kafkago.ResourceTypeTopic, "guarded", b.User, kafkago.ACLOperationTypeDescribe)
	checkDenied(t, cfg, "topic guarded: the client may not write to the topic")
	allow(kafkago.ResourceTypeTopic, "guarded", b.User, kafkago.ACLOperationTypeWrite)
	if _, err := deliver(t.Context(), newSink(t, cfg), sinktest.Records([]string{"a"}, 1, 1)); err != nil {
		t.Error(err)
	}
	allow(kafkago.ResourceTypeTopic, "unmade", "somebody", kafkago.ACLOperationTypeCreate)
	allow(kafkago.ResourceTypeTopic, "unmade", b.User, kafkago.ACLOperationTypeDescribe)
	allow(kafkago.ResourceTypeCluster, "kafka-cluster", "somebody", kafkago.ACLOperationTypeCreate)
	cfg.Topic, cfg.Create = "unmade", &Create{}
	checkDenied(t, cfg, "the client may not make the topic; it needs the operation Create")
}

func checkDenied(t *testing.T, cfg Config, want string) {
	t.Helper()
	err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// awaitRule waits for the broker to know a rule that was just made.
func awaitRule(t *testing.T, client *kafkago.Client, e kafkago.ACLEntry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		res, err := client.DescribeACLs(ctx, &kafkago.DescribeACLsRequest{Filter: kafkago.ACLFilter{
			ResourceTypeFilter: e.ResourceType, ResourceNameFilter: e.ResourceName, ResourcePatternTypeFilter: e.ResourcePatternType,
			PrincipalFilter: e.Principal, HostFilter: e.Host, Operation: e.Operation, PermissionType: e.PermissionType,
		}})
		if err == nil && res.Error == nil && len(res.Resources) > 0 {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("the rule %+v is not heeded: %+v, %v", e, res, err)
		}
	}
}

// apacheQuota is slowed down, and says so.
func apacheQuota(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "slow", 1)
	client := &kafkago.Client{Addr: kafkago.TCP(b.Addr), Timeout: 10 * time.Second}
	res, err := client.AlterClientQuotas(t.Context(), &kafkago.AlterClientQuotasRequest{Entries: []kafkago.AlterClientQuotaEntry{{
		Entities: []kafkago.AlterClientQuotaEntity{{EntityType: "client-id", EntityName: "slow one"}},
		Ops:      []kafkago.AlterClientQuotaOps{{Key: "producer_byte_rate", Value: 1000}},
	}}})
	if err == nil {
		err = res.Entries[0].Error
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(b.Addr)
	cfg.Topic, cfg.ClientID, cfg.WriteTimeout = "slow", "slow one", 2*time.Second
	var log bytes.Buffer
	s := newLoggedSink(t, cfg, &log)
	for n := uint64(1); n < 200 && !strings.Contains(log.String(), "quota"); n += 10 {
		if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, n, 10)); err != nil {
			t.Log(err)
		}
	}
	if !strings.Contains(log.String(), "quota (producer_byte_rate, request_percentage) is reached") {
		t.Errorf("nothing said of the quota: %s", log.String())
	}
}
