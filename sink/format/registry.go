package format

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sightline/sink"
)

// What a client of the registry waits, sends and takes.
const (
	registryTimeout = 5 * time.Second
	registryHold    = time.Second // how long a failure stands at least before the registry is asked again
	registryType    = "application/vnd.schemaregistry.v1+json"
	maxAnswer       = 1 << 20
	maxReason       = 400 // characters of a registry's reason that an error quotes
)

// schema is what is registered.
type schema struct {
	name string // full, of the record or message
	kind string // "" is Avro
	text string
}

// registry knows the ids of schemas. It asks once for each subject. What fails is not
// asked for again within registryHold, or twice the time that was waited for it, so that
// neither a batch of events waits once for each of them nor a registry that hangs
// keeps those waiting whose ids are known. It is for one goroutine at a time.
type registry struct {
	cfg    Registry
	client *http.Client
	now    func() time.Time
	ids    map[string]uint32 // by subject
	failed map[string]failure
}

type failure struct {
	err     error
	refused bool
	until   time.Time
}

func (f failure) of(subject string) error { return &RegistryError{subject, f.refused, f.err} }

func newRegistry(c Registry) (*registry, error) {
	tls, err := (&sink.TLS{CA: c.CA}).Client()
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	c.Timeout = cmp.Or(c.Timeout, registryTimeout)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig, transport.DisableKeepAlives = tls, true // asked too rarely to stay connected
	return &registry{
		cfg: c, client: &http.Client{Transport: transport, Timeout: c.Timeout}, now: time.Now,
		ids: map[string]uint32{}, failed: map[string]failure{},
	}, nil
}

// subject is where the schema of an event in topic is registered.
func (r *registry) subject(s schema, topic string) string {
	switch r.cfg.Subject {
	case TopicName:
		return topic + "-value"
	case RecordName:
		return s.name
	}
	return topic + "-" + s.name
}

// id is the schema's number at the registry, which is asked for it where it is not
// known yet. Every error is a *RegistryError.
func (r *registry) id(ctx context.Context, s schema, topic string) (uint32, error) {
	subject := r.subject(s, topic)
	known := subject + "\x00" + s.name // topic_name has several schemas under one subject
	if id, ok := r.ids[known]; ok {
		return id, nil
	}
	for _, what := range []string{known, ""} {
		if f, ok := r.failed[what]; ok && r.now().Before(f.until) {
			return 0, f.of(subject)
		}
	}
	asked := r.now()
	id, status, err := r.ask(ctx, subject, s)
	if err == nil {
		r.ids[known] = id
		delete(r.failed, known)
		return id, nil
	}
	now := r.now()
	hold := 2 * now.Sub(asked)
	if ctx.Err() == nil { // else the caller was in haste: only his own wait counts
		hold = max(registryHold, hold)
	}
	f := failure{err: err, until: now.Add(hold)}
	f.refused = status == http.StatusConflict || status == http.StatusUnprocessableEntity
	switch {
	case errors.Is(ctx.Err(), context.Canceled): // nobody waits for it any more
	case status == 0 || status >= 500:
		r.failed[""] = f // it answers nobody
	default:
		r.failed[known] = f
	}
	return 0, f.of(subject)
}

// ask registers the schema, or looks it up. The status is 0 where there was no answer
// of a registry.
func (r *registry) ask(ctx context.Context, subject string, s schema) (id uint32, status int, err error) {
	at := strings.TrimRight(r.cfg.URL, "/") + "/subjects/" + url.PathEscape(subject)
	if !r.cfg.LookUp {
		at += "/versions"
	}
	body, err := json.Marshal(struct {
		Type   string `json:"schemaType,omitempty"`
		Schema string `json:"schema"`
	}{s.kind, s.text})
	if err != nil {
		return 0, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Content-Type", registryType)
	req.Header.Set("Accept", registryType+", application/json")
	if r.cfg.Username != "" {
		req.SetBasicAuth(r.cfg.Username, r.password())
	}
	res, err := r.client.Do(req)
	if err != nil {
		return 0, 0, fmt.Errorf("no answer: %w", bare(err))
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return 0, 0, fmt.Errorf("no whole answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return 0, res.StatusCode, r.refusal(res, text)
	}
	var answer struct{ ID *uint32 }
	if err := json.Unmarshal(text, &answer); err != nil || answer.ID == nil {
		return 0, 0, errors.New("the answer holds no id: is registry.url the registry's own address?")
	}
	return *answer.ID, res.StatusCode, nil
}

func (r *registry) password() string {
	if r.cfg.Password == nil {
		return ""
	}
	return r.cfg.Password()
}

// refusal says why the registry did not take the schema, and what to do about it.
func (r *registry) refusal(res *http.Response, text []byte) error {
	var answer struct{ Message string }
	reason := res.Status
	if json.Unmarshal(text, &answer) == nil && answer.Message != "" {
		reason = answer.Message
	}
	if secret := r.password(); secret != "" {
		reason = strings.ReplaceAll(reason, secret, "***")
	}
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	switch res.StatusCode {
	case http.StatusConflict:
		return fmt.Errorf("refused as incompatible with what is registered there; another subject strategy, or another compatibility of the subject, would let it in: %s", reason)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("refused the user %q: %s", r.cfg.Username, reason)
	case http.StatusNotFound:
		if r.cfg.LookUp {
			return fmt.Errorf("no such schema is registered there; `sightline schema events --format …` prints it, `register: true` registers it: %s", reason)
		}
	}
	return fmt.Errorf("refused: %s", reason)
}

// bare drops the address from a client's error: the registry's is known.
func bare(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
