package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"

	"sightline/sink/snapshot"
)

const (
	copiesAtOnce = 4
	copyBackoff  = time.Second // after the first failure; doubled with each
	copyLongest  = time.Minute
)

// copyAll copies what waits until ctx ends, and again what failed. What waits is
// known by the folder, so it survives a restart. Order does not matter.
func (a *Album) copyAll(ctx context.Context) {
	pause, from := copyBackoff, 0
	for ctx.Err() == nil {
		names, err := a.store.Waiting()
		a.waiting.Store(int64(len(names)))
		if err == nil && len(names) == 0 {
			select {
			case <-a.fresh:
			case <-ctx.Done():
			}
			continue
		}
		if err == nil {
			from, err = a.copyList(ctx, names, from)
		}
		if ctx.Err() != nil {
			return // what was cut off waits for the next run
		}
		if a.far.note(err); err == nil {
			pause = copyBackoff
			continue
		}
		wait := pause - rand.N(pause/2+1)
		if why := (*snapshot.StoreError)(nil); errors.As(err, &why) {
			wait = max(wait, why.Wait)
		}
		pause = min(2*pause, copyLongest)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// copyList copies names, beginning in the middle, so that one that always fails
// does not hold up the others for ever. It ends where several in a row fail, and
// returns where to begin next.
func (a *Album) copyList(ctx context.Context, names []string, from int) (next int, err error) {
	for done := 0; done < len(names) && ctx.Err() == nil; done += copiesAtOnce {
		n := min(copiesAtOnce, len(names)-done)
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { errs[i] = a.copyOne(ctx, names[(from+done+i)%len(names)]) })
		}
		wg.Wait()
		failed := 0
		for _, e := range errs {
			if e != nil {
				failed, err = failed+1, e
			}
		}
		a.failures.Add(uint64(failed))
		a.copied.Add(uint64(n - failed))
		a.waiting.Add(int64(failed - n))
		if failed == n {
			return (from + done + n) % len(names), err
		}
	}
	return 0, err
}

// copyOne copies a picture; one that was removed meanwhile needs no copy.
func (a *Album) copyOne(ctx context.Context, name string) error {
	f, err := a.store.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return a.store.Sent(name)
	}
	if err != nil {
		return fmt.Errorf("copy a picture: %w", err)
	}
	jpeg, err := io.ReadAll(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("copy a picture: %w", err)
	}
	if err := a.bucket.Put(ctx, name, jpeg); err != nil {
		return err
	}
	return a.store.Sent(name)
}
