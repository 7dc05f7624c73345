package pipelines

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/quality"
	"sightline/pipelines/spec"
)

// newQuality returns nil where nothing is watched for.
func newQuality(q spec.Quality) (*quality.Watch, error) {
	if len(q.Watch) == 0 {
		return nil, nil
	}
	c := quality.Config{For: q.For}
	for _, w := range q.Watch {
		c.Watch = append(c.Watch, quality.Condition(w))
	}
	w, err := quality.New(c)
	if err != nil {
		return nil, fmt.Errorf("watch pictures: %w", err)
	}
	return w, nil
}

// inspect looks at a whole picture about once a second and tells what has gone
// wrong with it since.
func (s *stream) inspect(f *decode.Frame) {
	if s.quality == nil || !s.quality.Due(f) {
		return
	}
	changes, err := s.lookAt(f)
	if err != nil {
		s.warnings.warn(s.log, "picture was not looked at", err)
	}
	for _, c := range changes {
		s.status.wrong(string(c.Condition), c.Active)
		if !c.Active {
			s.log.Info("picture is well again", slog.String("reason", string(c.Condition)))
			s.degrade(detect.ReasonInfo{Code: detect.ReasonRecovered, Message: string(c.Condition)}, f.Captured)
			continue
		}
		s.log.Warn("something is wrong with the picture", slog.String("reason", string(c.Condition)), slog.String("error", c.Message))
		s.degrade(detect.ReasonInfo{Code: string(c.Condition), Message: c.Message}, f.Captured)
	}
}

// lookAt has the quality of a frame looked at; of one on a GPU that nobody has copied it
// brings the rows that a look takes, and no more.
func (s *stream) lookAt(f *decode.Frame) ([]quality.Change, error) {
	look := func() ([]quality.Change, error) { return s.quality.Look(f) }
	switch {
	case s.copy != nil:
		f = s.copy
	case f.Memory == decode.CUDA:
		w := s.gate.aside(workPreprocess)
		rows, err := s.fetcher.Rows(f, quality.Step(f))
		s.gate.leave(w)
		if err != nil {
			return nil, err
		}
		look = func() ([]quality.Change, error) { return s.quality.LookAtRows(f, rows) }
	}
	core := s.gate.enter(workPreprocess, f.Received)
	defer s.gate.leave(core)
	return look()
}

// lossy adds to the time that was not analyzed because of damage, and notes
// whether that is too much now.
func (st *state) lossy(lost time.Duration, bad bool) {
	st.mu.Lock()
	st.s.LostSeconds += lost.Seconds()
	st.mu.Unlock()
	st.wrong(damaged, bad)
}

// wrong notes whether something is wrong with what the stream delivers. The list
// is never changed in place: snapshots share it.
func (st *state) wrong(what string, is bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	i := slices.Index(st.s.Degraded, what)
	switch {
	case is && i < 0:
		st.s.Degraded = append(slices.Clip(st.s.Degraded), what)
	case !is && i >= 0:
		st.s.Degraded = slices.Delete(slices.Clone(st.s.Degraded), i, i+1)
	}
}
