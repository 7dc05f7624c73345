package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

// maxRequest bounds a request of several partitions. A broker takes 100 MB.
const maxRequest = 8 << 20

// lane is the messages of one partition on their way, in order.
type lane struct {
	topic     string
	partition int
	messages  []message // what is still to be sent
	most      int       // in the next batch; 0: as many as fit
	sent      int       // in the batch under way
	limit     int       // bytes of a batch
}

// next is how many messages the next batch has: at least one.
func (l *lane) next() int {
	size := 0
	for i := range l.messages {
		size += l.messages[i].size
		if i > 0 && (size > l.limit || i == l.most) {
			return i
		}
	}
	return len(l.messages)
}

// lanes shares the messages out to their partitions, and these to brokers.
func (s *Sink) lanes(messages []message, topics map[string]kafkago.Topic, result *outcome) map[int][]*lane {
	type place struct {
		topic     string
		partition int
	}
	all, order := map[place]*lane{}, []*lane{}
	for _, m := range messages {
		t := topics[m.topic]
		if t.Error != nil {
			result.fail([]message{m}, &topicError{m.topic, t.Error})
			continue
		}
		at := place{m.topic, s.partition(m.key, len(t.Partitions))}
		l := all[at]
		if l == nil {
			l = &lane{topic: at.topic, partition: at.partition, limit: s.limit(at.topic)}
			all[at], order = l, append(order, l)
		}
		l.messages = append(l.messages, m)
	}
	leaders := map[int][]*lane{}
	for _, l := range order {
		p := topics[l.topic].Partitions[l.partition]
		if p.Leader.Host == "" {
			s.stale.Store(true)
			result.fail(l.messages, &topicError{l.topic, kafkago.LeaderNotAvailable})
			continue
		}
		leaders[p.Leader.ID] = append(leaders[p.Leader.ID], l)
	}
	return leaders
}

// partition is where the key belongs, as Java's producer hashes it.
func (s *Sink) partition(key string, n int) int {
	for len(s.ids) < n {
		s.ids = append(s.ids, len(s.ids))
	}
	return s.balancer.Balance(kafkago.Message{Key: []byte(key)}, s.ids[:n]...)
}

// send delivers the lanes, the brokers side by side, and waits for all of them.
func (s *Sink) send(ctx context.Context, client *kafkago.Client, leaders map[int][]*lane, result *outcome) {
	var wg sync.WaitGroup
	for id, lanes := range leaders {
		b := s.batchers[id]
		if b == nil {
			b = &batcher{}
			s.batchers[id] = b
		}
		wg.Go(func() {
			if !s.sendTo(ctx, client, b, lanes, result) || cap(b.out) > maxArena {
				*b = batcher{} // its bytes may still be read, or are too many to keep
			}
		})
	}
	wg.Wait()
}

// sendTo delivers the lanes of one broker: one request at a time, with a batch of
// each of them. It is false where a request was given up on, whose bytes the client
// library may go on reading.
func (s *Sink) sendTo(ctx context.Context, client *kafkago.Client, b *batcher, lanes []*lane, result *outcome) bool {
	for len(lanes) > 0 {
		answer, under, err := s.round(ctx, client, b, lanes)
		if err != nil {
			for _, l := range lanes {
				result.fail(l.messages, &topicError{l.topic, &brokerError{err}})
			}
			return false
		}
		rest := lanes[under:]
		for _, l := range lanes[:under] {
			if s.settle(ctx, l, answer, result) {
				rest = append(rest, l)
			}
		}
		lanes = rest
	}
	return true
}

// round sends the next batch of the first lanes, as many as a request has room for.
func (s *Sink) round(ctx context.Context, client *kafkago.Client, b *batcher, lanes []*lane) (*produce.Response, int, error) {
	now := time.Now()
	stamp := func(m *message) time.Time { return s.stamp(m, now) }
	b.out = b.out[:0]
	var ends []int
	for _, l := range lanes {
		l.sent = l.next()
		if err := b.add(l.messages[:l.sent], compressions[s.cfg.Compression], stamp); err != nil {
			return nil, 0, err
		}
		if ends = append(ends, len(b.out)); len(b.out) > maxRequest {
			break
		}
	}
	req := rawproduce.Request{Acks: int16(kafkago.RequireAll), Timeout: int32(s.cfg.WriteTimeout.Milliseconds() / 2)}
	from := 0
	for i, end := range ends { // only now, because the buffer may have moved while it grew
		p := rawproduce.RequestPartition{
			Partition: int32(lanes[i].partition), RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(b.out[from:end])},
		}
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == lanes[i].topic {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, p)
		} else {
			req.Topics = append(req.Topics, rawproduce.RequestTopic{Topic: lanes[i].topic, Partitions: []rawproduce.RequestPartition{p}})
		}
		from = end
	}
	res, err := client.Transport.RoundTrip(ctx, client.Addr, &req)
	if err != nil {
		return nil, 0, err
	}
	answer, ok := res.(*produce.Response)
	if !ok {
		return nil, 0, fmt.Errorf("broker answered a produce request with %T", res)
	}
	s.throttled(answer.ThrottleTimeMs)
	return answer, len(ends), nil
}

// settle takes the answer to the lane's batch; it is true when there is more to
// send. A failure ends the lane, so that no later event overtakes one that has to be
// sent again. A batch refused for good is halved until the event at fault stands
// alone; that is sent without its path, where the path is what was too much, before
// it is refused.
func (s *Sink) settle(ctx context.Context, l *lane, answer *produce.Response, result *outcome) bool {
	err := verdict(answer, l)
	switch {
	case err == nil:
		l.messages, l.most = l.messages[l.sent:], 0 // not lost: the broker has them
	case !permanent(err):
		if moved(err) {
			s.stale.Store(true)
		}
		result.fail(l.messages, &topicError{l.topic, err})
		return false
	case l.sent > 1:
		l.most = l.sent / 2
		if tooLarge(err) {
			s.learn(l)
		}
	case tooLarge(err) && s.shrunk(ctx, &l.messages[0]):
	default:
		result.refuse(l.messages[0], err)
		l.messages, l.most = l.messages[1:], 0
	}
	return len(l.messages) > 0
}

// shrunk makes the message's value anew, without its path.
func (s *Sink) shrunk(ctx context.Context, m *message) bool {
	s.mu.Lock() // a Format is for one goroutine at a time
	defer s.mu.Unlock()
	if !m.shrink() {
		return false
	}
	_, err := s.value(ctx, nil, m)
	return err == nil
}

// verdict is what the broker says of the lane's batch.
func verdict(answer *produce.Response, l *lane) error {
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if t.Topic != l.topic || int(p.Partition) != l.partition {
				continue
			}
			switch {
			case p.ErrorCode == 0:
				return nil
			case p.ErrorMessage != "":
				return fmt.Errorf("%w: %s", kafkago.Error(p.ErrorCode), p.ErrorMessage)
			}
			return kafkago.Error(p.ErrorCode)
		}
	}
	return errors.New("broker said nothing of the partition")
}
