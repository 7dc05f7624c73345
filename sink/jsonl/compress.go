package jsonl

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	portion    = 4 << 20 // compressed after one Publish, so that none waits for long
	unfinished = ".tmp"
)

// tidy compresses a portion of what was ended. What a crash leaves unfinished is begun
// again.
func (t *turns) tidy() {
	if t.Compress != Gzip || t.idle {
		return
	}
	if t.job == nil {
		t.begin()
	}
	if t.job == nil {
		return
	}
	done, err := t.job.step(portion)
	switch {
	case err != nil:
		t.log.Error("cannot compress a file: it stays as it is", "path", t.job.from.Name(), "error", err)
		t.job.abandon()
		t.job, t.idle = nil, true // until the next file is ended
	case done:
		t.job = nil
	}
}

// begin takes the oldest file that is not compressed.
func (t *turns) begin() {
	for _, path := range t.ended() {
		if strings.HasSuffix(path, ".gz") {
			continue
		}
		job, err := compress(path)
		if err == nil {
			t.job = job
			return
		}
		t.log.Error("cannot compress a file: it stays as it is", "path", path, "error", err)
		break
	}
	t.idle = true
}

// compression is of one file.
type compression struct {
	from, to *os.File
	zip      *gzip.Writer
}

func compress(path string) (*compression, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	to, err := os.Create(path + ".gz" + unfinished)
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	return &compression{from, to, gzip.NewWriter(to)}, nil
}

// step compresses up to n bytes more. When all is done the compressed file is on disk
// and has its name, and the plain one is gone.
func (c *compression) step(n int64) (done bool, err error) {
	if _, err = io.CopyN(c.zip, c.from, n); !errors.Is(err, io.EOF) {
		return false, err
	}
	if err := errors.Join(c.zip.Close(), c.to.Sync(), c.to.Close()); err != nil {
		return false, err
	}
	plain := c.from.Name()
	if err := os.Rename(c.to.Name(), plain+".gz"); err != nil {
		return false, err
	}
	if err := syncFolder(filepath.Dir(plain)); err != nil {
		return false, err
	}
	return true, errors.Join(os.Remove(plain), c.from.Close())
}

// abandon gives up and leaves the plain file.
func (c *compression) abandon() {
	c.to.Close() // perhaps again
	c.from.Close()
	os.Remove(c.to.Name()) // else it is overwritten the next time
}
