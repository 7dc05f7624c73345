package pipelines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"sightline/sink"
)

// DeadLetterConfig says where events go that a destination will never take.
type DeadLetterConfig struct {
	Path string // of the file; "" keeps none: such events are counted and logged alone
	Max  int64  // bytes of the file before it makes room for a new one; 0: 64 MiB
	// Tries after which an event that fails while others get through is given up;
	// 0: never, it holds back its own key alone.
	Tries int
}

// deadLetter is one line of the file.
type deadLetter struct {
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

// newDeadLetter makes the line of an event that has been tried so often.
func newDeadLetter(sinkName string, r sink.Record, tries int, why error, at time.Time) (deadLetter, error) {
	event, err := sink.AppendStructured(nil, r)
	reason := why.Error()
	if len(reason) > maxReason {
		reason = reason[:maxReason]
		for !utf8.ValidString(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	return deadLetter{
		Time: at.UTC(), Sink: sinkName, Reason: strings.ToValidUTF8(reason, "\ufffd"), Tries: tries,
		Topic: r.Topic, Key: r.PartitionKey(), Event: event,
	}, err
}

// deadLetters appends to a file of dead letters and, when it is full, puts it in the
// place of the one before it. It opens the file at the first letter and again after
// an error. One goroutine at a time.
type deadLetters struct {
	cfg  DeadLetterConfig
	log  *slog.Logger
	file *os.File
	size int64 // of whole lines
	lost uint64
}

// write puts the letters on disk, all or none; it returns after they are synced.
func (d *deadLetters) write(letters []deadLetter) error {
	if d.cfg.Path == "" {
		return errors.New("no dead_letter file is configured")
	}
	var lines bytes.Buffer
	for _, l := range letters {
		text, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("write a dead letter: %w", err)
		}
		lines.Write(append(text, '\n'))
	}
	err := d.append(lines.Bytes())
	if err != nil {
		d.close()
		return fmt.Errorf("write to the dead letters %s: %w", d.cfg.Path, err)
	}
	return nil
}

func (d *deadLetters) append(lines []byte) error {
	if err := d.open(); err != nil {
		return err
	}
	if d.size > 0 && d.size+int64(len(lines)) > d.cfg.Max {
		if err := d.rotate(); err != nil {
			return err
		}
	}
	if _, err := d.file.WriteAt(lines, d.size); err != nil {
		return errors.Join(err, d.file.Truncate(d.size))
	}
	if err := d.file.Sync(); err != nil {
		return err
	}
	d.size += int64(len(lines))
	return nil
}

// open opens the file and cuts off half a line that a crash has left: who wrote it
// still has the event.
func (d *deadLetters) open() error {
	if d.file != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(d.cfg.Path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(d.cfg.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	whole, err := wholeLines(f)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err == nil {
		err = syncFolder(d.cfg.Path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	d.file, d.size = f, whole
	return nil
}

// wholeLines is the size of f up to its last line feed.
func wholeLines(f *os.File) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	block := make([]byte, 64<<10)
	for end > 0 && err == nil {
		start := max(0, end-int64(len(block)))
		var n int
		n, err = f.ReadAt(block[:end-start], start)
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, err
}

// rotate makes room: the full file becomes the older one, whose letters are gone.
func (d *deadLetters) rotate() error {
	older := d.cfg.Path + ".1"
	n, err := countLines(older)
	if err != nil {
		return err
	}
	d.close()
	if err := os.Rename(d.cfg.Path, older); err != nil {
		return err
	}
	if d.lost += n; n > 0 {
		d.log.Error("the oldest dead letters are gone: both files were full", "events", n, "path", older, "limit_bytes", d.cfg.Max)
	}
	return d.open()
}

func countLines(path string) (n uint64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		k, err := f.Read(block)
		n += uint64(bytes.Count(block[:k], []byte{'\n'}))
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// syncFolder puts the names in the folder of path on disk.
func syncFolder(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// close closes the file; the next letter opens it again.
func (d *deadLetters) close() {
	if d.file != nil {
		d.file.Close()
	}
	d.file, d.size = nil, 0
}
