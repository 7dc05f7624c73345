package format

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asked is what a registry that only notes saw.
type asked struct {
	path, user, password, kind, schema string
}

// notes is a registry that answers each request by answer and notes it. It stands in
// for what a real one does not do on request; TestRegistry asks a real one.
func notes(t testing.TB, answer http.HandlerFunc) (url string, saw *[]asked) {
	t.Helper()
	saw = new([]asked)
	server := httptest.NewServer(noting(saw, answer))
	t.Cleanup(server.Close)
	return server.URL, saw
}

func noting(saw *[]asked, answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct{ SchemaType, Schema string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		user, password, _ := r.BasicAuth()
		*saw = append(*saw, asked{r.URL.Path, user, password, body.SchemaType, body.Schema})
		answer(w, r)
	}
}

func number(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"id":258}`)) }

func asking(t *testing.T, c Registry) *registry {
	t.Helper()
	r, err := newRegistry(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var someSchema = schema{name: "sightline.v1.LineCrossed", text: `{"type":"string"}`}

func TestSubjectStrategies(t *testing.T) {
	for strategy, want := range map[string]string{
		"": "hq-sightline.v1.LineCrossed", TopicRecordName: "hq-sightline.v1.LineCrossed",
		TopicName: "hq-value", RecordName: "sightline.v1.LineCrossed",
	} {
		url, saw := notes(t, number)
		r := asking(t, Registry{URL: url + "/", Subject: strategy})
		for range 3 {
			if id, err := r.id(t.Context(), someSchema, "hq"); err != nil || id != 258 {
				t.Fatal(id, err)
			}
		}
		if len(*saw) != 1 || (*saw)[0] != (asked{path: "/subjects/" + want + "/versions", schema: someSchema.text}) {
			t.Errorf("%s: asked for %+v, want subject %s once", strategy, *saw, want)
		}
	}
}

func TestSubjectIsEscaped(t *testing.T) {
	var path string
	url, _ := notes(t, func(w http.ResponseWriter, r *http.Request) { path = r.URL.EscapedPath(); number(w, r) })
	if _, err := asking(t, Registry{URL: url}).id(t.Context(), schema{name: "a b/c"}, "t"); err != nil || path != "/subjects/t-a%20b%2Fc/versions" {
		t.Error(path, err)
	}
}

func TestLookUpRegistersNothing(t *testing.T) {
	url, saw := notes(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error_code":40403,"message":"Schema not found"}`))
	})
	_, err := asking(t, Registry{URL: url, LookUp: true}).id(t.Context(), someSchema, "hq")
	if err == nil || !Temporary(err) || !strings.Contains(err.Error(), "no such schema") || (*saw)[0].path != "/subjects/hq-sightline.v1.LineCrossed" {
		t.Error(err, *saw)
	}
}

func TestRefusalsNameSubjectAndReason(t *testing.T) {
	const secret = "hunter2"
	for code, want := range map[int]string{
		http.StatusConflict:            "schema registry, subject hq-sightline.v1.LineCrossed: refused as incompatible",
		http.StatusUnauthorized:        `refused the user "viewer"`,
		http.StatusUnprocessableEntity: "refused: because",
		http.StatusInternalServerError: "refused: because",
	} {
		url, saw := notes(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`{"error_code":1,"message":"because of ` + secret + `"}`))
		})
		r := asking(t, Registry{URL: url, Username: "viewer", Password: func() string { return secret }})
		_, err := r.id(t.Context(), someSchema, "hq")
		var typed *RegistryError
		if !errors.As(err, &typed) || !Temporary(err) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "because") {
			t.Errorf("%d: %v", code, err)
		}
		if refused := code == http.StatusConflict || code == http.StatusUnprocessableEntity; typed.Temporary() == refused {
			t.Errorf("%d: the event is at fault: %v", code, !typed.Temporary())
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the password is in %v", err)
		}
		if a := (*saw)[0]; a.user != "viewer" || a.password != secret {
			t.Errorf("logged in as %+v", a)
		}
	}
}

// TestFailureIsHeld shows that a batch does not ask, and wait, once for each event.
func TestFailureIsHeld(t *testing.T) {
	up := false
	url, saw := notes(t, func(w http.ResponseWriter, r *http.Request) {
		if !up {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		number(w, r)
	})
	r, now := asking(t, Registry{URL: url}), time.Unix(1, 0)
	r.now = func() time.Time { return now }
	other := schema{name: "sightline.v1.Other"}
	for range 5 {
		for _, s := range []schema{someSchema, other} {
			if _, err := r.id(t.Context(), s, "hq"); !Temporary(err) {
				t.Fatal(err)
			}
		}
	}
	if len(*saw) != 1 {
		t.Errorf("asked %d times while it is away", len(*saw))
	}
	up, now = true, now.Add(registryHold)
	if id, err := r.id(t.Context(), someSchema, "hq"); err != nil || id != 258 {
		t.Error(id, err)
	}
}

// TestSlowFailureIsHeldLonger: a registry that hangs takes a third of the time at most.
func TestSlowFailureIsHeldLonger(t *testing.T) {
	now := time.Unix(1, 0)
	url, saw := notes(t, func(w http.ResponseWriter, _ *http.Request) {
		now = now.Add(4 * time.Second)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	r := asking(t, Registry{URL: url})
	r.now = func() time.Time { return now }
	for _, wait := range []time.Duration{0, 7 * time.Second, time.Second} {
		now = now.Add(wait)
		if _, err := r.id(t.Context(), someSchema, "hq"); err == nil {
			t.Fatal("an id")
		}
	}
	if len(*saw) != 2 {
		t.Errorf("asked %d times in 12 s, 4 s each", len(*saw))
	}
}

func TestRefusedSchemaHoldsNoOther(t *testing.T) {
	url, _ := notes(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "LineCrossed") {
			w.WriteHeader(http.StatusConflict)
			return
		}
		number(w, r)
	})
	r := asking(t, Registry{URL: url})
	if _, err := r.id(t.Context(), someSchema, "hq"); err == nil {
		t.Fatal("taken")
	}
	if _, err := r.id(t.Context(), schema{name: "sightline.v1.Other"}, "hq"); err != nil {
		t.Error(err)
	}
}

func TestUnreachableRegistryIsTemporary(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := asking(t, Registry{URL: server.URL, Username: "u", Password: func() string { return "hunter2" }}).id(t.Context(), someSchema, "hq")
	if !Temporary(err) || !strings.Contains(err.Error(), "no answer") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// A caller may allow less time than a request may take, and wait for it in vain: a
// registry that hangs costs him a third of his time at most all the same. What he
// gave up is not held against it.
func TestAskingEndsWithTheContext(t *testing.T) {
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(stuck) })
	r := asking(t, Registry{URL: server.URL})
	var clock []time.Time // what looks at it show
	r.now = func() time.Time { at := clock[0]; clock = clock[1:]; return at }
	at := func(seconds ...int64) (out []time.Time) {
		for _, s := range seconds {
			out = append(out, time.Unix(s, 0))
		}
		return out
	}
	given, giveUp := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, giveUp)
	clock = at(1, 1)
	if _, err := r.id(given, someSchema, "hq"); !Temporary(err) || !errors.Is(err, context.Canceled) || len(r.failed) != 0 {
		t.Errorf("%v; held against the registry: %v", err, r.failed)
	}
	for _, looks := range [][]time.Time{
		at(1, 4),       // asked, and given up after 3 s
		at(9),          // not asked again: 6 s more are not over
		at(10, 10, 10), // asked
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		clock = looks
		_, err := r.id(ctx, someSchema, "hq")
		cancel()
		if !Temporary(err) || !errors.Is(err, context.DeadlineExceeded) || len(clock) > 0 {
			t.Errorf("%v; %d looks at the clock were not taken", err, len(clock))
		}
	}
}

func TestRegistryOverTLS(t *testing.T) {
	var saw []asked
	server := httptest.NewTLSServer(noting(&saw, number))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := asking(t, Registry{URL: server.URL}).id(t.Context(), someSchema, "hq"); err == nil {
		t.Error("an authority that nobody named is trusted")
	}
	if id, err := asking(t, Registry{URL: server.URL, CA: ca}).id(t.Context(), someSchema, "hq"); err != nil || id != 258 {
		t.Error(id, err)
	}
	if _, err := newRegistry(Registry{URL: server.URL, CA: ca + "x"}); err == nil || !strings.Contains(err.Error(), "registry: tls.ca") {
		t.Error(err)
	}
}
