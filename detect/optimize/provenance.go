package optimize

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"

	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// Provenance is what a network that was optimized says of itself, in its metadata.
// Nothing in it depends on how fast a machine is, and of an exact one nothing on the machine.
type Provenance struct {
	Source      string   `json:"source"` // SHA-256 of the file that it was made of
	Mode        string   `json:"mode"`
	Steps       []string `json:"steps"`
	Classes     []string `json:"classes,omitempty"`     // that stayed; none: all
	Calibration string   `json:"calibration,omitempty"` // digest of the pictures that it was learned from
	// Stream and Bind are the stream that it was made for and the digest of that
	// stream's configuration; empty: it is for any.
	Stream string `json:"stream,omitempty"`
	Bind   string `json:"bind,omitempty"`
	// Agreement is the least recall and precision, AP50 the most points lost, that
	// it had to keep.
	Agreement float64 `json:"agreement"`
	AP50      float64 `json:"ap50,omitempty"`
	Figures   Figures `json:"figures"`
	// Proof is where it was proved, of one that is not exact.
	onnx.Proof
}

// Figures are what was measured on pictures that were held back, and what it weighs,
// before and after.
type Figures struct {
	Recall     float64    `json:"recall"`
	Precision  float64    `json:"precision"`
	AP50       [2]float64 `json:"ap50,omitzero"`
	MACs       [2]int64   `json:"macs,omitzero"`
	Parameters [2]int     `json:"parameters"`
	Bytes      [2]int     `json:"bytes"` // of the files, without this text
}

// maxFile bounds the network files that are read.
const maxFile = 1 << 31

// ReadProvenance reads what a network file says of how it was made: nil, nil where
// it says nothing. It reads the whole file and holds it in memory meanwhile.
func ReadProvenance(path string) (*Provenance, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read provenance: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read provenance: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return nil, fmt.Errorf("read provenance: %s is not a file of at most %d GiB", path, maxFile>>30)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read provenance: %w", err)
	}
	entries, err := graph.Metadata(data)
	if err != nil {
		return nil, fmt.Errorf("read provenance of %s: %w", path, err)
	}
	for _, e := range entries {
		if e.Key == onnx.MadeKey {
			p := &Provenance{}
			if err := json.Unmarshal([]byte(e.Value), p); err != nil {
				return nil, fmt.Errorf("read provenance of %s: its entry %s: %w", path, onnx.MadeKey, err)
			}
			return p, nil
		}
	}
	return nil, nil
}

// unmade refuses a network that was made of another at a price: what it says of where it
// may be used and was proved would be lost, and what was given up would add up.
func unmade(m *graph.Model) error {
	var p Provenance
	if json.Unmarshal([]byte(m.Meta(onnx.MadeKey)), &p) != nil || p.Mode == "" || p.Mode == ExactMode {
		return nil // of another program, or as good as its original
	}
	return fmt.Errorf("it was made of another network in mode %s: optimize that one, whose SHA-256 begins with %.12s", p.Mode, p.Source)
}

// provenance is what the network of a report says of itself.
func (r *Report) provenance(c Config) Provenance {
	p := Provenance{Source: r.SourceDigest, Mode: r.Mode, Classes: r.Classes, Agreement: c.Agreement}
	if r.Mode != ExactMode {
		p.Calibration = r.Calibration
	}
	if r.Mode == SceneMode {
		p.Stream, p.Bind = c.Stream, c.Bind
	}
	if c.Check != nil {
		p.AP50 = c.AP50
	}
	if r.Mode != ExactMode {
		for _, e := range r.Engines {
			p.Engines = append(p.Engines, onnx.Proved{Engine: e.Engine, Precision: e.Precision})
		}
		p.Processor = onnx.Processor()
	}
	for _, s := range r.Steps {
		if s.Count > 0 { // others only tell why nothing was done
			p.Steps = append(p.Steps, s.Name)
		}
	}
	p.Figures = Figures{
		Recall: 1, Precision: 1, AP50: [2]float64{rounded(r.AP50[0]), rounded(r.AP50[1])},
		Parameters: [2]int{r.Before.Parameters, r.After.Parameters}, Bytes: [2]int{r.Before.Bytes, r.After.Bytes},
	}
	if r.Before.MACs > 0 && r.After.MACs > 0 {
		p.Figures.MACs = [2]int64{r.Before.MACs, r.After.MACs}
	}
	for _, e := range r.Engines {
		if e.Values != nil || r.Mode == ExactMode && e.Precision != "f32" {
			continue // nothing was found, or in fewer bits machines differ, and nothing was promised
		}
		p.Figures.Recall = min(p.Figures.Recall, rounded(e.Agreement.Recall))
		p.Figures.Precision = min(p.Figures.Precision, rounded(e.Agreement.Precision))
	}
	return p
}

// rounded keeps four digits, so that the last bits of a sum do not change a file.
func rounded(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// sign writes a report into a network's metadata.
func sign(m *graph.Model, c Config, r *Report) error {
	text, err := json.Marshal(r.provenance(c))
	m.SetMeta(onnx.MadeKey, string(text))
	return err
}
