//go:build cuda

package cuda

/*
#cgo LDFLAGS: -lcuda
#include <cuda.h>

// What gorgonia.org/cu lacks.

static CUresult sl_host_alloc(void **p, size_t n) { return cuMemHostAlloc(p, n, CU_MEMHOSTALLOC_PORTABLE); }

// NULL where the host cannot address the memory.
static void *sl_host_address(CUdeviceptr p) {
	void *host = NULL;
	return cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, p) == CUDA_SUCCESS ? host : NULL;
}

static CUresult sl_copy_2d(CUstream stream, CUdeviceptr to, void *to_host, size_t to_pitch,
	CUdeviceptr from, const void *from_host, size_t from_pitch, size_t width, size_t rows) {
	CUDA_MEMCPY2D c = {
		.dstMemoryType = to_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE, .dstDevice = to, .dstHost = to_host, .dstPitch = to_pitch,
		.srcMemoryType = from_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE, .srcDevice = from, .srcHost = from_host, .srcPitch = from_pitch,
		.WidthInBytes = width, .Height = rows,
	};
	return cuMemcpy2DAsync(&c, stream);
}

static const char *sl_error_name(CUresult e) {
	const char *s = NULL;
	return cuGetErrorName(e, &s) == CUDA_SUCCESS && s ? s : "unknown";
}

static const char *sl_error_text(CUresult e) {
	const char *s = NULL;
	return cuGetErrorString(e, &s) == CUDA_SUCCESS && s ? s : "unknown error";
}
*/
import "C"

import (
	"fmt"
	"reflect"
	"unsafe"

	"gorgonia.org/cu"
)

// code is a CUresult.
type code int

// Codes that gorgonia.org/cu does not name.
const (
	codeDeviceUnavailable   code = 46
	codeUnsupportedPTX      code = 222
	codeContained           code = 226
	codeTensorMemoryLeak    code = 721
	codeMPSClientTerminated code = 810
	codeExternalDevice      code = 911
)

func (c code) Error() string {
	return fmt.Sprintf("%s (%s, %d)", C.GoString(C.sl_error_text(C.CUresult(c))), C.GoString(C.sl_error_name(C.CUresult(c))), int(c))
}

// codeOf reads an error of gorgonia.org/cu, whose type is not exported but is a
// CUresult; 0 is none.
func codeOf(err error) code {
	if err == nil {
		return 0
	}
	if c, ok := err.(code); ok {
		return c
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Int {
		return code(v.Int())
	}
	return codeOf(cu.Unknown)
}

func result(c C.CUresult) error {
	if c == C.CUDA_SUCCESS {
		return nil
	}
	return code(c)
}

func hostAlloc(n int) (unsafe.Pointer, error) {
	var p unsafe.Pointer
	err := result(C.sl_host_alloc(&p, C.size_t(n)))
	return p, err
}

// currentContext is the CUcontext of the calling thread.
func currentContext() (unsafe.Pointer, error) {
	var c C.CUcontext
	err := result(C.cuCtxGetCurrent(&c))
	return unsafe.Pointer(c), err
}

func hostAddress(p cu.DevicePtr) unsafe.Pointer { return C.sl_host_address(C.CUdeviceptr(p)) }

func copy2D(s cu.Stream, c Copy2D) error {
	return result(C.sl_copy_2d(C.CUstream(unsafe.Pointer(s.C())),
		C.CUdeviceptr(c.To.Address), c.To.Host, C.size_t(c.To.Pitch),
		C.CUdeviceptr(c.From.Address), c.From.Host, C.size_t(c.From.Pitch), C.size_t(c.Width), C.size_t(c.Rows)))
}
