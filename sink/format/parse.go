package format

import (
	"bytes"
	"encoding/json"
	"errors"
)

// parse reads one JSON object; numbers stay json.Number, as they are written.
func parse(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	if out == nil {
		return nil, errors.New("null is no event")
	}
	return out, nil
}
