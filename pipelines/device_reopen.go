package pipelines

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sightline/kernels/cuda"
)

// reopened is a device that was opened again, with its networks loaded.
type reopened struct {
	device  cuda.Device
	engines []*engine // of the detectors, in their order
	err     error     // then there is nothing else
}

// leaveAfter is how long the end of the pipeline waits for a device that is being opened
// again: an engine that TensorRT builds takes minutes, and nothing can cut that short.
const leaveAfter = 3 * time.Second

// reopenUntil is reopen unless ctx ends meanwhile, and leaveAfter after it: then it
// returns false, and whatever there is closed as soon as it is there. What a cache lacks
// of an engine that was left is built anew the next time.
func (g *gpu) reopenUntil(ctx context.Context) (reopened, bool) {
	done := make(chan reopened, 1)
	go func() { done <- g.reopen() }()
	select {
	case back := <-done:
		return back, true
	case <-ctx.Done():
	}
	select {
	case back := <-done:
		return back, true
	case <-time.After(leaveAfter):
	}
	g.log.Warn("GPU is left while it is opened: a network is being compiled for it")
	go func() {
		back := <-done
		if err := back.close(); err != nil {
			g.log.Warn("GPU that was left was not closed", slog.Any("error", err))
		}
	}()
	return reopened{}, false
}

// reopen opens the device and loads its networks.
func (g *gpu) reopen() reopened {
	var back reopened
	if back.device, back.err = g.openDevice(); back.err != nil {
		return reopened{err: back.err}
	}
	for _, d := range g.detectors {
		e, err := d.load(back.device)
		if err != nil {
			return reopened{err: errors.Join(err, back.close())}
		}
		back.engines = append(back.engines, e)
	}
	return back
}

func (r reopened) close() error {
	for _, e := range r.engines {
		e.session.Close()
	}
	if r.device == nil {
		return nil
	}
	return r.device.Close()
}
