package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"sightline/sink/verify"
)

// verifyFiles checks files of JSON lines, which follow one another. In faults the
// partition is the file's place among them, from 0, and the offset the line's number.
func verifyFiles(ctx context.Context, sh *shell, names []string, cfg verify.Config) (none verify.Report, err error) {
	checker := verify.New(cfg)
	bar := sh.progress(0, "lines")
	defer bar.Finish()
	for i, name := range names {
		err := eachLine(name, func(line []byte, number int64) error {
			bar.Add(1)
			checker.Add(verify.Message{Topic: names[0], Partition: i, Offset: number, Value: line})
			return ctx.Err()
		})
		if err != nil {
			return none, err
		}
	}
	return checker.Report(), nil
}

// maxLine is longer than any event.
const maxLine = 16 << 20

// eachLine calls fn with every line that is not empty.
func eachLine(name string, fn func(line []byte, number int64) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		unpacked, err := gzip.NewReader(f)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		in = unpacked
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	number := int64(0)
	for lines.Scan() {
		if number++; len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := fn(lines.Bytes(), number); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("read %s: line %d is longer than %d bytes: no file of events", name, number+1, maxLine)
	} else if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
