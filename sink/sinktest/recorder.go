// Package sinktest has what tests of sinks and of their users share: a contract
// suite that every sink passes, and a sink that records and fails on demand.
package sinktest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"sightline/sink"
)

// Recorder is a sink that keeps what it accepted. The zero value accepts
// everything. It may be read while it is published to.
type Recorder struct {
	// Answer, when set, decides what becomes of a Publish; calls count from 1.
	// nil accepts all events, a *sink.PartialError all but those it names, any
	// other error none. It may block until ctx ends, or panic to fail a test.
	Answer func(ctx context.Context, call int, events []sink.Record) error

	mu       sync.Mutex
	calls    int
	accepted []sink.Record
	closed   bool
}

var _ sink.Sink = (*Recorder)(nil)

// Publish records what Answer lets it.
func (r *Recorder) Publish(ctx context.Context, events []sink.Record) error {
	r.mu.Lock()
	r.calls++
	call, closed := r.calls, r.closed
	r.mu.Unlock()
	err := ctx.Err()
	switch {
	case closed:
		err = errors.New("recorder is closed")
	case err == nil && r.Answer != nil:
		err = r.Answer(ctx, call, events)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range Accepted(len(events), err) {
		r.accepted = append(r.accepted, events[i])
	}
	return err
}

// Close makes every later Publish fail.
func (r *Recorder) Close(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return nil
}

// Records returns what was accepted so far, in order.
func (r *Recorder) Records() []sink.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.accepted)
}

// Calls is how often Publish was called.
func (r *Recorder) Calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// Accepted returns the indices of n published events that err does not deny.
func Accepted(n int, err error) []int {
	var partial *sink.PartialError
	if err != nil && !errors.As(err, &partial) {
		return nil
	}
	var out []int
	for i := range n {
		if partial == nil || !slices.Contains(partial.Failed, i) && !slices.Contains(partial.Refused, i) {
			out = append(out, i)
		}
	}
	return out
}
