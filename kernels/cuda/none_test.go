//go:build !cuda

package cuda

import (
	"errors"
	"testing"
)

func TestNotBuilt(t *testing.T) {
	_, listErr := Devices()
	_, openErr := Open(Config{})
	if !errors.Is(listErr, ErrNotBuilt) || !errors.Is(openErr, ErrNotBuilt) {
		t.Errorf("%v, %v", listErr, openErr)
	}
}
