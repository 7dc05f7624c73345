package snapshots

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync/atomic"

	"sightline/detect"
	"sightline/sink/snapshot"
)

// keeping is a picture on its way to the disk.
type keeping struct {
	event   *detect.Event
	picture *snapshot.Picture
	name    string
	failed  string      // why it was given up
	decided atomic.Bool // by who sets it: written, or no longer waited for
	written chan error  // has room for the answer
}

// keep has pictures written, and notes of each why it was not. For a lossless
// stream that takes as long as it does; else at most diskPatience for all of them,
// and no time while the disk is stuck.
func (a *Album) keep(list []*keeping, lossless bool) {
	if lossless {
		for _, k := range list {
			if a.save(k) != nil {
				k.failed = pictureDisk
			}
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), diskPatience)
	defer cancel()
	for _, k := range list {
		k.written = make(chan error, 1)
		if a.isStuck() {
			k.failed = pictureSlow
			continue
		}
		select {
		case a.jobs <- k:
		default:
			k.failed = pictureSlow
		}
	}
	for _, k := range list {
		if k.failed == "" {
			a.await(ctx, k)
		}
	}
}

func (a *Album) await(ctx context.Context, k *keeping) {
	select {
	case err := <-k.written:
		if err != nil {
			k.failed = pictureDisk
		}
	case <-ctx.Done():
		if !k.decided.CompareAndSwap(false, true) { // it is done this very moment
			a.await(context.Background(), k)
			return
		}
		k.failed = pictureSlow
		a.mu.Lock()
		a.stuck = a.writing > 0
		a.mu.Unlock()
		a.folder.note(fmt.Errorf("a picture was not on disk within %s", diskPatience))
	}
}

func (a *Album) isStuck() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stuck
}

// save writes a picture, and tells those who have to do with the folder.
func (a *Album) save(k *keeping) error {
	err := a.put(k.name, k.picture.JPEG)
	if a.folder.note(err); err != nil {
		return err
	}
	if a.store.Full() {
		signal(a.full)
	}
	if a.bucket != nil {
		a.waiting.Add(1)
		signal(a.fresh)
	}
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write writes pictures until jobs is closed. One that came too late for its event
// is removed again.
func (a *Album) write() {
	for k := range a.jobs {
		if k.decided.Load() {
			continue
		}
		a.mu.Lock()
		a.writing++
		a.mu.Unlock()
		err := a.save(k)
		a.mu.Lock()
		a.writing--
		a.stuck = false
		a.mu.Unlock()
		if !k.decided.CompareAndSwap(false, true) {
			a.store.Drop(k.name)
			continue
		}
		k.written <- err
	}
}

// attach names a picture that was kept in its event.
func (a *Album) attach(k *keeping) {
	sum, p := sha256.Sum256(k.picture.JPEG), k.picture
	k.event.DataRef = a.uri(k.name)
	k.event.Data.Media = &detect.Media{Snapshot: &detect.Snapshot{
		URI: k.event.DataRef, SHA256: hex.EncodeToString(sum[:]), Bytes: len(p.JPEG), Width: p.Width, Height: p.Height,
		Region: p.Region, Frame: p.Frame, Time: p.Time, Blurred: a.cfg.Blur,
	}}
}

// uri is how events name a picture.
func (a *Album) uri(name string) string {
	if a.cfg.S3 != nil {
		return a.cfg.S3.URI(name)
	}
	return name
}
