package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sightline/decode"
	"sightline/detect"
)

// ErrStreamFailed says that the pipeline finished but a stream of it failed.
var ErrStreamFailed = errors.New("a stream failed")

// ErrUndelivered says that the pipeline finished but events were lost or not
// delivered.
var ErrUndelivered = errors.New("events were not delivered")

// Run works until all streams have ended or ctx ends, then drains what is under
// way within the pipeline's drain timeout and closes everything. It is called
// once. The error wraps ErrStreamFailed or ErrUndelivered, or both.
func (p *Pipeline) Run(ctx context.Context) error {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(p.spec.DrainTimeout, cancel)
	})
	defer stop()
	p.hard = hard
	p.adviseSpools()

	var deliveries, workers, streams sync.WaitGroup
	undelivered := make([]error, len(p.outlets))
	for i, d := range p.outlets {
		deliveries.Go(func() { undelivered[i] = d.Run(hard) })
	}
	if p.snapshots != nil {
		deliveries.Go(func() { p.snapshots.Run(hard) })
	}
	for _, d := range p.detectors {
		d.start()
	}
	working, idle := context.WithCancel(hard)
	workers.Go(func() { tidy(working) })
	for _, g := range p.gpus {
		workers.Go(func() { g.attend(working) })
	}
	workers.Go(func() { p.makers.Run(working) })
	p.running.Store(true)
	failures := make([]error, len(p.streams))
	for i, s := range p.streams {
		streams.Go(func() {
			if err := s.runWith(ctx); err != nil {
				failures[i] = fmt.Errorf("stream %s: %w: %w", s.name, ErrStreamFailed, err)
			}
		})
	}
	streams.Wait()
	idle()
	p.running.Store(false)
	workers.Wait()
	for _, d := range p.detectors {
		d.stop()
	}
	p.drain(hard)
	cancel() // what is still undelivered is given up
	deliveries.Wait()
	return errors.Join(errors.Join(failures...), p.losses(undelivered), p.Close())
}

// tidyEvery is how often memory that decoders and engines freed goes back to the
// system: pictures and network buffers of many sizes leave holes, which would
// otherwise add up to megabytes an hour.
const tidyEvery = time.Minute

func tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			decode.Trim()
		case <-ctx.Done():
			return
		}
	}
}

// drain waits until the sinks have taken what there is, at most drain_timeout.
func (p *Pipeline) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.spec.DrainTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, o := range p.outlets {
		wg.Go(func() { o.Drain(ctx) }) // Run tells what was left
	}
	if p.snapshots != nil {
		wg.Go(func() { p.snapshots.Drain(ctx) })
	}
	wg.Wait()
}

// losses says which sinks did not get everything.
func (p *Pipeline) losses(undelivered []error) error {
	var errs []error
	for i, o := range p.outlets {
		lost := o.Lost()
		switch {
		case undelivered[i] != nil:
			errs = append(errs, fmt.Errorf("sink %s: %w: %w", o.cfg.Name, ErrUndelivered, undelivered[i]))
		case lost > 0:
			errs = append(errs, fmt.Errorf("sink %s: %w: %d events were given up", o.cfg.Name, ErrUndelivered, lost))
		}
	}
	return errors.Join(errs...)
}

// Close gives back what New opened. Run does so itself; it is for a pipeline that
// was never run.
func (p *Pipeline) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	for _, d := range p.outlets {
		errs = append(errs, d.Queue.Close(), d.sink.Close(ctx))
	}
	for _, s := range p.streams {
		if s.lane.writer != nil {
			s.lane.writer.Close()
		}
		s.shadow.close()
	}
	p.makers.Close()
	for _, d := range p.detectors {
		d.close()
	}
	for _, g := range p.gpus {
		errs = append(errs, g.close())
	}
	if p.snapshots != nil {
		errs = append(errs, p.snapshots.Close())
	}
	if p.broker != nil {
		p.broker.Close()
	}
	if p.ports != nil {
		errs = append(errs, p.ports.Close())
	}
	decode.Trim() // what networks took, tens of megabytes
	return errors.Join(errs...)
}

// emit hands a stream's events to every sink and watcher. It blocks where a sink
// of a pipeline that must lose nothing is full.
func (p *Pipeline) emit(events []detect.Event, recorded time.Time) {
	for i := range events {
		ev := &events[i]
		ev.Recorded = recorded
		p.counts.event(ev.Type)
		p.tally.Add(ev)
		if p.onEvent != nil {
			p.onEvent(ev)
		}
		p.events.publish(func() *detect.Event { return ev })
		for _, o := range p.outlets {
			if err := o.Offer(p.hard, ev); err != nil {
				p.log.Debug("event not taken", slog.String("sink", o.cfg.Name), slog.Any("error", err))
			}
		}
	}
}
