package webhook

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/sink"
	"sightline/sink/sinktest"
)

func TestContract(t *testing.T) {
	for _, batch := range []int{1, 7} {
		t.Run(fmt.Sprint("batch ", batch), func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Destination {
				r := startReceiver(t)
				cfg := r.config()
				cfg.Batch = batch
				return sinktest.Destination{
					Open: func(t *testing.T) sink.Sink { return newSink(t, cfg) },
					Read: func(t *testing.T, _ int) []sinktest.Arrival { return r.arrivals() },
					Break: func(t *testing.T) (mend func()) {
						r.set(map[string]any{"fail": sinktest.Record("b", 3).Event.ID})
						return func() { r.set(map[string]any{}) }
					},
				}
			})
		})
	}
}

// The receiver checks signatures with code of its own, which is what the README shows.
func TestReceiverVerifies(t *testing.T) {
	code, err := os.ReadFile("testdata/verify.py")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```python\n"+string(code)+"```") {
		t.Error("the README shows other code than the tests run")
	}
	r := startReceiver(t)
	records := sinktest.Records([]string{"a"}, 1, 2)
	for text, ok := range map[string]bool{testSecret: true, "another": false, "another " + testSecret: true, "whsec_" + "AAAA": false} {
		cfg := r.config()
		cfg.Secret = func() string { return text }
		err := newSink(t, cfg).Publish(t.Context(), records)
		if ok != (err == nil) {
			t.Errorf("secret %q: %v", text, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "400") || !strings.Contains(err.Error(), `"bad signature"`)) {
			t.Errorf("got %v", err)
		}
	}
}

func TestRequest(t *testing.T) {
	r := startReceiver(t)
	cfg := r.config()
	cfg.URL += "?channel=7"
	cfg.Headers = map[string]func() string{"X-Site": func() string { return "hq" }}
	cfg.Username, cfg.Password = "u", func() string { return "p" }
	one, batched := newSink(t, cfg), cfg
	batched.Batch = 10
	many := newSink(t, batched)
	records := sinktest.Records([]string{"a"}, 1, 3)
	for _, s := range []*Sink{one, one, many, many} {
		if err := s.Publish(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
	_, requests := r.log()
	if len(requests) != 8 {
		t.Fatalf("%d requests, want 3, 3, 1 and 1", len(requests))
	}
	ports := map[int]bool{}
	for i, q := range requests {
		h := q.Headers
		ports[q.Port] = true
		if q.Path != "/in?channel=7" || h["X-Site"] != "hq" || h["Authorization"] != "Basic dTpw" || h["Idempotency-Key"] != h["Webhook-Id"] {
			t.Errorf("request %d: %+v", i, q)
		}
		if i < 6 && h["Webhook-Id"] != records[i%3].Event.ID {
			t.Errorf("request %d has the id %s", i, h["Webhook-Id"])
		}
	}
	if a, b := requests[6].Headers["Webhook-Id"], requests[7].Headers["Webhook-Id"]; a != b || !strings.HasPrefix(a, "batch-") {
		t.Errorf("the same batch has the ids %s and %s", a, b)
	}
	if len(ports) != 2 {
		t.Errorf("%d connections were made for two sinks", len(ports))
	}
}

func TestStatusDecides(t *testing.T) {
	r := startReceiver(t)
	records := sinktest.Records([]string{"a"}, 1, 3)
	date := time.Now().Add(90 * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	for _, c := range []struct {
		status  int
		after   string
		refused []int
		pause   bool
	}{
		{400, "", []int{0}, false}, {403, "", []int{0}, false}, {410, "", []int{0}, false}, {413, "", []int{0}, false}, {422, "60", []int{0}, false},
		{401, "", nil, false}, {408, "", nil, false}, {425, "", nil, false}, {500, "", nil, false}, {502, "", nil, false}, {301, "", nil, false}, {599, "", nil, false},
		{429, "", nil, false}, {429, "60", nil, true}, {503, "soon", nil, false}, {503, date, nil, true}, {503, "-1", nil, false}, {429, "99999999999999999999", nil, false},
	} {
		t.Run(fmt.Sprint(c.status, c.after), func(t *testing.T) {
			headers := map[string]string{"Location": "https://elsewhere/x"}
			if c.after != "" {
				headers["Retry-After"] = c.after
			}
			r.set(map[string]any{"status": c.status, "times": 1, "headers": headers, "text": "about " + testSecret + "\xff"})
			before, _ := r.log()
			err := newSink(t, r.config()).Publish(t.Context(), records)
			partial, ok := errors.AsType[*sink.PartialError](err)
			if !ok || !slices.Equal(partial.Refused, c.refused) {
				t.Fatalf("got %v", err)
			}
			if want := []int{0, 1, 2}; c.refused == nil && !slices.Equal(partial.Failed, want) || c.refused != nil && partial.Failed != nil {
				t.Errorf("failed: %v", partial.Failed)
			}
			if text := err.Error(); !strings.Contains(text, fmt.Sprint(c.status)) || !strings.Contains(text, "about ***") || strings.Contains(text, testSecret) {
				t.Errorf("got %v", err)
			}
			after, ok := errors.AsType[*sink.RetryAfter](err)
			if ok != c.pause || ok && (after.After < 50*time.Second || after.After > 91*time.Second) {
				t.Errorf("a pause of %v", after)
			}
			_, about := errors.AsType[interface {
				error
				Temporary() bool
			}](err)
			if want := slices.Contains([]int{301, 401, 425, 429, 503}, c.status) && !c.pause; about != want {
				t.Errorf("no event can be at fault: %v, want %v", about, want)
			}
			taken, _ := r.log()
			if want := len(c.refused) * 2; len(taken)-len(before) != want {
				t.Errorf("%d of the key's events arrived, want %d", len(taken)-len(before), want)
			}
		})
	}
}

// One event in a batch that the receiver will never take is found; the others arrive.
func TestRefusedEventOfABatchIsFound(t *testing.T) {
	r := startReceiver(t)
	cfg := r.config()
	cfg.Batch, cfg.Parallel = 50, 1
	records := sinktest.Records([]string{"a", "b", "c"}, 1, 20)
	r.set(map[string]any{"deny": records[31].Event.ID})
	err := newSink(t, cfg).Publish(t.Context(), records)
	partial, ok := errors.AsType[*sink.PartialError](err)
	if !ok || !slices.Equal(partial.Refused, []int{31}) || partial.Failed != nil {
		t.Fatalf("got %v", err)
	}
	if taken, requests := r.log(); len(taken) != 59 || len(requests) > 16 {
		t.Errorf("%d events arrived in %d requests", len(taken), len(requests))
	}
}

// What is refused says why it was, also beside what fails for another reason.
func TestReasonOfARefusalIsToldBesideAFailure(t *testing.T) {
	r := startReceiver(t)
	cfg := r.config()
	cfg.Parallel = 1
	records := sinktest.Records([]string{"a", "b"}, 1, 1)
	r.set(map[string]any{"fail": records[0].Event.ID, "deny": records[1].Event.ID})
	err := newSink(t, cfg).Publish(t.Context(), records)
	partial, ok := errors.AsType[*sink.PartialError](err)
	if !ok || !slices.Equal(partial.Failed, []int{0}) || !slices.Equal(partial.Refused, []int{1}) {
		t.Fatalf("got %v", err)
	}
	if text := err.Error(); !strings.Contains(text, "has failed") || !strings.Contains(text, "refuses the event") {
		t.Errorf("got %v", err)
	}
}

// An event that breaks the receiver holds up its own key alone, batches or not.
func TestPoisonHoldsUpItsKeyAlone(t *testing.T) {
	for _, batch := range []int{1, 10} {
		r := startReceiver(t)
		cfg := r.config()
		cfg.Batch, cfg.Parallel = batch, 2
		s := newSink(t, cfg)
		records := sinktest.Records([]string{"a", "b", "c", "d"}, 1, 5)
		poison := records[9] // b's third
		r.set(map[string]any{"fail": poison.Event.ID})
		for range 2 { // batches are taken apart the second time
			partial, ok := errors.AsType[*sink.PartialError](s.Publish(t.Context(), records))
			if !ok {
				t.Fatal("everything was taken")
			}
			var rest []sink.Record
			for _, i := range partial.Failed {
				rest = append(rest, records[i])
			}
			records = rest
		}
		if len(records) != 3 || records[0].Event.ID != poison.Event.ID {
			t.Errorf("batches of %d: %d events wait", batch, len(records))
		}
	}
}

func TestRedirects(t *testing.T) {
	r, other := startReceiver(t), startReceiver(t)
	records := sinktest.Records([]string{"a"}, 1, 1)
	r.set(map[string]any{"status": 307, "times": 1, "headers": map[string]string{"Location": "/moved"}})
	if err := newSink(t, r.config()).Publish(t.Context(), records); err != nil {
		t.Errorf("on the same host: %v", err)
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		r.set(map[string]any{"status": status, "times": 1, "headers": map[string]string{"Location": other.url + "/in"}})
		err := newSink(t, r.config()).Publish(t.Context(), records)
		if err == nil || !strings.Contains(err.Error(), other.url+", which is not followed") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if _, requests := other.log(); len(requests) != 0 {
		t.Errorf("another host was asked %d times", len(requests))
	}
	if taken, requests := r.log(); len(taken) != 1 || requests[1].Path != "/moved" {
		t.Errorf("%v %v", taken, requests)
	}
}
