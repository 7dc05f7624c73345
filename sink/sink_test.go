package sink

import (
	"errors"
	"testing"
)

func TestPartialErrorSaysWhatThereIs(t *testing.T) {
	for want, e := range map[string]PartialError{
		"events: 2 not accepted: broker gone":                     {Failed: []int{0, 3}},
		"events: 1 refused for good: broker gone":                 {Refused: []int{2}},
		"events: 2 not accepted, 1 refused for good: broker gone": {Failed: []int{0, 3}, Refused: []int{2}},
	} {
		e.Err = errors.New("broker gone")
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
