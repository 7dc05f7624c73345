//go:build cuda

package cuda

/*
#include <cuda.h>
*/
import "C"

import "runtime"

// Beside calls f on a locked OS thread whose calls do not spoil what other threads
// record as a CUDA graph, nor are refused because of it: recordings of ONNX Runtime's
// are global, which forbids allocations, frees and more to every thread of the process
// that is in CUDA's default mode (cuThreadExchangeStreamCaptureMode in cuda.h). What f
// itself records stays guarded. It is for native code that enters contexts by itself,
// as FFmpeg does; Device.Do and all methods of this package are beside already. It
// works after a loss too.
func Beside(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer beside()()
	f()
}

// beside puts the calling thread beside recordings, until the function it returns is
// called on the same thread.
func beside() (leave func()) {
	mode := C.CUstreamCaptureMode(C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
	if C.cuThreadExchangeStreamCaptureMode(&mode) != C.CUDA_SUCCESS {
		return func() {} // only recordings suffer, which tell
	}
	return func() { C.cuThreadExchangeStreamCaptureMode(&mode) }
}
