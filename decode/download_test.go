package decode

import (
	"bytes"
	"testing"
)

// TestNarrow rounds samples of 16 bits to 8.
func TestNarrow(t *testing.T) {
	in := make([]byte, 2<<16)
	want := make([]byte, 1<<16)
	for v := range want {
		in[2*v], in[2*v+1] = byte(v), byte(v>>8)
		want[v] = byte(min((v+128)/256, 255))
	}
	if got := narrow(in); !bytes.Equal(got, want) {
		t.Error("not every sample is the nearest of 8 bits")
	}
}

// TestDownloadHost hands out a picture that is in host memory already as it is.
func TestDownloadHost(t *testing.T) {
	freed := 0
	f := NewFrame(Frame{Memory: Host}, func() { freed++ })
	host, err := Download(f)
	if err != nil || host != f {
		t.Fatalf("%v, another frame: %v", err, host != f)
	}
	if f.Release(); freed != 0 {
		t.Error("it is gone with its first reference")
	}
	if host.Release(); freed != 1 {
		t.Errorf("freed %d times", freed)
	}
}
