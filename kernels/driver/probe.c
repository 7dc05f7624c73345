#include "probe.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { attribute_major = 75, attribute_minor = 76 };

static void say(driver_report *out, void *lib, const char *call, int code) {
  int (*name)(int, const char **) = (int (*)(int, const char **))dlsym(lib, "cuGetErrorName");
  const char *text = NULL;
  out->call = call;
  out->code = code;
  if (name == NULL || name(code, &text) != 0 || text == NULL) text = "an error without a name";
  snprintf(out->text, sizeof out->text, "%s", text);
}

static int list(driver_report *out, void *lib) {
  int (*get)(int *, int) = (int (*)(int *, int))dlsym(lib, "cuDeviceGet");
  int (*name)(char *, int, int) = (int (*)(char *, int, int))dlsym(lib, "cuDeviceGetName");
  int (*attribute)(int *, int, int) = (int (*)(int *, int, int))dlsym(lib, "cuDeviceGetAttribute");
  int (*memory)(size_t *, int) = (int (*)(size_t *, int))dlsym(lib, "cuDeviceTotalMem_v2");
  if (!get || !name || !attribute || !memory) return 1;
  for (int i = 0; i < out->count && i < driver_devices; i++) {
    driver_device *d = &out->devices[i];
    int handle = 0, code;
    size_t bytes = 0;
    if ((code = get(&handle, i)) || (code = name(d->name, driver_text - 1, handle)) ||
        (code = attribute(&d->major, attribute_major, handle)) || (code = attribute(&d->minor, attribute_minor, handle)) ||
        (code = memory(&bytes, handle))) {
      say(out, lib, "cuDeviceGet", code);
      return 1;
    }
    d->bytes = bytes;
  }
  return 0;
}

int driver_probe(driver_report *out) {
  memset(out, 0, sizeof *out);
  void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (lib == NULL) {
    snprintf(out->text, sizeof out->text, "%s", dlerror());
    return -1;
  }
  int (*init)(unsigned) = (int (*)(unsigned))dlsym(lib, "cuInit");
  int (*version)(int *) = (int (*)(int *))dlsym(lib, "cuDriverGetVersion");
  int (*count)(int *) = (int (*)(int *))dlsym(lib, "cuDeviceGetCount");
  if (!init || !version || !count) {
    snprintf(out->text, sizeof out->text, "libcuda.so.1 is no CUDA driver");
    return -1;
  }
  int code;
  version(&out->version);
  if ((code = init(0)) != 0) {
    say(out, lib, "cuInit", code);
    return 1;
  }
  if ((code = count(&out->count)) != 0) {
    say(out, lib, "cuDeviceGetCount", code);
    return 1;
  }
  return list(out, lib);
}

// caps is CUVIDDECODECAPS.
typedef struct {
  int codec, chroma;
  unsigned bit_depth_minus8, reserved1[3];
  unsigned char supported, engines;
  unsigned short output_formats;
  unsigned max_width, max_height, max_macroblocks;
  unsigned short min_width, min_height;
  unsigned char histogram, counter_bits;
  unsigned short max_bins;
  unsigned reserved3[10];
} caps;

int driver_decodes(int device, const int *codecs, int n, driver_decoding *out) {
  memset(out, 0, sizeof *out * n);
  void *cuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  void *cuvid = dlopen("libnvcuvid.so.1", RTLD_NOW | RTLD_LOCAL);
  if (cuda == NULL || cuvid == NULL) return -1;
  int (*get)(int *, int) = (int (*)(int *, int))dlsym(cuda, "cuDeviceGet");
  int (*retain)(void **, int) = (int (*)(void **, int))dlsym(cuda, "cuDevicePrimaryCtxRetain");
  int (*release)(int) = (int (*)(int))dlsym(cuda, "cuDevicePrimaryCtxRelease_v2");
  int (*push)(void *) = (int (*)(void *))dlsym(cuda, "cuCtxPushCurrent_v2");
  int (*pop)(void **) = (int (*)(void **))dlsym(cuda, "cuCtxPopCurrent_v2");
  int (*ask)(caps *) = (int (*)(caps *))dlsym(cuvid, "cuvidGetDecoderCaps");
  if (!get || !retain || !release || !push || !pop || !ask) return -1;
  int handle = 0, failed = 1;
  void *context = NULL;
  if (get(&handle, device) != 0 || retain(&context, handle) != 0) return 1;
  if (push(context) == 0) {
    failed = 0;
    for (int i = 0; i < n && !failed; i++) {
      caps c = {.codec = codecs[i], .chroma = 1};
      failed = ask(&c) != 0;
      out[i] = (driver_decoding){c.supported, c.engines, c.max_width, c.max_height};
    }
    pop(&context);
  }
  release(handle);
  return failed;
}
