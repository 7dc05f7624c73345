package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The short session lets a killed broker come back within seconds.
const properties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{plain},CONTROLLER://{controller},SSL://{ssl},SASL_SSL://{sasl},MUTUAL://{mutual}
advertised.listeners=PLAINTEXT://{plain},SSL://{ssl},SASL_SSL://{sasl},MUTUAL://{mutual}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,MUTUAL:SSL
inter.broker.listener.name=PLAINTEXT
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN,OAUTHBEARER
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={dir}/ca.pem
ssl.keystore.type=PEM
ssl.keystore.location={dir}/server.pem
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`

func (b *Broker) configuration(controller string) string {
	return strings.NewReplacer(
		"{plain}", b.Addr, "{ssl}", b.SSLAddr, "{sasl}", b.SASLAddr, "{mutual}", b.MutualAddr, "{controller}", controller,
		"{user}", b.User, "{password}", b.Password, "{dir}", b.dir, "{data}", filepath.Join(b.dir, "data"),
	).Replace(properties)
}

// freePorts returns loopback ports that nothing used a moment ago.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // after all were taken, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// clusterID is Kafka's form of a random UUID.
func clusterID(t testing.TB) string {
	t.Helper()
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	id[0] &= 0x7f // a leading "-" would read as an option
	return base64.RawURLEncoding.EncodeToString(id)
}

// authority is who signs the certificates of one broker and its clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority is also the broker's certificate, for loopback, which it writes to
// caFile, and the same with its key to keyFile.
func newAuthority(t testing.TB, caFile, keyFile string) *authority {
	t.Helper()
	a := &authority{}
	der, key := a.sign(t, x509.Certificate{
		Subject: pkix.Name{CommonName: "sightline test broker"}, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	var err error
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key = key
	writePEM(t, caFile, der, nil)
	writePEM(t, keyFile, der, key)
	return a
}

// sign makes a certificate of the template and its key; the first one signs itself.
func (a *authority) sign(t testing.TB, template x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	template.BasicConstraintsValid = true
	parent, signer := &template, key
	if a.certificate != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// writePEM writes the key, where there is one, and the certificate.
func writePEM(t testing.TB, file string, der []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	var text []byte
	if key != nil {
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	}
	if der != nil {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// ClientCertificate writes a certificate that MutualAddr takes, and its key, to two
// PEM files; they are replaced when they are there.
func (b *Broker) ClientCertificate(name, certFile, keyFile string) {
	b.t.Helper()
	der, key := b.authority.sign(b.t, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	writePEM(b.t, certFile, der, nil)
	writePEM(b.t, keyFile, nil, key)
}

// Token makes an unsecured JSON Web Token (RFC 7519, section 6) that SASLAddr takes
// for OAUTHBEARER until expires, of a user of any name.
func Token(user string, expires time.Time) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	issued := expires.Add(-time.Hour).Unix()
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, user, issued, expires.Unix())) + "."
}
