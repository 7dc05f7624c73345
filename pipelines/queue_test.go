package pipelines

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect"
	"sightline/ingest"
)

func packetAt(k int, key bool) ingest.Packet {
	return ingest.Packet{
		PTS: time.Duration(k) * time.Second, Received: time.Unix(int64(k), 0), Keyframe: key, Data: make([]byte, 100),
	}
}

// drained takes everything and returns the packets' numbers, -1 for an end, and
// those of packets given up.
func drained(q *packetQueue) (numbers, lost []int) {
	q.close()
	for {
		u, ok := q.take()
		if !ok {
			return numbers, lost
		}
		switch {
		case u.end != nil:
			numbers = append(numbers, -1)
		case u.lost > 0:
			lost = append(lost, int(u.packet.PTS/time.Second))
		default:
			numbers = append(numbers, int(u.packet.PTS/time.Second))
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
			q := newPacketQueue(false, func(_ ingest.Packet, reason string) {
				if reason != "queue_full" {
					t.Errorf("dropped for %q", reason)
				}
				dropped++
			})
			for k := range c.packets { // a second apart: two are queueAge
				if err := q.put(t.Context(), packetAt(k, c.keys[k])); err != nil {
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
	q := newPacketQueue(false, func(ingest.Packet, string) {})
	q.put(t.Context(), packetAt(0, true))
	q.end(detect.ReasonInfo{Code: "timeout"})
	q.put(t.Context(), packetAt(9, true))
	q.abandon("shutdown")
	if got, lost := drained(q); !slices.Equal(got, []int{-1}) || lost != nil {
		t.Errorf("left %v, lost %v, want the end alone", got, lost)
	}
	if n, bytes := q.waiting(); n != 0 || bytes != 0 {
		t.Errorf("%d packets and %d bytes wait in an empty queue", n, bytes)
	}
}

// TestQueueJoinsWhatWasGivenUp without forgetting that pictures may build on it, nor
// that a connection ended before another one brought no keyframe.
func TestQueueJoinsWhatWasGivenUp(t *testing.T) {
	q := newPacketQueue(false, func(ingest.Packet, string) {})
	q.put(t.Context(), packetAt(0, true))
	q.end(detect.ReasonInfo{Code: "timeout"})
	for range 2 * queueTraces {
		q.trouble(detect.ReasonInfo{Code: "no_keyframe"})
	}
	q.abandon("shutdown")
	var news []string
	for _, u := range q.units {
		news = append(news, u.end.Code)
	}
	if len(news) < 2 || len(news) > queueTraces || news[0] != "timeout" || news[1] != "no_keyframe" {
		t.Errorf("%d news are left, beginning with %q", len(news), news[:min(len(news), 2)])
	}

	q = newPacketQueue(false, func(ingest.Packet, string) {})
	for k := range queueTraces {
		p := packetAt(k, k == 0)
		p.Disposable = k > 1
		q.put(t.Context(), p)
	}
	u, _ := q.take()
	if u.lost < queueTraces/2 || u.packet.Disposable {
		t.Errorf("%d packets are joined, and nothing builds on them: %v", u.lost, u.packet.Disposable)
	}
}

func TestLosslessQueueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newPacketQueue(true, func(_ ingest.Packet, reason string) {
			if reason != "shutdown" {
				t.Errorf("dropped for %q", reason)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			var err error
			for k := 0; err == nil; k++ {
				err = q.put(ctx, packetAt(k, true))
			}
			done <- err
		}()
		synctest.Wait()
		if n, _ := q.waiting(); n != queueLossless {
			t.Errorf("%d packets wait, want %d", n, queueLossless)
		}
		if u, _ := q.take(); u.packet.PTS != 0 {
			t.Errorf("took %v first", u.packet.PTS)
		}
		synctest.Wait()
		if n, _ := q.waiting(); n != queueLossless {
			t.Errorf("%d packets wait after one was taken, want %d", n, queueLossless)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("put returned %v", err)
		}
	})
}
