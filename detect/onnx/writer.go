package onnx

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"sightline/kernels"
)

// WriterConfig is what one stream wants to be told of.
type WriterConfig struct {
	Threshold float64  // the least score, in 0..1
	Classes   []string // labels of the model; none means all
}

// Writer puts the frames of one stream into batches and says which detections
// count for it. One goroutine at a time; Detections of what it wrote may be read
// meanwhile, and after Close.
type Writer struct {
	spec      *Spec
	reference bool
	threshold float32
	wanted    []bool  // by class; nil: all
	groups    []int32 // classes that suppress each other
	pre       map[Shape]*kernels.Preprocess
	held      held // frames that a GPU may still read
}

// NewWriter makes the Writer of one stream. A class that the model does not know
// is an error that names the nearest ones.
func (s *Session) NewWriter(cfg WriterConfig) (*Writer, error) {
	if !(cfg.Threshold >= 0 && cfg.Threshold <= 1) {
		return nil, fmt.Errorf("confidence %g is not within 0 and 1", cfg.Threshold)
	}
	w := &Writer{
		spec: s.spec, reference: s.cfg.Reference, threshold: float32(cfg.Threshold), groups: groups(s.spec.Labels), pre: map[Shape]*kernels.Preprocess{},
	}
	var errs []error
	for _, class := range cfg.Classes {
		i := slices.Index(s.spec.Labels, class)
		if i < 0 {
			errs = append(errs, s.spec.unknown(class, s.cfg.Name))
			continue
		}
		if w.wanted == nil {
			w.wanted = make([]bool, len(s.spec.Labels))
		}
		w.wanted[i] = true
	}
	return w, errors.Join(errs...)
}

// Knows is an error where the model does not know all classes; it names the nearest ones.
func (spec *Spec) Knows(classes []string) error {
	var errs []error
	for _, class := range classes {
		if !slices.Contains(spec.Labels, class) {
			errs = append(errs, spec.unknown(class, filepath.Base(spec.Path)))
		}
	}
	return errors.Join(errs...)
}

func (spec *Spec) unknown(class, model string) error {
	return fmt.Errorf("class %q is not one of the %d of model %s (nearest: %s)",
		class, len(spec.Labels), model, strings.Join(nearest(class, spec.Labels), ", "))
}

// Close frees the writer's tables, and waits for frames that a GPU reads. It writes
// no more.
func (w *Writer) Close() {
	_ = w.held.close() // it fails after a loss only, of which Run tells; the frames are released
	for _, p := range w.pre {
		p.Close()
	}
	w.pre = nil
}

func (w *Writer) preprocess(shape Shape) (*kernels.Preprocess, error) {
	if p := w.pre[shape]; p != nil {
		return p, nil
	}
	if w.pre == nil {
		return nil, errors.New("the writer is closed")
	}
	make := kernels.NewPreprocess
	if w.reference {
		make = kernels.NewReference
	}
	p, err := make(w.spec.Input.slot(shape))
	if err == nil {
		w.pre[shape] = p
	}
	return p, err
}

// nearest returns up to three labels that need the fewest edits to become word.
func nearest(word string, labels []string) []string {
	sorted := slices.Clone(labels)
	slices.SortStableFunc(sorted, func(a, b string) int { return edits(word, a) - edits(word, b) })
	return sorted[:min(3, len(sorted))]
}

// edits is the Levenshtein distance of two words, letter case apart.
func edits(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	line := make([]int, len(b)+1)
	for j := range line {
		line[j] = j
	}
	for i := range len(a) {
		diagonal := line[0]
		line[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = line[j+1]
			line[j+1] = min(change, diagonal+1, line[j]+1)
		}
	}
	return line[len(b)]
}
