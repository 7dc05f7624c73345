// Package driver looks whether this machine has an NVIDIA driver and devices, without
// needing either: it opens the driver's libraries by name. It neither launches nor
// allocates anything; that is kernels/cuda's, which exists in builds with the tag cuda
// alone and cannot even start without a device.
package driver

// #cgo LDFLAGS: -ldl
// #include "probe.h"
import "C"

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNone says that no driver is installed, and ErrNoDevice that the driver has nothing
// to drive.
var (
	ErrNone     = errors.New("no NVIDIA driver (libcuda.so.1) is installed")
	ErrNoDevice = errors.New("the NVIDIA driver finds no device")
)

// noDevice is CUDA_ERROR_NO_DEVICE.
const noDevice = 100

// Report is what the driver says of itself.
type Report struct {
	Version string // of the CUDA interface it offers, such as 12.2; "" where it does not say
	Devices []Device
}

// Device is one GPU, by its place among those that this process may see.
type Device struct {
	Index   int
	Name    string
	Compute [2]int // compute capability
	Memory  int64  // bytes
}

// Probe asks the driver. The error wraps ErrNone or ErrNoDevice, or says which call
// failed. It may be called from any goroutine; it blocks while the driver starts, which
// may take a second.
func Probe() (Report, error) {
	var found C.driver_report
	var out Report
	rc := C.driver_probe(&found)
	if v := int(found.version); v > 0 {
		out.Version = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
	}
	switch {
	case rc < 0:
		if text := C.GoString(&found.text[0]); !strings.Contains(text, "No such file") {
			return out, fmt.Errorf("%w: %s", ErrNone, text)
		}
		return out, ErrNone
	case found.code == noDevice, rc == 0 && found.count == 0:
		return out, ErrNoDevice
	case rc > 0:
		return out, fmt.Errorf("NVIDIA driver: %s: %s (%d)", C.GoString(found.call), C.GoString(&found.text[0]), int(found.code))
	}
	for i := range min(int(found.count), len(found.devices)) {
		d := &found.devices[i]
		out.Devices = append(out.Devices, Device{
			Index: i, Name: C.GoString(&d.name[0]), Compute: [2]int{int(d.major), int(d.minor)}, Memory: int64(d.bytes),
		})
	}
	return out, nil
}

// Decoding is what a device's decoder takes of one codec, with 8 bits a sample.
type Decoding struct {
	Codec         string
	Engines       int // decoders on the device that work side by side; 0: the codec is not decoded
	Width, Height int // of the largest picture
}

// codecs that pictures come in here, by cudaVideoCodec.
var codecs = []struct {
	name   string
	number C.int
}{{"h264", 4}, {"h265", 8}, {"vp8", 9}, {"vp9", 10}, {"av1", 11}, {"mjpeg", 5}}

// Decoders asks what a device decodes. It makes a context on the device for as long as
// that takes.
func Decoders(device int) ([]Decoding, error) {
	numbers, found := make([]C.int, len(codecs)), make([]C.driver_decoding, len(codecs))
	for i, c := range codecs {
		numbers[i] = c.number
	}
	switch C.driver_decodes(C.int(device), &numbers[0], C.int(len(codecs)), &found[0]) {
	case 0:
	case -1:
		return nil, errors.New("no video decoder library (libnvcuvid.so.1)")
	default:
		return nil, errors.New("the device does not say what it decodes")
	}
	var out []Decoding
	for i, f := range found {
		d := Decoding{Codec: codecs[i].name}
		if f.supported != 0 {
			d.Engines, d.Width, d.Height = max(1, int(f.engines)), int(f.width), int(f.height)
		}
		out = append(out, d)
	}
	return out, nil
}
