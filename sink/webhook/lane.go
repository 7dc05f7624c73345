package webhook

import (
	"context"
	"slices"
)

// run delivers a lane's events in their order, several to a request. After a failure
// the later events of its keys wait for the next Publish. A receiver that does not
// answer for two requests in a row is not asked for the rest.
func (d *delivery) run(ctx context.Context, lane []int) {
	broken := map[string]bool{}
	work := slices.Collect(slices.Chunk(lane, d.size))
	for unanswered := 0; len(work) > 0; {
		batch := d.still(work[0], broken)
		work = work[1:]
		if len(batch) == 0 || d.halted.Load() || unanswered > 1 || ctx.Err() != nil {
			continue
		}
		verdict, err := d.sink.post(ctx, d.pick(batch))
		if verdict != answered && verdict != denied {
			d.note(err)
		}
		if unanswered++; verdict != silent {
			unanswered = 0
		}
		switch verdict {
		case answered:
			d.mark(batch, taken)
		case denied:
			if len(batch) == 1 {
				d.mark(batch, refused)
				d.refuse(err)
				continue
			}
			half := len(batch) / 2
			work = append([][]int{batch[:half], batch[half:]}, work...)
		case wait:
			d.halted.Store(true)
		case later, silent:
			for _, i := range batch {
				broken[d.events[i].PartitionKey()] = true
			}
			d.torn.CompareAndSwap(false, len(batch) > 1)
		}
	}
	d.rest(lane, ctx.Err())
}

// still is the batch without events of keys that wait.
func (d *delivery) still(batch []int, broken map[string]bool) []int {
	if len(broken) == 0 {
		return batch
	}
	return slices.DeleteFunc(slices.Clone(batch), func(i int) bool { return broken[d.events[i].PartitionKey()] })
}

// rest marks what was not answered.
func (d *delivery) rest(lane []int, err error) {
	left := slices.DeleteFunc(slices.Clone(lane), func(i int) bool { return d.fates[i] != open })
	d.mark(left, failed)
	if len(left) > 0 && err != nil {
		d.note(err)
	}
}

func (d *delivery) mark(batch []int, f fate) {
	for _, i := range batch {
		d.fates[i] = f
	}
}

// message is the body of one request.
type message struct {
	id          string
	contentType string
	body        []byte
}

// pick makes the message of a batch.
func (d *delivery) pick(batch []int) message {
	cfg := &d.sink.cfg
	ids := make([]string, len(batch))
	for n, i := range batch {
		ids[n] = d.events[i].Event.ID
	}
	m := message{id: requestID(ids), contentType: structuredType, body: d.bodies[batch[0]]}
	switch {
	case cfg.Format != nil:
		m.contentType = cfg.Format.ContentType()
	case cfg.Batch > 1: // also where it holds one: the receiver expects an array
		m.contentType, m.body = batchType, []byte{'['}
		for n, i := range batch {
			if n > 0 {
				m.body = append(m.body, ',')
			}
			m.body = append(m.body, d.bodies[i]...)
		}
		m.body = append(m.body, ']')
	}
	return m
}
