package onnx

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"sightline/internal/ort"
	"sightline/kernels"
	"sightline/kernels/cuda"
)

// mirror is device memory as the host computes over it: the same bytes where the host
// sees them, else pinned memory that they are copied to and from.
type mirror struct {
	device cuda.Memory
	host   unsafe.Pointer
	pinned cuda.Pinned // nil where host is the device's own memory
}

func (s *gpuSlots) mirror(m cuda.Memory) (mirror, error) {
	if host := m.HostAddress(); host != nil {
		return mirror{device: m, host: host}, nil
	}
	pinned, err := s.own.pinned(m.Size())
	if err != nil {
		return mirror{}, err
	}
	return mirror{m, unsafe.Pointer(unsafe.SliceData(pinned.Bytes())), pinned}, nil
}

// bindAll ties a run to each bucket, or to each row where the network takes one
// picture only.
func (s *gpuSlots) bindAll() error {
	if !s.plan.direct {
		for _, m := range append([]cuda.Memory{s.input}, s.outputs...) {
			twin, err := s.mirror(m)
			if err != nil {
				return err
			}
			s.mirrors = append(s.mirrors, twin)
		}
	}
	spans := s.plan.spans(len(s.rows))
	if len(spans) == 1 {
		spans = nil
		for _, n := range s.plan.buckets {
			spans = append(spans, span{0, n})
		}
	}
	for _, at := range spans {
		if err := s.bind(at); err != nil {
			return err
		}
	}
	return nil
}

func (s *gpuSlots) bind(at span) error {
	p := s.plan
	in := p.spec.Input
	inputs := []ort.Tensor{{Name: in.Name, Type: in.element(), Dims: in.dims(p.shape, at.rows)}}
	s.place(&inputs[0], 0, s.input, at.first*p.step(in.slot(p.shape).Size()))
	var outputs []ort.Tensor
	for i, o := range p.outputs {
		t := ort.Tensor{Name: o.name, Type: ort.Float32, Dims: []int64{int64(at.rows)}}
		for _, d := range o.dims {
			t.Dims = append(t.Dims, int64(d))
		}
		s.place(&t, i+1, s.outputs[i], at.first*p.step(o.size()*4))
		outputs = append(outputs, t)
	}
	b, err := p.session.NewBinding(inputs, outputs)
	if err != nil {
		return err
	}
	s.runs[at] = b
	if !p.direct {
		return nil
	}
	// Run returns when the work is on the stream: nothing waits but the end of it all.
	if err := b.SetOption(ort.Unsynchronized, "1"); err != nil || !p.graphed {
		return err
	}
	return b.SetOption(ort.GraphID, ort.NoGraph)
}

// place says where a tensor lies: offset bytes into memory, the one with that number
// among the mirrors.
func (s *gpuSlots) place(t *ort.Tensor, number int, memory cuda.Memory, offset int) {
	if s.plan.direct {
		t.Memory, t.Address = s.plan.memory, memory.Address()+uint64(offset)
		return
	}
	t.Data = unsafe.Add(s.mirrors[number].host, offset)
}

// warm runs every binding, as providers of GPUs allocate and choose at the first run, and
// has CUDA graphs recorded. To the CPU's one run is as good as the other.
func (s *gpuSlots) warm() error {
	record := s.plan.graphed && !s.recorded
	times := 1
	if record {
		times = settling
	}
	err := s.whole(func() error {
		for range times {
			for at := range s.runs {
				if !s.plan.direct && at != (span{0, 1}) {
					continue
				}
				if err := s.compute(at); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil || !record {
		return err
	}
	s.recorded = true
	return s.record()
}

// settling is how often runs are made before they are recorded, amid which ONNX Runtime
// must not allocate: what it keeps grows in the second run still, when it knows how much
// the first one took. The two runs of its own before each recording were seen not to be
// enough with an arena that grows by no more than is asked for, as ours does.
const settling = 2

// record has each run recorded as a CUDA graph. One that cannot be goes on without.
func (s *gpuSlots) record() error {
	for at, run := range s.runs {
		compute := func() error { return s.compute(at) }
		if err := run.SetOption(ort.GraphID, strconv.Itoa(s.plan.nextGraph())); err != nil {
			return err
		}
		err := s.whole(compute)
		if err == nil {
			s.plan.gpu.record(1)
			continue
		}
		if errors.Is(err, cuda.ErrLost) {
			return err
		}
		s.plan.refuse(fmt.Errorf("a CUDA graph of %d pictures: %w", at.rows, err))
		if err := run.SetOption(ort.GraphID, ort.NoGraph); err != nil {
			return err
		}
		if err := s.whole(compute); err != nil {
			return err
		}
	}
	return nil
}

// whole puts work into the session's stream, one batch's at a time, and waits for it.
func (s *gpuSlots) whole(work func() error) error {
	g := s.plan.gpu
	g.running.Lock()
	defer g.running.Unlock()
	err := g.do(func() error {
		if err := work(); err != nil {
			return err
		}
		return g.compute.Synchronize()
	})
	if err != nil {
		_ = g.compute.Synchronize() // whatever is under way uses this batch's memory
	}
	return g.device.Fault(err)
}

// run computes everything on the session's stream, behind the pictures' conversion,
// and waits once, for the boxes.
func (s *gpuSlots) run(rows []row) error {
	err := s.whole(func() error {
		if err := s.join(); err != nil {
			return err
		}
		for _, at := range s.plan.spans(len(rows)) {
			if err := s.compute(at); err != nil {
				return err
			}
		}
		return s.decode(rows)
	})
	if err == nil {
		s.settle()
	}
	return err
}

// join makes the session's stream wait for the pictures.
func (s *gpuSlots) join() error {
	s.mu.Lock()
	filled, err := s.fill.Record()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer filled.Close()
	return s.plan.compute.Wait(filled)
}

// compute puts a run of the network into the stream, or, where the CPU computes,
// waits for what is in it and runs the network at once.
func (s *gpuSlots) compute(at span) error {
	p := s.plan
	if p.direct {
		return s.runs[at].Run()
	}
	in := p.spec.Input.slot(p.shape).Size()
	if err := s.copyRows(s.mirrors[0], at, in, false); err != nil {
		return err
	}
	if err := p.gpu.compute.Synchronize(); err != nil {
		return err
	}
	if err := s.runs[at].Run(); err != nil {
		return err
	}
	for i, o := range p.outputs {
		if err := s.copyRows(s.mirrors[i+1], at, o.size()*4, true); err != nil {
			return err
		}
	}
	return nil
}

// copyRows copies rows of so many bytes between a mirror's pinned memory and the GPU.
func (s *gpuSlots) copyRows(m mirror, at span, bytes int, up bool) error {
	if m.pinned == nil {
		return nil
	}
	from, n := at.first*s.plan.step(bytes), at.rows*bytes
	host, address := m.pinned.Bytes()[from:from+n], m.device.Address()+uint64(from)
	if up {
		return s.plan.gpu.compute.Upload(address, host)
	}
	return s.plan.gpu.compute.Download(host, address)
}

// decode puts all that follows the network into the stream: candidates, their
// suppression, and the way of what is left to the host.
func (s *gpuSlots) decode(rows []row) error {
	p, stream := s.plan, s.plan.gpu.compute
	classes := len(p.spec.Labels)
	size := kernels.WantSize(classes)
	for i, r := range rows {
		kernels.PutWant(s.wanted.Bytes()[i*size:(i+1)*size], classes, r.writer.wanted, r.writer.threshold)
	}
	to := kernels.Candidates{
		Rows: len(rows), Classes: classes, Room: p.anchors,
		Boxes: s.candidates.Address(), Counts: s.counts.Address(), Wants: s.wants.Address(),
	}
	launches := append(s.decoding(to), to.LaunchNMS(kernels.Suppression{
		Overlap: overlapOf(p.spec.family), Groups: p.groups.Address(), NumGroups: classes, Limit: maxBoxes, Results: s.results.Address(),
	}))
	if err := stream.Upload(s.wants.Address(), s.wanted.Bytes()[:len(rows)*size]); err != nil {
		return err
	}
	if err := stream.Fill(s.counts.Address(), 0, len(rows)*4); err != nil {
		return err
	}
	for _, l := range launches {
		if err := stream.Launch(l); err != nil {
			return err
		}
	}
	return stream.Download(s.found.Bytes()[:len(rows)*kernels.ResultSize(maxBoxes)], s.results.Address())
}

// decoding are the launches that find candidates: for all rows at once, or for one
// after the other where a network of one picture has left them apart.
func (s *gpuSlots) decoding(to kernels.Candidates) (all []kernels.Launch) {
	p, step := s.plan, 1
	if !p.single() {
		step = to.Rows
	}
	for row := 0; row < to.Rows; row += step {
		var values []uint64
		for i, o := range p.outputs {
			values = append(values, s.outputs[i].Address()+uint64(row*p.step(o.size()*4)))
		}
		part := to
		part.Rows = step
		part.Boxes += uint64(row * to.Room * kernels.BoxSize)
		part.Counts += uint64(row * 4)
		part.Wants += uint64(row * kernels.WantSize(to.Classes))
		all = append(all, p.spec.family.launches(values, p.shape, part)...)
	}
	return all
}

func (s *gpuSlots) boxes(row int, _ *Writer) ([]kernels.Box, error) {
	if err := s.plan.device.Err(); err != nil {
		return nil, fmt.Errorf("read detections: %w", err)
	}
	size := kernels.ResultSize(maxBoxes)
	found, err := kernels.ReadResult(s.found.Bytes()[row*size:(row+1)*size], s.rows[row].boxes[:0])
	s.rows[row].boxes = found
	return found, err
}
