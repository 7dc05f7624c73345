package pipelines

import "testing"

func TestMediaIsReceivedWhereThePageIs(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080":   "127.0.0.1",
		"localhost:8080":   "127.0.0.1",
		"10.0.0.9:80":      "10.0.0.9",
		"0.0.0.0:8080":     "0.0.0.0",
		":8080":            "",
		"[::1]:8080":       "::1",
		"cam.example:8080": "",
	} {
		if got := mediaAddress(listen); got != want {
			t.Errorf("%s: %q, want %q", listen, got, want)
		}
	}
}
