package rtmp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kinds of message (RTMP 1.0, sections 5.4 and 7.1).
const (
	kindChunkSize, kindAbort, kindAck, kindControl = 1, 2, 3, 4
	kindWindow, kindBandwidth                      = 5, 6
	kindAudio, kindVideo, kindCommand3             = 8, 9, 17
	kindCommand                                    = 20
)

// message is one message of a server, or of ours.
type message struct {
	kind   byte
	stream uint32
	time   uint32 // ms; wraps
	body   []byte
}

// What a server may make us hold.
const (
	maxChannels = 64
	maxPending  = 24 << 20 // messages that have begun, of all channels
	outChunk    = 4096
)

var (
	errChannels = errors.New("too many chunk streams")
	errPending  = errors.New("too many messages at once")
	errHeader   = errors.New("a chunk without a header to go by")
)

// chunkReader puts messages together from chunks (section 5.3).
type chunkReader struct {
	r        *bufio.Reader
	size     int // of the server's chunks
	channels map[int]*channel
	pending  int    // bytes
	read     uint32 // bytes in all; wraps
}

// channel is one chunk stream.
type channel struct {
	message
	stamp    uint32 // the header's time field, or what stands in its place
	extended bool   // it stands in its place
	length   int
	body     []byte // of the message that has begun
	begun    bool
}

func newChunkReader(r io.Reader) *chunkReader {
	return &chunkReader{r: bufio.NewReaderSize(r, 64<<10), size: 128, channels: map[int]*channel{}}
}

// next returns the next message; its body is the caller's.
func (c *chunkReader) next() (message, error) {
	for {
		m, whole, err := c.chunk()
		if err != nil || whole {
			return m, err
		}
	}
}

func (c *chunkReader) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(c.r, b)
	c.read += uint32(n)
	return b, err
}

// chunk reads one chunk, which may complete a message.
func (c *chunkReader) chunk() (m message, whole bool, err error) {
	format, ch, err := c.basicHeader()
	if err != nil {
		return m, false, err
	}
	if err := c.messageHeader(ch, format); err != nil {
		return m, false, err
	}
	n := min(ch.length-len(ch.body), c.size)
	if c.pending += n; c.pending > maxPending {
		return m, false, errPending
	}
	part, err := c.bytes(n)
	if err != nil {
		return m, false, err
	}
	ch.body = append(ch.body, part...)
	if len(ch.body) < ch.length {
		return m, false, nil
	}
	m = ch.message
	m.body = ch.body
	c.pending -= len(ch.body)
	ch.body, ch.begun = nil, false
	return m, true, c.control(m)
}

// basicHeader reads a chunk's format and its chunk stream (5.3.1.1).
func (c *chunkReader) basicHeader() (format byte, ch *channel, err error) {
	b, err := c.bytes(1)
	if err != nil {
		return 0, nil, err
	}
	format, id := b[0]>>6, int(b[0]&0x3f)
	if id < 2 {
		more, err := c.bytes(id + 1)
		if err != nil {
			return 0, nil, err
		}
		id = 64 + int(more[0])
		if len(more) == 2 {
			id += int(more[1]) << 8
		}
	}
	if ch = c.channels[id]; ch == nil {
		if format > 1 { // it goes by a header that never came
			return 0, nil, errHeader
		}
		if len(c.channels) == maxChannels {
			return 0, nil, errChannels
		}
		ch = &channel{}
		c.channels[id] = ch
	}
	return format, ch, nil
}

// messageHeader reads what a chunk says of its message (5.3.1.2).
func (c *chunkReader) messageHeader(ch *channel, format byte) error {
	if format == 3 {
		if ch.extended {
			if _, err := c.bytes(4); err != nil {
				return err
			}
		}
		if !ch.begun {
			ch.begun = true
			ch.time += ch.stamp
		}
		return nil
	}
	b, err := c.bytes([3]int{11, 7, 3}[format])
	if err != nil {
		return err
	}
	if ch.begun { // the sender gave the message before up
		c.pending -= len(ch.body)
		ch.body = nil
	}
	ch.begun = true
	ch.stamp = uint24(b)
	if format < 2 {
		ch.length, ch.kind = int(uint24(b[3:])), b[6]
	}
	if format == 0 {
		ch.stream = binary.LittleEndian.Uint32(b[7:])
	}
	if ch.extended = ch.stamp == 0xffffff; ch.extended {
		if b, err = c.bytes(4); err != nil {
			return err
		}
		ch.stamp = binary.BigEndian.Uint32(b)
	}
	if format == 0 {
		ch.time = ch.stamp
	} else {
		ch.time += ch.stamp
	}
	return nil
}

// control obeys messages that speak of chunks (5.4).
func (c *chunkReader) control(m message) error {
	if m.kind != kindChunkSize && m.kind != kindAbort {
		return nil
	}
	if len(m.body) < 4 {
		return fmt.Errorf("a control message of %d bytes", len(m.body))
	}
	value := int(binary.BigEndian.Uint32(m.body) & 0x7fffffff)
	if m.kind == kindChunkSize {
		if value == 0 {
			return errors.New("chunks of no size")
		}
		c.size = value
		return nil
	}
	if ch := c.channels[value]; ch != nil {
		c.pending -= len(ch.body)
		ch.body, ch.begun = nil, false
	}
	return nil
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

// appendMessage appends a message in chunks of outChunk bytes.
func appendMessage(b []byte, channel byte, m message) []byte {
	n := len(m.body)
	b = append(b, channel, byte(m.time>>16), byte(m.time>>8), byte(m.time), byte(n>>16), byte(n>>8), byte(n), m.kind)
	b = binary.LittleEndian.AppendUint32(b, m.stream)
	for first := true; first || len(m.body) > 0; first = false {
		if !first {
			b = append(b, 3<<6|channel)
		}
		part := m.body[:min(len(m.body), outChunk)]
		b = append(b, part...)
		m.body = m.body[len(part):]
	}
	return b
}
