package pipelines

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sightline/internal/testkit/mosquitto"
)

// TestOtherSinks runs a file with a sink of each other kind, each behind a spool: what
// arrives at the broker, the web service and the archive is what the plain file has, in
// the same order.
func TestOtherSinks(t *testing.T) {
	b := mosquitto.Start(t)
	sub := b.Subscribe("sightline/#")
	var mu sync.Mutex
	var posted []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var events []json.RawMessage
		if err != nil || json.Unmarshal(body, &events) != nil || r.Header.Get("X-Site") != "hq" || r.Header.Get("webhook-signature") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			posted = append(posted, string(e))
		}
	}))
	defer hook.Close()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.jsonl")
	o := parts(t)
	o.Source = cutFile(t, 240)
	text := square(t, reproducible+", fps: 5, input: 256x192", plain, 2) + fmt.Sprintf(`
  - { kind: mqtt, url: 'mqtt://%[1]s', types: [%[2]s], spool: { path: '%[3]s/spool-mqtt' } }
  - { kind: webhook, url: '%[4]s', secret: whsec_AAAA, headers: { X-Site: hq }, batch: 7, types: [%[2]s], spool: { path: '%[3]s/spool-webhook' } }
  - { name: archive, kind: jsonl, path: '%[3]s/archive/a.jsonl', rotate: { size: 64KiB, keep: 0 }, types: [%[2]s], spool: { path: '%[3]s/spool-archive' } }
`, b.Addr, everything, dir, hook.URL)
	p := build(t, text, o)
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := byStream(written(t, plain))
	n := 0
	for _, all := range want {
		n += len(all)
	}
	if n < 300 {
		t.Fatalf("%d events: too few to show anything", n)
	}
	var mqtt []string
	for _, m := range sub.Wait(func(all []mosquitto.Message) bool {
		accounts := 0
		for _, m := range all {
			if strings.HasSuffix(m.Topic, "/pipeline.accounting") {
				accounts++
			}
		}
		return len(all)-accounts >= n
	}) {
		mqtt = append(mqtt, m.Payload)
		if !strings.HasPrefix(m.Topic, "sightline/square/cam") {
			t.Errorf("topic %s", m.Topic)
		}
	}
	archived, err := exec.Command("sh", "-c", "cd '"+dir+"/archive' && for f in a-*; do case $f in *.gz) gzip -dc $f;; *) cat $f;; esac; done; cat a.jsonl").Output()
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for name, lines := range map[string][]string{"mqtt": mqtt, "webhook": posted, "archive": strings.Split(strings.TrimSpace(string(archived)), "\n")} {
		var got []told
		for _, line := range lines {
			got = append(got, read(t, []byte(line)))
		}
		if diff := cmp.Diff(want, byStream(got)); diff != "" {
			t.Errorf("%s (-plain file +arrived):\n%.3000s", name, diff)
		}
	}
}

// byStream is each stream's events in their order, but for what differs between
// destinations: an account tells of the sinks, and a topic numbers its own.
func byStream(all []told) map[string][]string {
	out := map[string][]string{}
	for _, e := range all {
		var ev map[string]any
		if json.Unmarshal([]byte(e.raw), &ev) != nil || e.Type == "pipeline.accounting" {
			continue
		}
		delete(ev, "sequence")
		text, _ := json.Marshal(ev) // with sorted keys
		out[e.Data.Stream.Name+" "+e.Type] = append(out[e.Data.Stream.Name+" "+e.Type], string(text))
	}
	return out
}
