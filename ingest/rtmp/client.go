package rtmp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"sightline/ingest"
)

// client is one connection to a server. It is used by one goroutine.
type client struct {
	conn    net.Conn
	timeout time.Duration
	in      *chunkReader
	window  uint32 // bytes after which the server wants to hear of them
	told    uint32
}

const (
	handshakeSize = 1536
	version       = 3
	defaultWindow = 2_500_000
	bufferMillis  = 100 // that we say we play behind
)

// dial connects. Who calls it closes the connection.
func dial(ctx context.Context, t target, trust *tls.Config, timeout time.Duration) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var conn net.Conn
	var err error
	if t.url.Scheme == "rtmps" {
		conn, err = (&tls.Dialer{Config: trust}).DialContext(ctx, "tcp", t.address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", t.address)
	}
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, timeout: timeout, in: newChunkReader(conn), window: defaultWindow}, nil
}

// shake is the plain handshake (RTMP 1.0, section 5.2).
func (c *client) shake() error {
	c.patience()
	hello := make([]byte, 1+handshakeSize)
	hello[0] = version
	rand.Read(hello[9:])
	if _, err := c.conn.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, 1+2*handshakeSize)
	if _, err := io.ReadFull(c.in.r, answer); err != nil {
		return err
	}
	if answer[0] != version {
		return fmt.Errorf("the server does not speak RTMP (version %d)", answer[0])
	}
	_, err := c.conn.Write(answer[1 : 1+handshakeSize])
	return err
}

// patience gives the server until the time-out for what comes next.
func (c *client) patience() { c.conn.SetDeadline(time.Now().Add(c.timeout)) }

// next returns the server's next message and answers what is to be answered.
func (c *client) next() (message, error) {
	c.patience()
	m, err := c.in.next()
	if err != nil {
		return m, err
	}
	if c.in.read-c.told >= c.window/2 {
		c.told = c.in.read
		if err := c.send(2, message{kind: kindAck, body: binary.BigEndian.AppendUint32(nil, c.told)}); err != nil {
			return m, err
		}
	}
	switch {
	case m.kind == kindWindow && len(m.body) >= 4:
		c.window = max(binary.BigEndian.Uint32(m.body), outChunk)
	case m.kind == kindControl && len(m.body) >= 6 && binary.BigEndian.Uint16(m.body) == controlPing:
		pong := append([]byte{0, controlPong}, m.body[2:6]...)
		err = c.send(2, message{kind: kindControl, body: pong})
	}
	return m, err
}

// Kinds of user control message (7.1.7).
const (
	controlEnd, controlBuffer, controlPing, controlPong = 1, 3, 6, 7
)

func (c *client) send(channel byte, m message) error {
	_, err := c.conn.Write(appendMessage(nil, channel, m))
	return err
}

func (c *client) command(stream uint32, values ...any) error {
	return c.send(3, message{kind: kindCommand, stream: stream, body: appendAMF(nil, values...)})
}

// command is what a server calls or answers.
type command struct {
	name        string
	transaction float64
	values      []any // behind the command's own object
}

// info is the first object among the values.
func (c command) info() object {
	for _, v := range c.values {
		if o, ok := v.(object); ok {
			return o
		}
	}
	return nil
}

// parseCommand reads a command message; not ok for other messages.
func parseCommand(m message) (c command, ok bool, err error) {
	body := m.body
	switch {
	case m.kind == kindCommand3 && len(body) > 0:
		body = body[1:]
	case m.kind != kindCommand:
		return command{}, false, nil
	}
	values, err := parseAMF(body)
	if err != nil {
		return command{}, false, err
	}
	if len(values) < 2 {
		return command{}, false, errAMF
	}
	name, isText := values[0].(string)
	number, isNumber := values[1].(float64)
	if !isText || !isNumber {
		return command{}, false, errAMF
	}
	return command{name, number, values[2:]}, true, nil
}

// Numbers of our calls.
const (
	callConnect = 1 + iota
	callCreate
	callPlay
)

// connect names the application; query is the answer to a request to log in.
func (c *client) connect(t target, query string) error {
	if err := c.send(2, message{kind: kindChunkSize, body: binary.BigEndian.AppendUint32(nil, outChunk)}); err != nil {
		return err
	}
	address := t.url
	address.Path = "/" + t.app
	return c.command(0, "connect", float64(callConnect), object{
		{"app", t.app + query}, {"flashVer", "LNX 9,0,124,2"}, {"tcUrl", address.String() + query}, {"fpad", false},
		{"capabilities", 15.0}, {"audioCodecs", 4071.0}, {"videoCodecs", 252.0}, {"videoFunction", 1.0}, {"objectEncoding", 0.0},
		{"fourCcList", []any{fourAVC, fourHEVC, fourAV1, fourVP9}},
	})
}

// play asks for the stream once the connection stands.
func (c *client) play(t target) error {
	if err := c.command(0, "createStream", float64(callCreate), nil); err != nil {
		return err
	}
	created, err := c.answer(callCreate)
	if err != nil {
		return err
	}
	var id uint32
	for _, v := range created.values {
		if n, ok := v.(float64); ok && n >= 0 && n < 1<<32 {
			id = uint32(n)
		}
	}
	buffer := binary.BigEndian.AppendUint32([]byte{0, controlBuffer}, id)
	buffer = binary.BigEndian.AppendUint32(buffer, bufferMillis)
	if err := c.send(2, message{kind: kindControl, body: buffer}); err != nil {
		return err
	}
	return c.command(id, "play", float64(callPlay), nil, t.stream, -1000.0) // -1000: live only
}

// answer waits for the answer to a call, until the time-out whatever else the
// server says. Media that comes before is of no use.
func (c *client) answer(call float64) (command, error) {
	for began := time.Now(); ; {
		m, err := c.next()
		if err != nil {
			return command{}, err
		}
		got, ok, err := parseCommand(m)
		switch {
		case err != nil:
			return command{}, err
		case time.Since(began) > c.timeout:
			return command{}, os.ErrDeadlineExceeded
		case !ok:
		case got.name == "_result" && got.transaction == call:
			return got, nil
		case got.name == "_error" || got.name == "close" || got.name == "onStatus" && got.info().text("level") == "error":
			return command{}, &refusal{got.info()}
		}
	}
}

// refusal is what a server says when it does not do what it is asked.
type refusal struct{ info object }

func (r *refusal) Error() string {
	text := "the server closes the connection"
	if code := r.info.text("code"); code != "" {
		text = "the server answers " + clean(code)
	}
	return text
}

// reason is the one that users see.
func (r *refusal) reason() ingest.Reason {
	code, description := r.info.text("code"), strings.ToLower(r.info.text("description"))
	switch {
	case strings.Contains(description, "authmod"), strings.Contains(description, "code=403"), strings.Contains(description, "unauthorized"),
		strings.Contains(description, "authentication"):
		return ingest.ReasonUnauthorized
	case strings.HasSuffix(code, ".StreamNotFound"), strings.HasSuffix(code, ".InvalidApp"):
		return ingest.ReasonNotFound
	case strings.HasSuffix(code, ".Rejected"):
		return ingest.ReasonRefused
	}
	return ingest.ReasonFailed
}

// clean keeps a server's word fit for a log.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, text)
	return text[:min(len(text), 100)]
}

var errEnded = errors.New("the server ended the stream")

// over tells whether a message says that the stream is at its end, or failed.
func over(m message) error {
	if m.kind == kindControl && len(m.body) >= 2 && binary.BigEndian.Uint16(m.body) == controlEnd {
		return errEnded
	}
	got, ok, err := parseCommand(m)
	if err != nil || !ok || got.name != "onStatus" && got.name != "_error" && got.name != "close" {
		return nil // what cannot be read is not for us
	}
	switch code := got.info().text("code"); {
	case got.name == "close", strings.HasSuffix(code, ".UnpublishNotify"), strings.HasSuffix(code, ".Play.Stop"), strings.HasSuffix(code, ".Play.Complete"):
		return errEnded
	case got.name == "_error" && got.transaction != callPlay:
		return nil // a call that is not ours
	case got.name == "_error" || got.info().text("level") == "error":
		return &refusal{got.info()}
	}
	return nil
}
