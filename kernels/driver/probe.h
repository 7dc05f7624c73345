// What is asked of libcuda.so.1 and libnvcuvid.so.1, which are opened by name at run time:
// their numbers and layouts are the drivers' own interface (cuda.h, nvcuvid.h).
#ifndef SIGHTLINE_DRIVER_PROBE_H
#define SIGHTLINE_DRIVER_PROBE_H

enum { driver_devices = 64, driver_text = 256 };

typedef struct {
  char name[driver_text];
  int major, minor;         // compute capability
  unsigned long long bytes; // of memory
} driver_device;

typedef struct {
  int version; // 1000 × major + 10 × minor of the CUDA interface, 0 unknown
  int count;   // of devices
  int code;    // of the call that failed, 0 none
  const char *call;
  char text[driver_text]; // why the library did not open, or the code's name
  driver_device devices[driver_devices];
} driver_report;

// driver_probe returns 0, -1 where there is no driver, or 1 where a call failed.
int driver_probe(driver_report *out);

typedef struct {
  int supported, engines;
  unsigned width, height; // most
} driver_decoding;

// driver_decodes asks what a device's decoder takes: 8 bits a sample, 4:2:0. It makes
// the device's primary context current meanwhile. Returns 0, -1 where the library is
// missing, or 1 where a call failed.
int driver_decodes(int device, const int *codecs, int n, driver_decoding *out);

#endif
