// Names that cuda.h renames and FFmpeg looks up as they were. Without cuda.h, whose
// macros would rename these as well.
#define ALIAS(name, newer, type, param)                       \
  extern "C" __attribute__((visibility("default"))) int newer param; \
  extern "C" __attribute__((visibility("default"))) int name param { return newer type; }

ALIAS(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, (device), (int device))
ALIAS(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2, (device), (int device))
ALIAS(cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2, (device, flags), (int device, unsigned flags))
