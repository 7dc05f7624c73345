package decode

import (
	"bytes"
	"testing"
)

// TestNarrow rounds samples of 16 bits to 8.
func TestNarrow(t *testing.T) {
	in := []byte{0x00, 0x10, 0x7f, 0x10, 0x80, 0x10, 0xc0, 0xff, 0x00, 0x00, 0x40, 0xeb}
	if got, want := narrow(in), []byte{0x10, 0x10, 0x11, 0xff, 0x00, 0xeb}; !bytes.Equal(got, want) {
		t.Errorf("%x, not %x", got, want)
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
