package snapshot

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// StoreError is why an object store did not take a picture. All of them may pass:
// a bucket can be made, a clock set, a right given. It holds no secret.
type StoreError struct {
	Bucket string
	Status int           // of HTTP; 0 where there was no answer
	Code   string        // S3's, such as NoSuchBucket
	Wait   time.Duration // that the server asks for before the next attempt
	Advice string        // what to do, "" where nothing better is known
	Err    error
}

func (e *StoreError) Error() string {
	text := "copy to bucket " + e.Bucket + ": "
	if e.Status != 0 {
		text += strconv.Itoa(e.Status) + " " + e.Code + ": "
	}
	if text += e.Err.Error(); e.Advice != "" {
		text += "; " + e.Advice
	}
	return text
}

func (e *StoreError) Unwrap() error { return e.Err }

const (
	mostRefusal = 64 << 10 // of an answer's body
	mostMessage = 200      // of what it says
	longestWait = 5 * time.Minute
)

// refusal reads why the server refused. The answer may repeat what was signed, and
// with what: of it only the code and the message are told.
func (b *Bucket) refusal(res *http.Response, secret string) *StoreError {
	var said struct{ Code, Message string }
	body, _ := io.ReadAll(io.LimitReader(res.Body, mostRefusal))
	if xml.Unmarshal(body, &said) != nil || said.Code == "" {
		said.Code, said.Message = strings.ReplaceAll(http.StatusText(res.StatusCode), " ", ""), "no further word"
	}
	e := &StoreError{Bucket: b.cfg.Bucket, Status: res.StatusCode, Code: plain(said.Code, secret), Err: fmt.Errorf("%s", plain(said.Message, secret))}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.Wait = min(time.Duration(seconds)*time.Second, longestWait)
	}
	switch said.Code {
	case "NoSuchBucket":
		e.Advice = "make the bucket, or correct s3.bucket"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch":
		e.Advice = "check s3.access_key, s3.secret_key and s3.region"
	case "AccessDenied", "AllAccessDisabled":
		e.Advice = "check s3.access_key, and that it may put objects into the bucket"
	case "RequestTimeTooSkewed":
		e.Advice = "set this machine's clock" + b.skew(res)
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "TemporaryRedirect":
		e.Advice = "correct s3.region or s3.endpoint"
		if region := plain(res.Header.Get("X-Amz-Bucket-Region"), secret); region != "" {
			e.Advice = "the bucket is in s3.region: " + region
		}
	}
	return e
}

// skew is by how much the server's clock differs from this machine's.
func (b *Bucket) skew(res *http.Response) string {
	theirs, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(": the server's differs by %s", theirs.Sub(b.now()).Round(time.Second))
}

// plain is a server's text as it may be logged: one short line, without the secret.
func plain(text, secret string) string {
	if secret != "" {
		text = strings.ReplaceAll(text, secret, "***")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if len(text) > mostMessage {
		text = strings.ToValidUTF8(text[:mostMessage], "") + " …"
	}
	return cmp.Or(strings.TrimSpace(text), "no further word")
}
