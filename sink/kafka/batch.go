package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/sink"
)

// Offsets in a record batch of message format 2, which Kafka has had since 0.11:
// https://kafka.apache.org/documentation/#recordbatch
const (
	atLength       = 8 // of what follows it
	atLeaderEpoch  = 12
	atMagic        = 16
	atChecksum     = 17 // of what follows it
	atAttributes   = 21
	atLastOffset   = 23
	atFirstTime    = 27
	atMaxTime      = 35
	atProducer     = 43 // id, epoch and first sequence: -1, not idempotent
	atCount        = 57
	sizeBatch      = 61
	sizeSize       = 4
	sizeProducer   = 8 + 2 + 4
	formatVersion  = 2
	noProducerByte = 0xff
)

// batcher makes record batches. Its buffers serve one request at a time.
type batcher struct {
	out     []byte
	records []byte       // of the batch under way, where they are to be compressed
	packed  bytes.Buffer // the same, compressed
}

// add appends a batch of the messages, at least one, to b.out, its size in front as
// a produce request has it. It is made here and
// not by the client library because headers and values go straight to where they are
// sent from: that is most of the work of a producer.
func (b *batcher) add(messages []message, compression kafkago.Compression, stamp func(*message) time.Time) error {
	start := len(b.out) + sizeSize
	b.out = append(b.out, make([]byte, sizeSize+sizeBatch)...)
	first, newest := stamp(&messages[0]).UnixMilli(), int64(0)
	records := &b.out
	if compression != 0 {
		b.records = b.records[:0]
		records = &b.records
	}
	for i := range messages {
		at := stamp(&messages[i]).UnixMilli()
		newest = max(newest, at)
		*records = appendRecord(*records, &messages[i], at-first, int64(i))
	}
	if compression != 0 {
		if err := b.compress(compression); err != nil {
			return err
		}
	}
	batch := b.out[start:]
	put := binary.BigEndian
	put.PutUint32(b.out[start-sizeSize:], uint32(len(batch)))
	put.PutUint32(batch[atLength:], uint32(len(batch)-atLeaderEpoch))
	put.PutUint32(batch[atLeaderEpoch:], 1<<32-1) // -1: not known to a producer
	batch[atMagic] = formatVersion
	put.PutUint16(batch[atAttributes:], uint16(compression))
	put.PutUint32(batch[atLastOffset:], uint32(len(messages)-1))
	put.PutUint64(batch[atFirstTime:], uint64(first))
	put.PutUint64(batch[atMaxTime:], uint64(newest))
	for i := range sizeProducer {
		batch[atProducer+i] = noProducerByte
	}
	put.PutUint32(batch[atCount:], uint32(len(messages)))
	put.PutUint32(batch[atChecksum:], crc32.Checksum(batch[atAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return nil
}

// compress appends b.records to b.out.
func (b *batcher) compress(c kafkago.Compression) error {
	b.packed.Reset()
	w := c.Codec().NewWriter(&b.packed)
	_, err := w.Write(b.records)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("compress with %s: %w", c, err)
	}
	b.out = append(b.out, b.packed.Bytes()...)
	return nil
}

// appendRecord appends one record: https://kafka.apache.org/documentation/#record
func appendRecord(dst []byte, m *message, timeDelta, offsetDelta int64) []byte {
	size := 1 + varintSize(timeDelta) + varintSize(offsetDelta) +
		varintSize(int64(len(m.key))) + len(m.key) + varintSize(int64(len(m.value))) + len(m.value) + len(m.headers)
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0) // attributes: none are defined
	dst = binary.AppendVarint(dst, timeDelta)
	dst = binary.AppendVarint(dst, offsetDelta)
	dst = binary.AppendVarint(dst, int64(len(m.key)))
	dst = append(dst, m.key...)
	dst = binary.AppendVarint(dst, int64(len(m.value)))
	dst = append(dst, m.value...)
	return append(dst, m.headers...)
}

// appendHeaders appends the headers of the record's message: the media type of its
// value and the event's attributes, after their number.
func appendHeaders(dst []byte, r sink.Record, content string) []byte {
	at, count := len(dst), 1
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, int64(len(contentType)))
	dst = append(dst, contentType...)
	dst = binary.AppendVarint(dst, int64(len(content)))
	dst = append(dst, content...)
	var room [64]byte
	sink.VisitAttributes(r, room[:0], func(key string, value []byte) {
		if key == "ce_datacontenttype" && content == sink.DataType {
			return // it is content-type
		}
		dst = binary.AppendVarint(dst, int64(len(key)))
		dst = append(dst, key...)
		dst = binary.AppendVarint(dst, int64(len(value)))
		dst = append(dst, value...)
		count++
	})
	dst[at] = byte(count << 1) // a varint of one byte: there are fewer than 64
	return dst
}

const contentType = "content-type"

// varintSize is how many bytes binary.AppendVarint takes.
func varintSize(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for ; u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
