package mqtt

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"sightline/sink"
)

// protocol is one version of MQTT as bytes.
type protocol interface {
	connect(l login) ([]byte, error)
	publish(dst []byte, m *message) ([]byte, error)
	// parse reads a packet that a broker sends to who only publishes.
	parse(kind byte, body []byte) (answer, error)
	// refusal says what a code other than success of a CONNACK means.
	refusal(code byte) string
	disconnect() []byte
}

// login is what a connection begins with.
type login struct {
	clientID, username, password string
	keepAlive                    uint16 // seconds
}

// message is one event on its way.
type message struct {
	id          uint16
	topic       string
	retain      bool
	payload     []byte
	contentType string
	attributes  []sink.Header
}

// Packets that a publisher receives or sends without a body.
const (
	connack    = 2
	puback     = 4
	pingreq    = 12
	pingresp   = 13
	disconnect = 14
)

// answer is one packet of the broker.
type answer struct {
	kind   byte
	id     uint16 // of a puback
	code   byte
	reason string // in the broker's words
	limits limits // of a connack
}

// limits are what a broker says it can take; zero values say nothing.
type limits struct {
	inFlight  int
	packet    int
	keepAlive int // seconds
	noRetain  bool
	noQoS1    bool
}

// maxAnswer bounds what is read of a broker: acknowledgments with their reasons.
const maxAnswer = 64 << 10

// readPacket reads one packet's type and body.
func readPacket(r *bufio.Reader) (kind byte, body []byte, err error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	size := 0
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, nil, torn(err)
		}
		size |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
		if shift == 21 {
			return 0, nil, errors.New("not MQTT: a length of more than four bytes")
		}
	}
	if size > maxAnswer {
		return 0, nil, fmt.Errorf("not an answer: a packet of %d bytes", size)
	}
	body = make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, torn(err)
	}
	return first >> 4, body, nil
}

// torn tells a connection that ends inside a packet from one that ends between two.
func torn(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appender is a []byte that packets are written to.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
