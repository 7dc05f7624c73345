package detect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// UnmarshalJSON takes [x, y].
func (p *Point) UnmarshalJSON(b []byte) error {
	var xy [2]float64
	if err := json.Unmarshal(b, &xy); err != nil {
		return fmt.Errorf("place: %w", err)
	}
	p.X, p.Y = xy[0], xy[1]
	return nil
}

// UnmarshalJSON is the inverse of MarshalJSON: what it reads is written as the same
// bytes again.
func (d *Data) UnmarshalJSON(b []byte) error {
	type plain Data
	var w struct {
		plain
		Watermark *time.Time      `json:"watermark"`
		Reason    json.RawMessage `json:"reason"`
		Received  *uint64         `json:"received"` // every ledger has it
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*d = Data(w.plain)
	d.Watermark = w.Watermark
	if w.Received != nil {
		d.Accounting = &Ledger{}
		if err := json.Unmarshal(b, d.Accounting); err != nil {
			return err
		}
	}
	switch {
	case len(w.Reason) == 0:
		return nil
	case bytes.HasPrefix(w.Reason, []byte(`"`)):
		return json.Unmarshal(w.Reason, &d.EndReason)
	}
	d.Reason = &ReasonInfo{}
	return json.Unmarshal(w.Reason, d.Reason)
}
