package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sightline/detect"
	"sightline/pipelines/spec"
)

// follow reads a server's event stream and returns its blocks, which end when
// the test does.
func follow(t *testing.T, s *Server, query string, header http.Header) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL()+"api/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("status %d, type %s", resp.StatusCode, got)
	}
	blocks := make(chan string, 64)
	go func() {
		defer close(blocks)
		defer resp.Body.Close()
		var block []string
		for scanner := bufio.NewScanner(resp.Body); scanner.Scan(); {
			if scanner.Text() != "" {
				block = append(block, scanner.Text())
				continue
			}
			blocks <- strings.Join(block, "\n")
			block = nil
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range blocks {
		}
	})
	if got := next(t, blocks); got != ": connected" {
		t.Fatalf("begins with %q", got)
	}
	return blocks
}

func next(t *testing.T, blocks <-chan string) string {
	t.Helper()
	select {
	case b := <-blocks:
		return b
	case <-time.After(5 * time.Second):
		t.Fatal("nothing comes")
		return ""
	}
}

// ids takes n blocks and returns their events' ids from the data.
func ids(t *testing.T, blocks <-chan string, n int) (out []string) {
	t.Helper()
	for range n {
		block := lines(next(t, blocks))
		var ev struct{ ID, Sequence, Type string }
		if err := json.Unmarshal([]byte(strings.TrimPrefix(block[len(block)-1], "data: ")), &ev); err != nil {
			t.Fatalf("%v: %q", err, block)
		}
		if ev.Sequence != "" {
			t.Errorf("event %s has the sequence %s of no destination", ev.ID, ev.Sequence)
		}
		if block[0] != "event: "+ev.Type {
			t.Errorf("event %s of type %s is sent as %q", ev.ID, ev.Type, block[0])
		}
		out = append(out, ev.ID)
	}
	return out
}

func remembering(t *testing.T) (*fake, *Server) {
	p := newFake(t, onLoopback)
	s := serve(t, p)
	at := time.Unix(1000, 0)
	for _, ev := range []*detect.Event{
		crossing("1", "a", "forward", at), visit(detect.ZoneEntered, "b", nil), crossing("3", "c", "forward", at),
	} {
		s.recent.add(ev)
	}
	return p, s
}

func TestPastEventsComeFirst(t *testing.T) {
	for _, c := range []struct {
		name, query, lastID string
		want                []string
	}{
		{"last of all", "?last=2", "", []string{"zone.enteredb", "3"}},
		{"last of a type", "?last=2&type=line.crossed", "", []string{"1", "3"}},
		{"types as in CloudEvents, with commas", "?last=9&type=sightline.line.crossed,object.started", "", []string{"1", "3"}},
		{"more than there are", "?last=9", "", []string{"1", "zone.enteredb", "3"}},
		{"since the last one seen", "?last=1", "1", []string{"zone.enteredb", "3"}},
		{"since one that is forgotten", "?last=1", "gone", []string{"3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, s := remembering(t)
			blocks := follow(t, s, c.query, http.Header{"Last-Event-Id": {c.lastID}})
			if diff := cmp.Diff(c.want, ids(t, blocks, len(c.want))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Objects that come and go do not push out the rest, nor the rest them.
func TestEventsOfObjectsHaveHalfOfTheRoom(t *testing.T) {
	r := newRecent(&spec.Pipeline{})
	add := func(n int, types ...detect.Type) {
		for i := range n {
			for _, of := range types {
				r.add(&detect.Event{Type: of, ID: fmt.Sprint(of, i)})
			}
		}
	}
	count := func(of detect.Type) int {
		return len(r.last(recentEvents, "", func(ev *detect.Event) bool { return ev.Type == of }))
	}
	add(1, detect.StreamOffline)
	add(2*recentEvents, detect.ObjectStarted)
	if off, objects := count(detect.StreamOffline), count(detect.ObjectStarted); off != 1 || objects != recentEvents-1 {
		t.Errorf("%d and %d", off, objects)
	}
	add(2*recentEvents, detect.StreamOffline)
	if off, objects := count(detect.StreamOffline), count(detect.ObjectStarted); off != recentEvents/2 || objects != recentEvents/2 {
		t.Errorf("%d and %d", off, objects)
	}
	if newest := r.events[recentEvents-1].ID; newest != fmt.Sprint(detect.StreamOffline, 2*recentEvents-1) {
		t.Errorf("the newest is %s", newest)
	}
}

// The events handler is called alone here, so that it alone reads what is made.
func TestEventsAreFiltered(t *testing.T) {
	for _, c := range []struct {
		name, query string
		want        []string
	}{
		{"all", "", []string{"1", "2", "seen"}},
		{"a type", "?type=line.crossed", []string{"1", "2"}},
		{"a stream", "?stream=gate", []string{"1", "seen"}},
		{"streams", "?stream=gate&stream=lobby", []string{"1", "2", "seen"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newFake(t, onLoopback)
			other := crossing("2", "b", "forward", time.Unix(1001, 0))
			other.Stream = "lobby"
			for _, ev := range []*detect.Event{
				crossing("1", "a", "forward", time.Unix(1000, 0)), other, {Site: "hq", Stream: "gate", Type: detect.Detections, ID: "seen"},
			} {
				p.events <- ev
			}
			got := handle(t, p, c.query, len(c.want))
			if diff := cmp.Diff(c.want, got.ids); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(got.text, "id: seen") {
				t.Error("detections, which are not remembered, have an id to resume from")
			}
		})
	}
}

func TestSlowClientIsTold(t *testing.T) {
	p := newFake(t, onLoopback)
	p.missed = 7
	p.events <- crossing("1", "a", "forward", time.Unix(1000, 0))
	if got := handle(t, p, "", 1); !strings.Contains(got.text, ": missed 7 events\n") {
		t.Errorf("no word of what was missed: %s", got.text)
	}
}

func TestLastMustBeANumber(t *testing.T) {
	for _, query := range []string{"?last=x", "?last=-1", "?last="} {
		if code, _ := getJSON(t, newFake(t, onLoopback), "/api/v1/events"+query); code != 400 {
			t.Errorf("%s: status %d", query, code)
		}
	}
}
