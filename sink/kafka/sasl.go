package kafka

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// OAuthBearer is the mechanism that logs in with a token instead of a password.
const OAuthBearer = "OAUTHBEARER"

// Mechanisms are the logins there are.
func Mechanisms() []string { return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", OAuthBearer} }

// SASL is how the client says who it is. Password and Token are asked for each new
// connection, from any goroutine: what they give may change while the program runs.
// It is never logged nor part of an error.
type SASL struct {
	Mechanism string // one of Mechanisms
	Username  string // not for OAUTHBEARER
	Password  func() string
	Token     func() string // OAUTHBEARER's
}

// login is a SASL mechanism that asks for the secret at each login.
type login struct {
	SASL

	mu      sync.Mutex
	used    string    // secret of the last login
	expires time.Time // of that, where it is a token; zero: not known
}

func newLogin(s *SASL) *login {
	if s == nil {
		return nil
	}
	return &login{SASL: *s}
}

// Name is what the handshake calls the mechanism.
func (l *login) Name() string { return l.Mechanism }

// who is the login in words, for messages.
func (l *login) who() string {
	if l.Mechanism == OAuthBearer {
		return "the token (SASL " + l.Mechanism + ")"
	}
	return fmt.Sprintf("user %q (SASL %s)", l.Username, l.Mechanism)
}

// Start begins a login with the secret as it is now.
func (l *login) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	if l.Mechanism == OAuthBearer {
		return l.startBearer()
	}
	password := l.Password()
	l.use(password, time.Time{})
	algorithm := scram.SHA512
	switch l.Mechanism {
	case "PLAIN":
		return plain.Mechanism{Username: l.Username, Password: password}.Start(ctx)
	case "SCRAM-SHA-256":
		algorithm = scram.SHA256
	}
	m, err := scram.Mechanism(algorithm, l.Username, password)
	if err != nil {
		return nil, nil, fmt.Errorf("sasl: username or password has characters that %s does not allow", l.Mechanism)
	}
	return m.Start(ctx)
}

// bearerToken is what RFC 6750, section 2.1, lets a token be.
var bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// startBearer makes the first and only message of the mechanism OAUTHBEARER: RFC
// 7628, section 3.1, as Kafka's KIP-255 uses it.
func (l *login) startBearer() (sasl.StateMachine, []byte, error) {
	token := strings.TrimSpace(l.Token())
	if !bearerToken.MatchString(token) {
		return nil, nil, errors.New("sasl.token: what is given there is not a token (RFC 6750): it is empty or has characters that tokens do not have")
	}
	l.use(token, expiry(token))
	return &bearer{}, []byte("n,,\x01auth=Bearer " + token + "\x01\x01"), nil
}

// use notes the secret of a login.
func (l *login) use(secret string, expires time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used, l.expires = secret, expires
}

// leastSecret is how long a secret is at least that is looked for in errors: a
// shorter one hides nothing, and is found everywhere.
const leastSecret = 3

// hide masks the secret of the last login in an error: a broker may repeat what it
// refuses.
func (l *login) hide(err error) error {
	if l == nil {
		return err
	}
	l.mu.Lock()
	used := l.used
	l.mu.Unlock()
	if len(used) < leastSecret || !strings.Contains(err.Error(), used) {
		return err
	}
	return &maskedError{strings.ReplaceAll(err.Error(), used, "***"), err}
}

// maskedError is an error in other words.
type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }

// renewBefore is how long before a token expires connections move to its successor.
const renewBefore = time.Minute

// renew tells whether the token of the last login is about to expire and another
// one is there: who connects anew then is not thrown out later.
func (l *login) renew(now time.Time) bool {
	if l == nil || l.Mechanism != OAuthBearer {
		return false
	}
	l.mu.Lock()
	used, expires := l.used, l.expires
	l.mu.Unlock()
	return !expires.IsZero() && now.After(expires.Add(-renewBefore)) && strings.TrimSpace(l.Token()) != used
}

// expiry reads a JSON Web Token's claim exp without checking the token: that is the
// broker's business. Zero where it has none or is something else.
func expiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var c struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(claims, &c) != nil || c.Exp <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(c.Exp), 0)
}

// bearer is the rest of an OAUTHBEARER login. The server answers with nothing when
// it takes the token, else with a JSON object that the client has to acknowledge
// before the server says no (RFC 7628, section 3.2.3).
type bearer struct{}

// Next acknowledges a refusal.
func (*bearer) Next(_ context.Context, challenge []byte) (done bool, response []byte, err error) {
	if len(challenge) == 0 {
		return true, nil, nil
	}
	return false, []byte{1}, nil
}
