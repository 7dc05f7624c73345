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

// drained takes everything and returns the packets' numbers, -1 for an end.
func drained(q *packetQueue) (numbers []int) {
	q.close()
	for {
		u, ok := q.take()
		if !ok {
			return numbers
		}
		if u.end != nil {
			numbers = append(numbers, -1)
		} else {
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
		dropped int
	}{
		{"fits", key(0), 3, []int{0, 1, 2}, 0},
		{"a keyframe waits", key(0, 2), 4, []int{2, 3}, 2},
		{"none waits", key(0), 5, nil, 5},
		{"one comes later", key(0, 5), 7, []int{5, 6}, 5},
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
			if got := drained(q); !slices.Equal(got, c.want) || dropped != c.dropped {
				t.Errorf("kept %v and dropped %d, want %v and %d", got, dropped, c.want, c.dropped)
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
	if got := drained(q); !slices.Equal(got, []int{-1}) {
		t.Errorf("left %v, want the end alone", got)
	}
	if n, bytes := q.waiting(); n != 0 || bytes != 0 {
		t.Errorf("%d packets and %d bytes wait in an empty queue", n, bytes)
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
