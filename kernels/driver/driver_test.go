package driver

import (
	"errors"
	"testing"
)

// TestProbe holds whatever machine this is to what a report promises.
func TestProbe(t *testing.T) {
	found, err := Probe()
	switch {
	case errors.Is(err, ErrNone):
		if found.Version != "" || len(found.Devices) > 0 {
			t.Errorf("no driver, and yet %+v", found)
		}
		if _, err := Decoders(0); err == nil {
			t.Error("a device decodes, and there is no driver")
		}
	case err != nil:
		if len(found.Devices) > 0 {
			t.Errorf("%v, and yet %+v", err, found)
		}
	default:
		for i, d := range found.Devices {
			if d.Index != i || d.Name == "" || d.Compute[0] < 1 || d.Memory <= 0 {
				t.Errorf("device %d: %+v", i, d)
			}
		}
		if len(found.Devices) == 0 {
			t.Error("neither a device nor an error")
		}
	}
	again, second := Probe()
	if (err == nil) != (second == nil) || len(again.Devices) != len(found.Devices) {
		t.Errorf("asked again: %+v, %v; before %+v, %v", again, second, found, err)
	}
}
