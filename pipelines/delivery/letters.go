package delivery

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"sightline/detect"
	"sightline/sink"
)

// Letters says where events go that a destination will never take.
type Letters struct {
	Path string // of the file; "" keeps none: such events are counted and logged alone
	Max  int64  // bytes of the file before it makes room for a new one; 0: 64 MiB
	// Tries after which an event that fails while others get through is given up;
	// 0: never, it holds back its own key alone.
	Tries int
}

// letter is one line of the file.
type letter struct {
	Time   time.Time       `json:"time"` // when it was given up
	Sink   string          `json:"sink"`
	Reason string          `json:"reason"`
	Tries  int             `json:"tries"`
	Topic  string          `json:"topic,omitempty"`
	Key    string          `json:"key"`
	Event  json.RawMessage `json:"event"` // as structured CloudEvent
}

// maxReason bounds what a peer can make us write of itself.
const maxReason = 1000

// newLetter makes the line of an event that has been tried so often.
func newLetter(sinkName string, r sink.Record, tries int, why error, at time.Time) (letter, error) {
	event, err := sink.AppendStructured(nil, r)
	reason := why.Error()
	if len(reason) > maxReason {
		reason = reason[:maxReason]
		for !utf8.ValidString(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	return letter{
		Time: at.UTC(), Sink: sinkName, Reason: strings.ToValidUTF8(reason, "\ufffd"), Tries: tries,
		Topic: r.Topic, Key: r.PartitionKey(), Event: event,
	}, err
}

// letterCount is what was not told yet of dead letters.
type letterCount struct {
	events int
	last   time.Time // told
}

// bury puts the dead letters on disk. Where that fails they are logged one by one:
// they are accounted for all the same, and hold up nothing.
func (q *Queue) bury(a *attempt) {
	if len(a.letters) == 0 {
		return
	}
	err := q.dead.write(a.letters)
	if err != nil {
		for _, l := range a.letters {
			q.log.Error("event given up and not kept", "error", err, "reason", l.Reason, "topic", l.Topic, "key", l.Key, "event", string(l.Event))
		}
	}
	q.told.events += len(a.letters)
	if a.now.Sub(q.told.last) < remindAfter {
		return
	}
	last := a.letters[len(a.letters)-1]
	q.log.Error("events given up", "events", q.told.events, "reason", last.Reason, "dead_letters", q.cfg.Letters.Path)
	message := fmt.Sprintf("%d events given up: %s", q.told.events, last.Reason)
	q.told = letterCount{last: a.now}
	q.telling.Lock()
	defer q.telling.Unlock()
	q.tell(detect.ReasonInfo{Code: DeadLettered, Message: message, Attempt: last.Tries})
}
