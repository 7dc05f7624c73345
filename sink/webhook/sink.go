package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/format"
)

// Sink posts to one address. It keeps connections for later requests.
type Sink struct {
	cfg       Config
	place     string // the address without what may be secret in it
	client    *http.Client
	transport *http.Transport
	careful   bool // one event a request: a batch was not taken
	closed    bool
}

var (
	_ sink.Sink  = (*Sink)(nil)
	_ sink.Taker = (*Sink)(nil)
)

// New makes the sink of a valid cfg. It reads the files of TLS and opens nothing else.
func New(cfg Config, _ *slog.Logger) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errors.New("webhook: url: not parsable")
	}
	trust, err := cfg.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	s := &Sink{cfg: cfg, place: u.Scheme + "://" + u.Host}
	dialer := &net.Dialer{Timeout: cfg.Timeout}
	s.transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: trust,
		MaxConnsPerHost: cfg.Parallel, MaxIdleConnsPerHost: cfg.Parallel, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: cfg.Timeout, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			trust, err := cfg.TLS.Client() // the files may have changed
			if err != nil {
				return nil, err
			}
			return (&tls.Dialer{NetDialer: dialer, Config: trust}).DialContext(ctx, network, address)
		},
	}
	s.client = &http.Client{Transport: s.transport, CheckRedirect: sameHost}
	return s, nil
}

// sameHost follows what repeats the request at the same place, and nothing else: the
// events are for who was named.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > 3 || req.Method != http.MethodPost || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// Publish posts the events and returns when each is answered, or ctx ended. Keys are
// spread over a few lanes that run side by side; in a lane a request follows the
// other. What the receiver refuses in a batch is sent again in parts until it is known
// which event is at fault. Where the receiver says when to come again, the error has a
// *sink.RetryAfter.
func (s *Sink) Publish(ctx context.Context, events []sink.Record) error {
	if s.closed {
		return fmt.Errorf("webhook: %s: the sink is closed", s.place)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("webhook: %s: %w", s.place, err)
	}
	d := &delivery{sink: s, events: events, bodies: make([][]byte, len(events)), fates: make([]fate, len(events)), size: s.cfg.Batch}
	if s.careful {
		d.size = 1
	}
	lanes := make([][]int, s.cfg.Parallel)
	for i, r := range events {
		if !d.encode(ctx, i) {
			continue // not lost: its fate is told
		}
		h := fnv.New32a()
		h.Write([]byte(r.PartitionKey()))
		n := int(h.Sum32() % uint32(len(lanes)))
		lanes[n] = append(lanes[n], i)
	}
	var wg sync.WaitGroup
	for _, lane := range lanes {
		if len(lane) > 0 {
			wg.Go(func() { d.run(ctx, lane) })
		}
	}
	wg.Wait()
	s.careful = d.torn.Load()
	return d.outcome()
}

// Close gives the connections back. It may be called again.
func (s *Sink) Close(context.Context) error {
	s.closed = true
	s.transport.CloseIdleConnections()
	return nil
}

// delivery is one Publish. Lanes share it; each writes the fates of its own events.
type delivery struct {
	sink   *Sink
	events []sink.Record
	bodies [][]byte
	fates  []fate
	size   int
	torn   atomic.Bool // a batch failed
	halted atomic.Bool // the receiver wants to be left alone

	mu      sync.Mutex
	err     error // why some failed
	refusal error // why some were refused
}

type fate int

const (
	open fate = iota
	taken
	failed
	refused
)

// encode makes event i's part of a body; false if that is not possible.
func (d *delivery) encode(ctx context.Context, i int) bool {
	var err error
	if f := d.sink.cfg.Format; f != nil {
		d.bodies[i], err = f.Append(ctx, nil, d.events[i])
	} else {
		d.bodies[i], err = sink.AppendStructured(nil, d.events[i])
	}
	if err == nil {
		return true
	}
	if format.Temporary(err) {
		d.note(err)
		return false
	}
	d.fates[i] = refused
	d.refuse(err)
	return false
}

// refuse keeps the first reason why an event will never be taken.
func (d *delivery) refuse(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refusal == nil {
		d.refusal = err
	}
}

// note keeps the first error, and before others one that says when to come again.
func (d *delivery) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, better := errors.AsType[*sink.RetryAfter](err)
	if _, best := errors.AsType[*sink.RetryAfter](d.err); d.err == nil || better && !best {
		d.err = err
	}
}

// outcome says what became of the events.
func (d *delivery) outcome() error {
	partial := &sink.PartialError{}
	for i, f := range d.fates {
		switch f {
		case refused:
			partial.Refused = append(partial.Refused, i)
		case taken:
		default:
			partial.Failed = append(partial.Failed, i)
		}
	}
	if partial.Failed == nil && partial.Refused == nil {
		return nil
	}
	why := d.err
	switch {
	case why == nil:
		why = d.refusal
	case d.refusal != nil:
		why = fmt.Errorf("%w; and of what was refused: %w", d.err, d.refusal)
	}
	partial.Err = fmt.Errorf("webhook: %s: %w", d.sink.place, why)
	return partial
}

// Takes tells whether the format has a counterpart for the type of event.
func (s *Sink) Takes(t detect.Type) bool { return s.cfg.Format == nil || s.cfg.Format.Takes(t) }
