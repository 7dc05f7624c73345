package packets

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

func packetAt(k int, key bool) ingest.Packet {
	return ingest.Packet{
		PTS: time.Duration(k) * time.Second, Received: time.Unix(int64(k), 0), Keyframe: key, Data: make([]byte, 100),
	}
}

// drained takes everything and returns the packets' numbers, -1 for an end, and
// those of packets given up.
func drained(q *Queue) (numbers, lost []int) {
	q.Close()
	for {
		u, ok := q.Take()
		if !ok {
			return numbers, lost
		}
		switch {
		case u.End != nil:
			numbers = append(numbers, -1)
		case u.Lost > 0:
			lost = append(lost, int(u.Packet.PTS/time.Second))
		default:
			numbers = append(numbers, int(u.Packet.PTS/time.Second))
		}
	}
}

func TestLiveQueueGivesUpToTheNextKeyframe(t *testing.T) {
	key := func(k ...int) map[int]bool {
		m := map[int]bool{}
		for _, k := range k {
			m[k] = true
		}
		return m
	}
	for _, c := range []struct {
		name    string
		keys    map[int]bool
		packets int
		want    []int
		lost    []int
	}{
		{"fits", key(0), 3, []int{0, 1, 2}, nil},
		{"a keyframe waits", key(0, 2), 4, []int{2, 3}, []int{0, 1}},
		{"none waits", key(0), 5, nil, []int{0, 1, 2, 3, 4}},
		{"one comes later", key(0, 5), 7, []int{5, 6}, []int{0, 1, 2, 3, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dropped := 0
			q := New(false, func(_ ingest.Packet, reason string) {
				if reason != "queue_full" {
					t.Errorf("dropped for %q", reason)
				}
				dropped++
			})
			for k := range c.packets { // a second apart: two are maxAge
				if err := q.Put(t.Context(), packetAt(k, c.keys[k])); err != nil {
					t.Fatal(err)
				}
			}
			got, lost := drained(q)
			if !slices.Equal(got, c.want) || !slices.Equal(lost, c.lost) || dropped != len(c.lost) {
				t.Errorf("kept %v, lost %v and dropped %d, want %v and %v", got, lost, dropped, c.want, c.lost)
			}
		})
	}
}

func TestQueueKeepsNewsOfTheEnd(t *testing.T) {
	q := New(false, func(ingest.Packet, string) {})
	q.Put(t.Context(), packetAt(0, true))
	q.End(detect.ReasonInfo{Code: "timeout"})
	q.Put(t.Context(), packetAt(9, true))
	q.Abandon("shutdown")
	if got, lost := drained(q); !slices.Equal(got, []int{-1}) || lost != nil {
		t.Errorf("left %v, lost %v, want the end alone", got, lost)
	}
	if n, bytes := q.Waiting(); n != 0 || bytes != 0 {
		t.Errorf("%d packets and %d bytes wait in an empty queue", n, bytes)
	}
}

// TestQueueJoinsWhatWasGivenUp without forgetting that pictures may build on it, nor
// that a connection ended before another one brought no keyframe.
func TestQueueJoinsWhatWasGivenUp(t *testing.T) {
	q := New(false, func(ingest.Packet, string) {})
	q.Put(t.Context(), packetAt(0, true))
	q.End(detect.ReasonInfo{Code: "timeout"})
	for range 2 * maxTraces {
		q.Trouble(detect.ReasonInfo{Code: "no_keyframe"})
	}
	q.Abandon("shutdown")
	var news []string
	for _, u := range q.units {
		news = append(news, u.End.Code)
	}
	if len(news) < 2 || len(news) > maxTraces || news[0] != "timeout" || news[1] != "no_keyframe" {
		t.Errorf("%d news are left, beginning with %q", len(news), news[:min(len(news), 2)])
	}

	q = New(false, func(ingest.Packet, string) {})
	for k := range maxTraces {
		p := packetAt(k, k == 0)
		p.Disposable = k > 1
		q.Put(t.Context(), p)
	}
	u, _ := q.Take()
	if u.Lost < maxTraces/2 || u.Packet.Disposable {
		t.Errorf("%d packets are joined, and nothing builds on them: %v", u.Lost, u.Packet.Disposable)
	}
}

func TestLosslessQueueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(true, func(_ ingest.Packet, reason string) {
			if reason != "shutdown" {
				t.Errorf("dropped for %q", reason)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			var err error
			for k := 0; err == nil; k++ {
				err = q.Put(ctx, packetAt(k, true))
			}
			done <- err
		}()
		synctest.Wait()
		if n, _ := q.Waiting(); n != maxLossless {
			t.Errorf("%d packets wait, want %d", n, maxLossless)
		}
		if u, _ := q.Take(); u.Packet.PTS != 0 {
			t.Errorf("took %v first", u.Packet.PTS)
		}
		synctest.Wait()
		if n, _ := q.Waiting(); n != maxLossless {
			t.Errorf("%d packets wait after one was taken, want %d", n, maxLossless)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("put returned %v", err)
		}
	})
}

// TestAStuckDecoderIsBounded: nothing is taken for a day, over many connections.
func TestAStuckDecoderIsBounded(t *testing.T) {
	dropped := 0
	q := New(false, func(ingest.Packet, string) { dropped++ })
	at := time.Unix(0, 0)
	const connections, each = 200, 2000
	for n := range connections {
		for i, p := range ingesttest.H264(each, 50, 40*time.Millisecond) {
			at = at.Add(40 * time.Millisecond)
			p.Epoch, p.Received = string(rune('a'+n)), at
			if err := q.Put(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if len(q.units) > 2*maxTraces || q.bytes > maxBytes {
				t.Fatalf("connection %d, packet %d: %d units, %d bytes wait", n, i, len(q.units), q.bytes)
			}
		}
		q.End(detect.ReasonInfo{Code: "ended"})
	}
	waiting, _ := q.Waiting()
	if waiting+dropped != connections*each {
		t.Errorf("%d wait and %d were dropped of %d", waiting, dropped, connections*each)
	}
	q.Close()
	epochs := map[string]int{}
	for u, ok := q.Take(); ok; u, ok = q.Take() {
		if u.End == nil {
			epochs[u.Packet.Epoch] += max(1, u.Lost)
		}
	}
	if last := string(rune('a' + connections - 1)); epochs[last] != each {
		t.Errorf("%d pictures of the last connection are remembered, want %d", epochs[last], each)
	}
}
