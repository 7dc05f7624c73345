package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// S3 says which bucket pictures are copied to.
type S3 struct {
	Endpoint  string // http://HOST:PORT or https://…; "" is that of AWS for the region
	Region    string
	Bucket    string
	Prefix    string // of the keys, "" for none
	AccessKey string
	SecretKey func() string // asked before each request
	TLS       *TLS          // nil trusts the system's authorities
}

// TLS names the PEM files of an encrypted connection.
type TLS struct{ CA, Cert, Key, ServerName string }

func (c *S3) validate() error {
	if c.Bucket == "" || c.Region == "" || c.AccessKey == "" || c.SecretKey == nil {
		return errors.New("s3: want bucket, region, access_key and secret_key")
	}
	if u, err := url.Parse(c.endpoint()); err != nil || u.Host == "" || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("s3.endpoint: want http://HOST:PORT or https://HOST:PORT")
	}
	return nil
}

func (c *S3) endpoint() string { return cmp.Or(c.Endpoint, "https://s3."+c.Region+".amazonaws.com") }

// URI is how events name the picture of a name.
func (c *S3) URI(name string) string { return "s3://" + c.Bucket + "/" + c.key(name) }

func (c *S3) key(name string) string { return path.Join(c.Prefix, name) }

// putTimeout bounds one request.
const putTimeout = 30 * time.Second

// Bucket copies pictures to an object store. Safe for concurrent use.
type Bucket struct {
	cfg    S3
	http   *http.Client
	signer *v4.Signer
	now    func() time.Time // tests turn the clock
}

// NewBucket reads the files of c.TLS and opens no connection.
func NewBucket(c S3) (*Bucket, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.TLS != nil {
		conf, err := c.TLS.config()
		if err != nil {
			return nil, fmt.Errorf("snapshots: s3.tls: %w", err)
		}
		transport.TLSClientConfig = conf
	}
	return &Bucket{
		cfg: c, signer: v4.NewSigner(), now: time.Now,
		http: &http.Client{
			Transport: transport, Timeout: putTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // what is signed is for one host
		},
	}, nil
}

func (t *TLS) config() (*tls.Config, error) {
	conf := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		if conf.RootCAs = x509.NewCertPool(); !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// Close ends idle connections.
func (b *Bucket) Close() { b.http.CloseIdleConnections() }

// Put copies one picture, in one attempt; done again it writes the same object
// anew. The server checks what it got against the digest. A *StoreError says what
// is wrong and what to do.
func (b *Bucket) Put(ctx context.Context, name string, jpeg []byte) error {
	target := b.cfg.endpoint() + (&url.URL{Path: "/" + b.cfg.Bucket + "/" + b.cfg.key(name)}).EscapedPath()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, target, bytes.NewReader(jpeg))
	if err != nil {
		return fmt.Errorf("copy to bucket %s: %w", b.cfg.Bucket, err)
	}
	sum := sha256.Sum256(jpeg)
	digest := hex.EncodeToString(sum[:])
	req.Header.Set("Content-Type", "image/jpeg")
	req.Header.Set("X-Amz-Content-Sha256", digest)
	req.Header.Set("X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(sum[:]))
	who := b.credentials()
	err = b.signer.SignHTTP(ctx, who, req, digest, "s3", b.cfg.Region, b.now().UTC(), func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = true // S3 escapes a key once
	})
	if err != nil {
		return fmt.Errorf("copy to bucket %s: sign: %w", b.cfg.Bucket, err)
	}
	res, err := b.http.Do(req)
	if err != nil {
		return &StoreError{Bucket: b.cfg.Bucket, Advice: "is " + b.cfg.endpoint() + " reachable?", Err: withoutURL(err)}
	}
	defer res.Body.Close()
	if res.StatusCode/100 == 2 {
		return nil
	}
	return b.refusal(res, who.SecretAccessKey)
}

// credentials are read anew each time: a secret in a file may be another now.
func (b *Bucket) credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: b.cfg.AccessKey, SecretAccessKey: b.cfg.SecretKey()}
}

// withoutURL is why a request failed, less the address it repeats.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
