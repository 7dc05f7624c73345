package onnx

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"sightline/decode"
	"sightline/internal/ort"
	"sightline/kernels"
	"sightline/kernels/cuda"
)

// gpuSlots are rows in a GPU's memory. Pictures come in on a stream of the slots' own,
// while another batch is computed; the rest happens on the session's.
type gpuSlots struct {
	plan *gpuPlan
	own  *share

	input      cuda.Memory
	outputs    []cuda.Memory
	candidates cuda.Memory // boxes before suppression
	counts     cuda.Memory // of them, an int32 a row
	wants      cuda.Memory // what counts in each row
	results    cuda.Memory // boxes after it

	wanted, found cuda.Pinned // where wants come from and results go
	mirrors       []mirror    // where the host computes: the input, then the outputs
	runs          map[span]*ort.Binding
	recorded      bool // or tried to: each run as a CUDA graph

	mu   sync.Mutex  // guards fill and what is put into it
	fill cuda.Stream // on which pictures come in
	rows []gpuRow
}

// gpuRow is what one row needs to take pictures; whoever writes the row uses it.
type gpuRow struct {
	staging staging
	last    *passage
	boxes   []kernels.Box
}

// slots are new ones, or first those that tried the plan.
func (p *gpuPlan) slots() (slots, error) {
	if s := p.first; s != nil {
		p.first = nil
		return s, nil
	}
	return p.newSlots()
}

func (p *gpuPlan) newSlots() (_ *gpuSlots, err error) {
	owner := fmt.Sprintf("network %s %s", p.cfg.Name, p.shape)
	s := &gpuSlots{plan: p, own: newShare(p.device, owner), runs: map[span]*ort.Binding{}, rows: make([]gpuRow, p.cfg.MaxBatch)}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.allocate(); err != nil {
		return nil, err
	}
	// Rows that nobody wrote are computed with the others: let them hold numbers.
	if err := s.fill.Fill(s.input.Address(), 0, s.input.Size()); err != nil {
		return nil, err
	}
	if err := s.fill.Synchronize(); err != nil {
		return nil, err
	}
	return s, p.device.Do(s.bindAll)
}

// allocate makes all the memory that does not depend on pictures.
func (s *gpuSlots) allocate() (err error) {
	p, rows := s.plan, len(s.rows)
	if s.fill, err = s.own.stream(); err != nil {
		return err
	}
	classes := len(p.spec.Labels)
	for _, part := range []struct {
		to    *cuda.Memory
		bytes int
	}{
		{&s.input, rows * p.step(p.spec.Input.slot(p.shape).Size())},
		{&s.candidates, rows * p.anchors * kernels.BoxSize},
		{&s.counts, rows * 4},
		{&s.wants, rows * kernels.WantSize(classes)},
		{&s.results, rows * kernels.ResultSize(maxBoxes)},
	} {
		if *part.to, err = s.own.alloc(part.bytes); err != nil {
			return err
		}
	}
	for _, o := range p.outputs {
		m, err := s.own.alloc(rows * p.step(o.size()*4))
		if err != nil {
			return err
		}
		s.outputs = append(s.outputs, m)
	}
	if s.wanted, err = s.own.pinned(rows * kernels.WantSize(classes)); err != nil {
		return err
	}
	s.found, err = s.own.pinned(rows * kernels.ResultSize(maxBoxes))
	return err
}

// settle waits for the pictures that are still read.
func (s *gpuSlots) settle() {
	for i := range s.rows {
		_, _ = s.rows[i].last.over(true) // Run tells of a loss; here frames are released
	}
}

func (s *gpuSlots) Close() {
	s.settle()
	for _, b := range s.runs {
		b.Close()
	}
	var errs []error
	for i := range s.rows {
		errs = append(errs, s.rows[i].staging.free())
	}
	if err := errors.Join(append(errs, s.own.free())...); err != nil {
		s.plan.log.Warn("a batch left something on its GPU", slog.String("model", s.plan.cfg.Name), slog.Any("error", err))
	}
}

// write puts the picture's conversion into the slots' stream, behind the decoder's
// work. It waits only where the row's last picture, or a third one of the same
// writer, is not converted yet.
func (s *gpuSlots) write(row int, w *Writer, f *decode.Frame) (kernels.Letterbox, error) {
	none := kernels.Letterbox{}
	if err := s.plan.device.Err(); err != nil {
		return none, err
	}
	r := &s.rows[row]
	if _, err := r.last.over(true); err != nil {
		return none, err
	}
	switch {
	case f.Memory == decode.Host:
		return s.writeHost(r, row, f)
	case f.GPU != s.plan.device:
		return none, errors.New("it lies in the memory of another device")
	}
	if err := w.held.admit(); err != nil {
		return none, err
	}
	p := &passage{frame: f.Retain()}
	letterbox, err := s.enter(p, row, pictureOf(f), func() error { return s.fill.Wait(f.Ready) })
	if err != nil {
		p.frame.Release()
		return none, err
	}
	r.last = p
	w.held.add(p)
	return letterbox, nil
}

// writeHost takes the picture through pinned memory. The frame is free when it returns.
func (s *gpuSlots) writeHost(r *gpuRow, row int, f *decode.Frame) (kernels.Letterbox, error) {
	none := kernels.Letterbox{}
	sizes, err := planeSizes(f)
	if err != nil {
		return none, err
	}
	bytes := 0
	for _, size := range sizes {
		bytes += size[0] * size[1]
	}
	if err := r.staging.fit(s.plan.device, s.own.owner, bytes); err != nil {
		return none, err
	}
	to := r.staging.pinned.Bytes()[:bytes]
	picture := copyIn(to, f, sizes, r.staging.device.Address())
	p := &passage{}
	letterbox, err := s.enter(p, row, picture, func() error { return s.fill.Upload(r.staging.device.Address(), to) })
	if err != nil {
		return none, err
	}
	r.last = p
	return letterbox, nil
}

// enter launches a picture's conversion behind what before puts into the stream, and
// notes in p when it will be over. After an error nothing reads the picture any more.
func (s *gpuSlots) enter(p *passage, row int, picture *kernels.Picture, before func() error) (kernels.Letterbox, error) {
	slot := s.plan.spec.Input.slot(s.plan.shape)
	launch, letterbox, err := kernels.LaunchPreprocess(slot, picture, s.input.Address()+uint64(row*s.plan.step(slot.Size())))
	if err != nil {
		return letterbox, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err = before(); err == nil {
		err = s.fill.Launch(launch)
	}
	if err == nil {
		p.event, err = s.fill.Record()
	}
	if err != nil {
		_ = s.fill.Synchronize() // nothing tells when what is under way has read the picture
	}
	return letterbox, err
}
