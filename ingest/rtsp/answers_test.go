package rtsp

import (
	"testing"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
)

// The library asks after eight tenths of what it is told here, at once where its
// arithmetic overflows.
func TestSessionTimeout(t *testing.T) {
	for told, want := range map[string]string{
		"12ab;timeout=60":         "12ab;timeout=30",
		"12ab; timeout=60":        "12ab;timeout=30",
		"12ab;timeout=3":          "12ab;timeout=1",
		"12ab;timeout=1":          "12ab;timeout=1",
		"12ab;timeout=0":          "12ab;timeout=0",
		"12ab;timeout=4294967295": "12ab;timeout=75",
		"12ab;timeout=soon":       "12ab;timeout=soon",
		"12ab":                    "12ab",
	} {
		r := &base.Response{Header: base.Header{"Session": base.HeaderValue{told}}}
		shorten(r)
		if got := r.Header["Session"][0]; got != want {
			t.Errorf("%s became %s, want %s", told, got, want)
		}
	}
}
