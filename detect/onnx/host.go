package onnx

import (
	"fmt"
	"unsafe"

	"sightline/decode"
	"sightline/kernels"
)

// host computes on the CPU, in host memory, with one of the engines.
type host struct {
	cfg     Config
	spec    *Spec
	name    string
	runs    engine
	refused []error
}

func openHost(cfg Config, spec *Spec) (backend, error) {
	h := &host{cfg: cfg, spec: spec}
	var err error
	h.name, h.runs, h.refused, err = openEngine(cfg)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (h *host) engine() string    { return h.name }
func (h *host) version() string   { return h.runs.version() }
func (h *host) refusals() []error { return h.refused }
func (h *host) workers() int      { return h.cfg.workers() }
func (h *host) batches() int      { return 1 }
func (h *host) Close()            { h.runs.Close() }

func (h *host) cached(shape Shape) (cached, ok bool) {
	e, ok := h.runs.(*openvinoEngine)
	return ok && e.cached(h.spec, shape).kept(), ok
}

// prepare compiles programs for as many rows as gain something in one run.
func (h *host) prepare(model []byte, shape Shape) (plan, error) {
	p := &hostPlan{host: h, shape: shape, outputs: h.spec.family.outputs(shape)}
	for rows := 1; rows <= min(h.spec.Input.Chunk, h.cfg.MaxBatch); rows++ {
		program, err := h.runs.compile(model, h.spec, shape, rows)
		if err != nil {
			p.Close()
			return nil, err
		}
		p.programs = append(p.programs, program)
	}
	return p, nil
}

type hostPlan struct {
	*host
	shape    Shape
	outputs  []output
	programs []program // programs[n-1] takes n pictures at a time
}

func (p *hostPlan) precision() string { return p.programs[0].precision() }

func (p *hostPlan) Close() {
	for _, program := range p.programs {
		program.Close()
	}
}

func (p *hostPlan) slots() (slots, error) {
	s := &hostSlots{
		plan: p, input: p.spec.Input.slot(p.shape).Size(), found: make([][]kernels.Box, p.cfg.MaxBatch), runs: map[span]request{},
	}
	const align = 64
	end := (s.input*len(s.found) + align - 1) / align * align
	for _, o := range p.outputs {
		s.offsets = append(s.offsets, end)
		end += (o.size()*4*len(s.found) + align - 1) / align * align
	}
	var err error
	if s.memory, err = newBlock(end); err != nil {
		return nil, err
	}
	return s, nil
}

// hostSlots are rows in host memory.
type hostSlots struct {
	plan    *hostPlan
	memory  *block
	offsets []int           // where each output's rows begin in memory; the input is at 0
	input   int             // bytes of an input row
	found   [][]kernels.Box // by row, used again from picture to picture
	runs    map[span]request
}

// span is which rows a request covers.
type span struct{ first, rows int }

func (s *hostSlots) settle() {}

func (s *hostSlots) Close() {
	for _, r := range s.runs {
		r.Close()
	}
	s.memory.free()
}

func (s *hostSlots) write(row int, w *Writer, f *decode.Frame) (kernels.Letterbox, error) {
	if f.Memory != decode.Host {
		return kernels.Letterbox{}, fmt.Errorf("it is not in host memory (kind %d)", f.Memory)
	}
	pre, err := w.preprocess(s.plan.shape)
	if err != nil {
		return kernels.Letterbox{}, err
	}
	return pre.Run(unsafe.Pointer(&s.memory.bytes[row*s.input]), pictureOf(f))
}

func (s *hostSlots) run(rows []row) error {
	for first := 0; first < len(rows); {
		n := min(len(s.plan.programs), len(rows)-first)
		r, err := s.request(span{first, n})
		if err == nil {
			err = r.Run()
		}
		if err != nil {
			return err
		}
		first += n
	}
	return nil
}

// request returns the request for a span of rows, made at its first use.
func (s *hostSlots) request(at span) (request, error) {
	if r, ok := s.runs[at]; ok {
		return r, nil
	}
	var outs []unsafe.Pointer
	for i, o := range s.plan.outputs {
		outs = append(outs, unsafe.Pointer(&s.memory.bytes[s.offsets[i]+at.first*o.size()*4]))
	}
	program := s.plan.programs[at.rows-1]
	r, err := program.request(s.plan.spec, s.plan.shape, at.rows, unsafe.Pointer(&s.memory.bytes[at.first*s.input]), outs)
	if err == nil {
		s.runs[at] = r
	}
	return r, err
}

func (s *hostSlots) warm() error {
	for n := range s.plan.programs {
		r, err := s.request(span{0, n + 1})
		if err == nil {
			err = r.Run()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// values are the outputs of one row.
func (s *hostSlots) values(row int) [][]float32 {
	var all [][]float32
	for i, o := range s.plan.outputs {
		start := s.offsets[i] + row*o.size()*4
		all = append(all, unsafe.Slice((*float32)(unsafe.Pointer(&s.memory.bytes[start])), o.size()))
	}
	return all
}

func (s *hostSlots) boxes(row int, w *Writer) ([]kernels.Box, error) {
	found, err := s.plan.spec.family.decode(s.values(row), s.plan.shape, w.wanted, w.threshold, s.found[row][:0])
	if err != nil {
		return nil, err
	}
	s.found[row] = found
	return kernels.NMS(found, overlapOf(s.plan.spec.family), w.groups, maxBoxes)
}
