package spec

import (
	"log/slog"
	"strconv"
	"sync"
)

// Secret is a password or token. It prints as ***; Reveal and Current give it
// away. Any goroutine may use it.
type Secret struct{ value *secret }

type secret struct {
	text  string // as it was when the pipeline was loaded
	parts []part // where text came from; nil unless a file is among it

	mu   sync.Mutex
	last string // what the files had in them when they were last read well
}

const mask = "***"

// NewSecret wraps s; an empty one is no secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{&secret{text: s, last: s}}
}

// from says where the secret's text came from.
func (s Secret) from(parts []part) {
	if s.value != nil {
		s.value.parts = parts
	}
}

// Reveal returns the secret as it was when the pipeline was loaded, "" when there
// is none.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return s.value.text
}

// Current returns the secret as it is now: what is ${file:…} of it is read again,
// so that a password can be changed while the program runs. A file that cannot be
// read, or is empty because it is being written, leaves what was last read. It reads
// small files and nothing else.
func (s Secret) Current() string {
	if s.value == nil || s.value.parts == nil {
		return s.Reveal()
	}
	s.value.mu.Lock()
	defer s.value.mu.Unlock()
	if now, err := reread(s.value.parts); err == nil {
		s.value.last = now
	}
	return s.value.last
}

func (s Secret) String() string {
	if s.value == nil {
		return ""
	}
	return mask
}

// GoString keeps %#v from showing the secret.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText writes the mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue keeps the secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// IsZero tells whether there is no secret.
func (s Secret) IsZero() bool { return s.value == nil }

// UnmarshalText takes the secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
