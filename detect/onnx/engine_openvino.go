package onnx

import (
	"unsafe"

	"sightline/internal/openvino"
)

type openvinoEngine struct {
	cfg     Config
	lib     *openvino.Library
	release string
	streams int
	hint    string
}

func newOpenVINO(cfg Config) (engine, error) {
	path := findLibrary(openVINO, cfg.LibDirs)
	lib, err := openvino.Open(path)
	if err != nil {
		return nil, missing(openVINO, path, cfg.LibDirs, err)
	}
	release, err := lib.Version()
	if err != nil {
		lib.Close()
		return nil, err
	}
	e := &openvinoEngine{cfg: cfg, lib: lib, release: release, streams: cfg.workers()}
	if cfg.Precision != "auto" && cfg.Precision != "int8" {
		e.hint = cfg.Precision
	}
	return e, nil
}

func (e *openvinoEngine) version() string { return e.release }
func (e *openvinoEngine) Close()          { e.lib.Close() }

func (e *openvinoEngine) compile(model []byte, spec *Spec, shape Shape, rows int) (program, error) {
	o := openvino.Options{Input: spec.Input.Name, Dims: spec.Input.dims(shape, rows), Streams: e.streams, Precision: e.hint}
	kept := e.cached(spec, shape)
	if e.cfg.Cache != "" || kept.kept() {
		o.Cache = kept.Folder
	}
	c, err := e.lib.Compile(model, o)
	if err != nil {
		return nil, err
	}
	if o.Cache != "" && rows == kept.Rows && !kept.kept() { // the last one
		if err := kept.write(); err != nil {
			c.Close()
			return nil, err
		}
	}
	runs, err := c.Precision()
	if err != nil {
		c.Close()
		return nil, err
	}
	return &openvinoProgram{c, runs}, nil
}

type openvinoProgram struct {
	*openvino.Compiled
	runs string
}

func (p *openvinoProgram) precision() string { return p.runs }

func (p *openvinoProgram) request(spec *Spec, shape Shape, rows int, input unsafe.Pointer, outs []unsafe.Pointer) (request, error) {
	var outputs []openvino.Tensor
	for i, o := range spec.family.outputs(shape) {
		outputs = append(outputs, openvino.Tensor{Name: o.name, Data: outs[i], Bytes: rows * o.size() * 4})
	}
	inputs := []openvino.Tensor{{Name: spec.Input.Name, Data: input, Bytes: rows * spec.Input.slot(shape).Size()}}
	r, err := p.NewRequest(inputs, outputs)
	if err != nil {
		return nil, err
	}
	return openvinoRequest{r}, nil
}

type openvinoRequest struct{ *openvino.Request }

func (r openvinoRequest) Run() error { return r.Infer() }
