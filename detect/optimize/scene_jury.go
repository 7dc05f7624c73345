package optimize

import (
	"os"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// jury holds networks against what the original found on some pictures.
type jury struct {
	s        *specialist
	frames   []*decode.Frame
	cfg      LookerConfig
	original [][]detect.Detection
}

// newJury lets the original look at the frames, at the size of the pictures as they
// are looked at before anything is made smaller.
func (s *specialist) newJury(frames []*decode.Frame, engine, precision string, least float64) (*jury, error) {
	j := &jury{s: s, frames: frames, cfg: LookerConfig{
		Model: s.c.Model, Engine: engine, Precision: precision, Input: s.shape.String(), Classes: s.c.Classes, LibDirs: s.c.LibDirs, Least: least,
	}}
	var err error
	j.original, err = j.see(s.c.Model, s.shape)
	return j, err
}

// see is what the network in a file finds.
func (j *jury) see(path string, shape onnx.Shape) ([][]detect.Detection, error) {
	cfg := j.cfg
	cfg.Model, cfg.Input = path, shape.String()
	l, err := NewLooker(cfg, j.frames[0], j.s.log)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	found := make([][]detect.Detection, len(j.frames))
	for i, f := range j.frames {
		if err := j.s.ctx.Err(); err != nil {
			return nil, err
		}
		if found[i], _, err = l.Look(f); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// ask is what a network finds.
func (j *jury) ask(m *graph.Model, shape onnx.Shape) ([][]detect.Detection, error) {
	path, err := temporary(m.Write())
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	return j.see(path, shape)
}

// try holds a network against the original, and times it shortly: the gate takes
// more care.
func (j *jury) try(m *graph.Model, shape onnx.Shape) (agree Agreement, speedup float64, err error) {
	const raced = 8 // pictures
	path, err := temporary(m.Write())
	if err != nil {
		return agree, 0, err
	}
	defer os.Remove(path)
	found, err := j.see(path, shape)
	if err != nil {
		return agree, 0, err
	}
	cfg := j.cfg
	cfg.Model, cfg.Input = path, shape.String()
	is, err := NewLooker(cfg, j.frames[0], j.s.log)
	if err != nil {
		return agree, 0, err
	}
	defer is.Close()
	cfg.Model, cfg.Input = j.s.c.Model, "model"
	was, err := NewLooker(cfg, j.frames[0], j.s.log)
	if err != nil {
		return agree, 0, err
	}
	defer was.Close()
	race, err := NewRace(was, is, some(j.frames, raced), 1)
	return agreement(j.original, found, j.s.c.Least), race.Speedup, err
}

// temporary writes a network to a file of its own, for engines that open files.
func temporary(data []byte) (path string, err error) {
	f, err := os.CreateTemp("", "optimize-*.onnx")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), err
}
