package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sightline/internal/testkit/s3"
)

const testKey, testSecret = s3.Key, s3.Secret

func testBucket() *S3 {
	return &S3{Endpoint: "http://127.0.0.1:1", Region: "us-east-1", Bucket: s3.Bucket, Prefix: "site/a", AccessKey: testKey, SecretKey: func() string { return testSecret }}
}

func bucket(t testing.TB, change func(*S3)) *Bucket {
	t.Helper()
	c := testBucket()
	change(c)
	b, err := NewBucket(*c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// TestBucketOfARealServer copies to SeaweedFS, which checks signatures and digests,
// and reads with its own means.
func TestBucketOfARealServer(t *testing.T) {
	server := s3.New(t)
	server.Start()
	endpoint := server.Endpoint
	good := bucket(t, func(c *S3) { c.Endpoint = endpoint })
	name, jpeg := Name(day, "gate", id(1)), []byte(strings.Repeat("picture", 5000))
	for deadline := time.Now().Add(time.Minute); good.Put(t.Context(), name, jpeg) != nil && time.Now().Before(deadline); { // the bucket comes last
		<-time.After(20 * time.Millisecond)
	}
	for range 2 { // at least once may be twice
		if err := good.Put(t.Context(), name, jpeg); err != nil {
			t.Fatal(err)
		}
	}
	if got := fetched(t, endpoint, "pictures/site/a/"+name); got != string(jpeg) {
		t.Errorf("%d bytes came back, want %d", len(got), len(jpeg))
	}
	for _, c := range []struct {
		name, code, advice string
		change             func(*Bucket)
	}{
		{"another secret", "SignatureDoesNotMatch", "check s3.access_key", func(b *Bucket) { b.cfg.SecretKey = func() string { return "wrong-hunter2" } }},
		{"another key", "InvalidAccessKeyId", "check s3.access_key", func(b *Bucket) { b.cfg.AccessKey = "AKNOBODY" }},
		{"no such bucket", "NoSuchBucket", "make the bucket", func(b *Bucket) { b.cfg.Bucket = "elsewhere" }},
		{"a clock that is late", "RequestTimeTooSkewed", "set this machine's clock: the server's differs by 1h", func(b *Bucket) {
			b.now = func() time.Time { return time.Now().Add(-90 * time.Minute) }
		}},
	} {
		b := bucket(t, func(s *S3) { s.Endpoint = endpoint })
		c.change(b)
		err := b.Put(t.Context(), name, jpeg)
		var why *StoreError
		if !errors.As(err, &why) || why.Code != c.code || !strings.Contains(err.Error(), c.advice) {
			t.Errorf("%s: %v, want %s and %q", c.name, err, c.code, c.advice)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is in %v", c.name, err)
		}
	}
}

// fetched reads an object by a request signed like Put's.
func fetched(t *testing.T, endpoint, path string) string {
	t.Helper()
	b := bucket(t, func(c *S3) { c.Endpoint = endpoint })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint+"/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	req.Header.Set("X-Amz-Content-Sha256", empty)
	req.Header.Set("X-Amz-Checksum-Mode", "ENABLED")
	if err := b.signer.SignHTTP(t.Context(), b.credentials(), req, empty, "s3", b.cfg.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "image/jpeg" {
		t.Fatalf("GET %s: %s, %s, %v", path, res.Status, res.Header, err)
	}
	return string(body)
}

// TestPutSendsDigests holds the request against what it must carry.
func TestPutSendsDigests(t *testing.T) {
	jpeg := []byte("a picture")
	sum := sha256.Sum256(jpeg)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		auth := r.Header.Get("Authorization")
		if r.Method != http.MethodPut || r.URL.Path != "/pictures/site/a/"+Name(day, "gate", id(1)) || string(body) != string(jpeg) || r.ContentLength != int64(len(jpeg)) {
			t.Errorf("%s %s with %q", r.Method, r.URL.Path, body)
		}
		if r.Header.Get("X-Amz-Content-Sha256") != fmt.Sprintf("%x", sum) || r.Header.Get("X-Amz-Checksum-Sha256") != base64.StdEncoding.EncodeToString(sum[:]) {
			t.Errorf("digests are %v", r.Header)
		}
		if !strings.Contains(auth, testKey+"/") || !strings.Contains(auth, "x-amz-checksum-sha256") || strings.Contains(auth, testSecret) {
			t.Errorf("signed as %s", auth)
		}
	}))
	defer srv.Close()
	b := bucket(t, func(c *S3) { c.Endpoint = srv.URL })
	if err := b.Put(t.Context(), Name(day, "gate", id(1)), jpeg); err != nil {
		t.Error(err)
	}
	if got := b.cfg.URI("2026-01-02/gate/1.jpg"); got != "s3://pictures/site/a/2026-01-02/gate/1.jpg" {
		t.Errorf("the URI is %s", got)
	}
}

// TestRefusalsAreClear answers as servers do, also as none should.
func TestRefusalsAreClear(t *testing.T) {
	xml := func(code, message string) string {
		return "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>" + message + "</Message><StringToSign>" + testSecret + "</StringToSign></Error>"
	}
	for _, c := range []struct {
		name, body, want string
		status           int
		header           map[string]string
		wait             time.Duration
	}{
		{"slow down", xml("SlowDown", "Please reduce your request rate."), "copy to bucket pictures: 503 SlowDown: Please reduce your request rate.", 503, map[string]string{"Retry-After": "7"}, 7 * time.Second},
		{"a proxy's page", "<html>502</html>", "copy to bucket pictures: 502 BadGateway: no further word", 502, nil, 0},
		{"nothing at all", "", "copy to bucket pictures: 403 Forbidden: no further word", 403, nil, 0},
		{"another region", xml("PermanentRedirect", "elsewhere"), "copy to bucket pictures: 301 PermanentRedirect: elsewhere; the bucket is in s3.region: eu-west-1", 301,
			map[string]string{"Location": "http://elsewhere/", "X-Amz-Bucket-Region": "eu-west-1"}, 0},
		{"no right", xml("AccessDenied", "Access\n Denied"), "copy to bucket pictures: 403 AccessDenied: Access  Denied; check s3.access_key, and that it may put objects into the bucket", 403,
			map[string]string{"Retry-After": "99999"}, longestWait},
		{"one that repeats the secret", xml("Odd", "you signed with "+testSecret), "copy to bucket pictures: 400 Odd: you signed with ***", 400, nil, 0},
		{"a talker", xml("Odd", strings.Repeat("é", 5000)), "copy to bucket pictures: 400 Odd: " + strings.Repeat("é", mostMessage/2) + " …", 400, nil, 0},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for k, v := range c.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		}))
		err := bucket(t, func(s *S3) { s.Endpoint = srv.URL }).Put(t.Context(), Name(day, "gate", id(1)), []byte("a"))
		srv.Close()
		var why *StoreError
		if !errors.As(err, &why) || err.Error() != c.want || why.Wait != c.wait {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
	err := bucket(t, func(s *S3) {}).Put(t.Context(), Name(day, "gate", id(1)), []byte("a"))
	if want := "is http://127.0.0.1:1 reachable?"; err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "site/a") {
		t.Errorf("%v, want %q", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := bucket(t, func(s *S3) {}).Put(ctx, Name(day, "gate", id(1)), []byte("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// FuzzRefusals answers with anything: what is told of it is short, in one line, and
// without the secret.
func FuzzRefusals(f *testing.F) {
	f.Add("<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>", "Mon, 02 Jan 2006 15:04:05 GMT", 404)
	f.Add("<Error><Code>RequestTimeTooSkewed</Code><Message>"+testSecret+"</Message></Error>", "yesterday", 403)
	f.Add("\x00<Error", "", 599)
	f.Fuzz(func(t *testing.T, body, header string, status int) {
		b := bucket(t, func(*S3) {})
		res := &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{
			"Date": {header}, "Retry-After": {header}, "X-Amz-Bucket-Region": {header},
		}}
		err := b.refusal(res, testSecret)
		text := err.Error()
		if strings.Contains(text, testSecret) || strings.ContainsAny(text, "\n\r\x00\x1b") || len(text) > 4*mostMessage || err.Wait < 0 || err.Wait > longestWait {
			t.Errorf("%q makes %q, to wait for %s", body, text, err.Wait)
		}
	})
}
