// Devices and their properties. SIGHTLINE_EMU_DEVICES says how many there are,
// SIGHTLINE_EMU_MEMORY how many bytes each has, SIGHTLINE_EMU_DRIVER what version
// the driver claims.
#include <cstring>

#include "device.h"

Device& device(int i) {
  static Device* const all = new Device[MAX_DEVICES];  // outlives every thread of the program
  return all[i];
}

int devices() {
  static const int n = (int)std::min<int64_t>(setting("DEVICES", 1), MAX_DEVICES);
  return n;
}

int driver_version() {
  static const int version = (int)setting("DRIVER", 12020);
  return version;
}

static std::atomic<bool> started{false};
static bool known(CUdevice d) { return started && d >= 0 && d < devices(); }
#define DEVICE(d) \
  if (!known(d)) return started ? CUDA_ERROR_INVALID_DEVICE : CUDA_ERROR_NOT_INITIALIZED

EXPORT CUresult cuInit(unsigned flags) {
  if (flags) return CUDA_ERROR_INVALID_VALUE;
  if (devices() <= 0) return CUDA_ERROR_NO_DEVICE;
  for (int i = 0; !started && i < devices(); i++) {
    device(i).total = (size_t)setting("MEMORY", (int64_t)8 << 30);
    device(i).primary.device = i;
    device(i).primary.primary = true;
  }
  started = true;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int* version) {
  *version = driver_version();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetCount(int* n) {
  if (!started) return CUDA_ERROR_NOT_INITIALIZED;
  *n = devices();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice* d, int i) {
  DEVICE(i);
  *d = i;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char* to, int room, CUdevice d) {
  DEVICE(d);
  snprintf(to, room, "emulated GPU %d (tests only)", d);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetUuid(CUuuid* id, CUdevice d) {
  DEVICE(d);
  memset(id, 0x5a + d, sizeof *id);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetUuid_v2(CUuuid* id, CUdevice d) { return cuDeviceGetUuid(id, d); }

EXPORT CUresult cuDeviceGetPCIBusId(char* to, int room, CUdevice d) {
  DEVICE(d);
  snprintf(to, room, "0000:%02x:00.0", d + 1);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice d) {
  DEVICE(d);
  *bytes = device(d).total;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice d) {
  DEVICE(d);
  *major = COMPUTE / 10, *minor = COMPUTE % 10;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice d) {
  DEVICE(d);
  static const std::map<int, int> values = {
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, COMPUTE / 10},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, COMPUTE % 10},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, MAX_SHARED},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1},
      {CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512},
      {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
      {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2},
  };
  auto at = values.find(attribute);
  *value = at == values.end() ? 0 : at->second;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorName(CUresult e, const char** name) {
  static const std::map<int, const char*> names = {
      {0, "CUDA_SUCCESS"},
      {1, "CUDA_ERROR_INVALID_VALUE"},
      {2, "CUDA_ERROR_OUT_OF_MEMORY"},
      {3, "CUDA_ERROR_NOT_INITIALIZED"},
      {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"},
      {100, "CUDA_ERROR_NO_DEVICE"},
      {101, "CUDA_ERROR_INVALID_DEVICE"},
      {200, "CUDA_ERROR_INVALID_IMAGE"},
      {201, "CUDA_ERROR_INVALID_CONTEXT"},
      {205, "CUDA_ERROR_MAP_FAILED"},
      {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
      {218, "CUDA_ERROR_INVALID_PTX"},
      {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
      {304, "CUDA_ERROR_OPERATING_SYSTEM"},
      {400, "CUDA_ERROR_INVALID_HANDLE"},
      {500, "CUDA_ERROR_NOT_FOUND"},
      {600, "CUDA_ERROR_NOT_READY"},
      {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
      {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED"},
      {716, "CUDA_ERROR_MISALIGNED_ADDRESS"},
      {719, "CUDA_ERROR_LAUNCH_FAILED"},
      {801, "CUDA_ERROR_NOT_SUPPORTED"},
      {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
      {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
      {999, "CUDA_ERROR_UNKNOWN"},
  };
  auto at = names.find(e);
  *name = at == names.end() ? nullptr : at->second;
  return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
EXPORT CUresult cuGetErrorString(CUresult e, const char** text) { return cuGetErrorName(e, text); }
