package optimization

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sightline/detect/optimize"
)

// job is a network to be made by a process of its own, which a fault of the compiler or
// a lack of memory ends alone.
type job struct {
	Model     string   `json:"model"`
	Digest    string   `json:"digest"`          // of the model
	Plain     bool     `json:"plain,omitempty"` // another engine will run it than the one it is proved on
	Out       string   `json:"out"`             // within the folder
	Mode      string   `json:"mode"`
	Classes   []string `json:"classes,omitempty"`
	Engine    string   `json:"engine"`
	LibDirs   []string `json:"lib_dirs,omitempty"`
	Fit       bool     `json:"fit"`
	Integers  bool     `json:"integers"`
	Least     float64  `json:"least_score"`
	Agreement float64  `json:"agreement"`
	Stream    string   `json:"stream,omitempty"`
	Bind      string   `json:"bind,omitempty"`
}

// line is one line that such a process prints: how far a step came, or the result.
type line struct {
	Step string `json:"step,omitempty"`
	Done int    `json:"done,omitempty"`
	Of   int    `json:"of,omitempty"`
	Made *Made  `json:"made,omitempty"`
}

// RunJob makes the network that folder asks for, which another process made for that:
// of its pictures, beside them. It prints a line of JSON for each progress, and one
// for the result. A run that was killed goes on when it is run again.
func RunJob(ctx context.Context, folder string, out io.Writer, log *slog.Logger) error {
	var j job
	text, err := os.ReadFile(filepath.Join(folder, jobFile))
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	switch sum, err := digest(j.Model); {
	case err != nil:
		return fmt.Errorf("read the model: %w", err)
	case sum != j.Digest: // its figures and what watches it are the other's
		return fmt.Errorf("model %s is another one than at the start of the pipeline, which takes it at its next start", j.Model)
	}
	frames, err := optimize.ReadAlbum(filepath.Join(folder, picturesFile))
	if err != nil {
		return err
	}
	defer optimize.Release(frames)
	lines, last, step := json.NewEncoder(out), time.Time{}, ""
	c := optimize.Config{
		Model: j.Model, Out: filepath.Join(folder, filepath.Base(j.Out)), Mode: j.Mode, Classes: j.Classes, Engines: []string{j.Engine},
		LibDirs: j.LibDirs, Fit: j.Fit, Plain: j.Plain, Integers: j.Integers, Least: j.Least, Agreement: j.Agreement, Stream: j.Stream, Bind: j.Bind,
		Work: filepath.Join(folder, workFolder),
		Progress: func(name string, done, of int) {
			if now := time.Now(); name != step || done == of || now.Sub(last) > time.Second/4 {
				step, last = name, now
				_ = lines.Encode(line{Step: name, Done: done, Of: of}) // who does not listen anymore ends this process
			}
		},
	}
	r, err := optimize.Run(ctx, c, frames, log)
	switch {
	case errors.Is(err, optimize.ErrBudget):
		return lines.Encode(line{Made: &Made{Refused: err.Error(), Few: errors.Is(err, optimize.ErrFewBoxes)}})
	case err != nil:
		return err
	}
	m := Made{File: filepath.Base(j.Out), Digest: r.Digest, Recall: 1, Precision: 1}
	for _, e := range r.Engines {
		m.Recall, m.Precision = min(m.Recall, e.Agreement.Recall), min(m.Precision, e.Agreement.Precision)
		m.Speedup = e.Race.Speedup
	}
	return lines.Encode(line{Made: &m})
}
