package delivery

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
)

// letterFile appends to a file of dead letters and, when it is full, puts it in the
// place of the one before it. It opens the file at the first letter and again after
// an error. One goroutine at a time.
type letterFile struct {
	cfg  Letters
	log  *slog.Logger
	file *os.File
	size int64 // of whole lines
	lost uint64
}

// write puts the letters on disk, all or none; it returns after they are synced.
func (f *letterFile) write(letters []letter) error {
	if f.cfg.Path == "" {
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
	err := f.append(lines.Bytes())
	if err != nil {
		f.close()
		return fmt.Errorf("write to the dead letters %s: %w", f.cfg.Path, err)
	}
	return nil
}

func (f *letterFile) append(lines []byte) error {
	if err := f.open(); err != nil {
		return err
	}
	if f.size > 0 && f.size+int64(len(lines)) > f.cfg.Max {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if _, err := f.file.WriteAt(lines, f.size); err != nil {
		return errors.Join(err, f.file.Truncate(f.size))
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.size += int64(len(lines))
	return nil
}

// open opens the file and cuts off half a line that a crash has left: who wrote it
// still has the event.
func (f *letterFile) open() error {
	if f.file != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.cfg.Path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(f.cfg.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	whole, err := wholeLines(file)
	if err == nil {
		err = file.Truncate(whole)
	}
	if err == nil {
		err = syncFolder(f.cfg.Path)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.size = file, whole
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
func (f *letterFile) rotate() error {
	older := f.cfg.Path + ".1"
	n, err := countLines(older)
	if err != nil {
		return err
	}
	f.close()
	if err := os.Rename(f.cfg.Path, older); err != nil {
		return err
	}
	if f.lost += n; n > 0 {
		f.log.Error("the oldest dead letters are gone: both files were full", "events", n, "path", older, "limit_bytes", f.cfg.Max)
	}
	return f.open()
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
func (f *letterFile) close() {
	if f.file != nil {
		f.file.Close()
	}
	f.file, f.size = nil, 0
}
