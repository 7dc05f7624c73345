package snapshots

import (
	"log/slog"
	"sync"
	"time"

	"sightline/detect"
)

// remindTrouble is between log lines of the same.
const remindTrouble = 5 * time.Minute

// condition is something that goes wrong for a time, and is told when it comes and
// when it is over.
type condition struct {
	code, over string
	lasts      time.Duration // at least: a disk that is nearly full takes some and refuses others
	log        *slog.Logger
	tell       func(detect.ReasonInfo)

	mu      sync.Mutex
	err     error // the last, nil while all is well
	attempt int
	failed  time.Time
	logged  time.Time
}

// note takes how the last attempt went.
func (c *condition) note(err error) {
	now := time.Now()
	c.mu.Lock()
	before := c.err
	if err == nil && before != nil && now.Sub(c.failed) < c.lasts {
		c.mu.Unlock()
		return
	}
	c.err = err
	told := detect.ReasonInfo{Code: detect.ReasonRecovered, Message: c.over}
	switch {
	case err == nil && before == nil:
		c.mu.Unlock()
		return
	case err == nil:
		c.attempt = 0
		c.log.Info(c.over)
	default:
		c.attempt++
		c.failed = now
		told = detect.ReasonInfo{Code: c.code, Message: err.Error(), Attempt: c.attempt}
		if before == nil || now.Sub(c.logged) >= remindTrouble {
			c.logged = now
			c.log.Warn("trouble with snapshots", slog.String("reason", c.code), slog.Any("error", err), slog.Int("attempt", c.attempt))
		}
	}
	c.mu.Unlock()
	if (before == nil) != (err == nil) {
		c.tell(told)
	}
}

// is tells whether it lasts.
func (c *condition) is() bool { return c.last() != nil }

// last is why the last attempt failed.
func (c *condition) last() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
