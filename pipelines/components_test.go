package pipelines

import (
	"slices"
	"testing"
)

func TestMediaIsReceivedWhereThePageIs(t *testing.T) {
	for _, c := range []struct {
		listen string
		want   []string
	}{
		{"127.0.0.1:8080", []string{"127.0.0.1"}},
		{"localhost:8080", []string{"127.0.0.1"}},
		{"10.0.0.9:80", []string{"10.0.0.9"}},
		{"0.0.0.0:8080", []string{"0.0.0.0", "::"}},
		{":8080", []string{"0.0.0.0", "::"}},
		{"[::1]:8080", []string{"::1"}},
		{"cam.example:8080", []string{"0.0.0.0", "::"}},
	} {
		if got := mediaAddresses(c.listen); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.listen, got, c.want)
		}
	}
}
