package rtsp

import (
	"fmt"
	"strings"
	"sync"
)

// patientStrays is how many packets of another sender may come, one after the
// other, before it is taken for the camera's new one: a single one is a leftover
// of an older session.
const patientStrays = 32

// faults are packets that the library threw away. It keeps to the first sender
// that it hears, so a camera that restarts its encoder within a session would be
// silent for ever.
type faults struct {
	mu     sync.Mutex
	latest error
	strays int
	bad    uint64 // of this sender
}

// note takes the library's complaint, and says whether a new sender took over.
func (f *faults) note(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = err
	if strings.Contains(err.Error(), "wrong SSRC") {
		f.strays++
	} else {
		f.bad++
	}
	return f.strays >= patientStrays
}

// clear is called with each good packet.
func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest, f.strays = nil, 0
}

// malformed is how many packets could not be read.
func (f *faults) malformed() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bad
}

// silence is what a camera's silence is called.
func (f *faults) silence() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.latest != nil {
		return fmt.Errorf("the camera sends nothing that can be used: %w", f.latest)
	}
	return errSilent
}
