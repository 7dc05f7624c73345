package snapshot

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"
)

const (
	sweepAtOnce = 8192      // pictures considered in one pass: its memory does not grow with the folder
	sweptPart   = 20        // a full folder is brought below its limit by one part of so many: room for a while
	leftOver    = time.Hour // after which a file that was being written is not anymore
)

// Full tells whether a sweep would remove pictures for their size.
func (s *Store) Full() bool { return s.bytes.Load() > s.cfg.Max }

// Sweep removes what was written longer than the age ago, and, where the folder is
// larger than it may be, the pictures written first. It reads the whole folder, for
// as long as that takes; nobody waits for it, and Put goes on meanwhile. One
// goroutine at a time. It ends early with ctx. What cannot be removed is passed over,
// not counted, and told in the error.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	for {
		o := &oldest{}
		before := s.bytes.Load()
		total := o.walk(ctx, root, now)
		if err := ctx.Err(); err != nil {
			return err
		}
		s.bytes.Add(total - before)
		removed, err := s.thin(root, o.sorted(), now)
		if err != nil || removed < sweepAtOnce {
			return err
		}
	}
}

// thin removes the pictures that have to go, of some that are given by age. The error
// is the last of those that could not be removed.
func (s *Store) thin(root *os.Root, files []file, now time.Time) (removed int, err error) {
	limit := s.cfg.Max
	if s.Full() {
		limit -= limit / sweptPart
	}
	for _, f := range files {
		reason := &s.expired
		if now.Sub(f.at) <= s.cfg.MaxAge {
			if s.bytes.Load() <= limit {
				break
			}
			reason = &s.outgrown
		}
		unsent, failed := s.remove(root, f.name, f.size)
		if failed != nil {
			if !errors.Is(failed, fs.ErrNotExist) {
				err = fmt.Errorf("snapshots: %w", failed)
			}
			continue // not removed by us: the others may be
		}
		if unsent {
			s.unsent.Add(1)
		}
		reason.Add(1)
		removed++
		stream := path.Dir(f.name) // empty folders go; where another picture has come they stay
		if root.Remove(stream) == nil {
			root.Remove(path.Dir(stream))
		}
	}
	if removed > 0 {
		s.log.Debug("snapshots removed", slog.Int("pictures", removed), slog.Int64("bytes", s.bytes.Load()))
	}
	return removed, err
}

// file is one picture in the folder.
type file struct {
	name string
	size int64
	at   time.Time // when it was written
}

// oldest is the sweepAtOnce oldest of the files that were pushed, the newest on top.
type oldest []file

func (o oldest) Len() int           { return len(o) }
func (o oldest) Less(i, j int) bool { return older(o[j], o[i]) }
func (o oldest) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }
func (o *oldest) Push(f any)        { *o = append(*o, f.(file)) }
func (o *oldest) Pop() any {
	f := (*o)[len(*o)-1]
	*o = (*o)[:len(*o)-1]
	return f
}

func older(a, b file) bool { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.name, b.name)) < 0 }

func (o *oldest) add(f file) {
	switch {
	case len(*o) < sweepAtOnce:
		heap.Push(o, f)
	case older(f, (*o)[0]):
		(*o)[0] = f
		heap.Fix(o, 0)
	}
}

// sorted empties the heap, the oldest first.
func (o *oldest) sorted() []file {
	files := make([]file, len(*o))
	for i := len(files) - 1; i >= 0; i-- {
		files[i] = heap.Pop(o).(file)
	}
	return files
}

// walk adds every picture, returns their size, and removes what writing left over.
// What cannot be read is passed over: it may be gone already.
func (o *oldest) walk(ctx context.Context, root *os.Root, now time.Time) (total int64) {
	fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() {
			return nil
		}
		info, err := d.Info()
		switch {
		case err != nil:
		case strings.HasSuffix(name, partSuffix) && now.Sub(info.ModTime()) > leftOver:
			root.Remove(name)
		case isName(name):
			total += info.Size()
			o.add(file{name, info.Size(), info.ModTime()})
		}
		return nil
	})
	return total
}
