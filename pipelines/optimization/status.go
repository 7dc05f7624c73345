package optimization

import (
	"path/filepath"
	"time"
)

// Status is how far a network is that is made in the background.
type Status struct {
	State    string     `json:"state"` // collecting, waiting (for another to be made, or for another process that makes this one), compiling, ready, refused (it did not keep its budget), retrying, failed
	Pictures int        `json:"pictures"`
	Wanted   int        `json:"wanted"`
	Step     string     `json:"step,omitempty"` // of compiling
	Done     int        `json:"done,omitempty"`
	Of       int        `json:"of,omitempty"`
	Left     float64    `json:"left_s,omitempty"`   // seconds, about, until the pictures are there, or the step is done; absent: unknown
	Failures int        `json:"failures,omitempty"` // times that it could not be made
	Retry    *time.Time `json:"retry,omitempty"`    // when it is tried again
	Reason   string     `json:"reason,omitempty"`
	Made     *Made      `json:"made,omitempty"`
	Folder   string     `json:"folder"`
}

// States of a network in the making.
const (
	Collecting = "collecting"
	Waiting    = "waiting"
	Compiling  = "compiling"
	Ready      = "ready"
	Refused    = "refused"
	Retrying   = "retrying"
	Failed     = "failed"
)

// Status is how far it is. Any goroutine may ask.
func (m *Maker) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

func (m *Maker) set(change func(*Status)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.status)
}

// Refuse says that no network is made, nor used.
func (m *Maker) Refuse(why string) {
	m.set(func(s *Status) { s.State, s.Made, s.Reason = Refused, nil, why })
}

// Fail says that the network that is ready cannot be used.
func (m *Maker) Fail(err error) {
	m.set(func(s *Status) { s.State, s.Made, s.Reason = Failed, nil, err.Error() })
}

// File is the path of the network that is ready, "" where none is.
func (m *Maker) File() string {
	s := m.Status()
	if s.State != Ready {
		return ""
	}
	return filepath.Join(s.Folder, s.Made.File)
}
