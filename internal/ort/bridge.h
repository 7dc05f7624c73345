// The C side of package ort: ONNX Runtime behind a table opened at run time.
// Every function that can fail returns NULL, or a message for the caller to free().
#ifndef SIGHTLINE_ORT_BRIDGE_H
#define SIGHTLINE_ORT_BRIDGE_H

#include "include/onnxruntime_c_api.h"

typedef struct {
  const OrtApi *api;
  const char *version; // static text of the library
  OrtEnv *env;
  OrtMemoryInfo *memory; // plain host memory
} ort_library;

typedef struct {
  char *name; // malloc'ed
  int type;   // ONNXTensorElementDataType
  size_t rank;
  int64_t *dims; // malloc'ed; -1: not fixed
} ort_port;

char *ort_open(const char *path, ort_library *lib);
void ort_close(ort_library *lib);

char *ort_session(const ort_library *lib, const void *model, size_t size, int threads, OrtSession **out);
void ort_session_free(const ort_library *lib, OrtSession *session);
char *ort_count(const ort_library *lib, OrtSession *session, int output, size_t *n);
char *ort_describe(const ort_library *lib, OrtSession *session, int output, size_t index, ort_port *out);

char *ort_binding(const ort_library *lib, OrtSession *session, OrtIoBinding **out);
char *ort_bind(const ort_library *lib, OrtIoBinding *binding, int output, const char *name, int type, const int64_t *dims,
               size_t rank, void *data, size_t bytes);
char *ort_run(const ort_library *lib, OrtSession *session, OrtIoBinding *binding);
void ort_binding_free(const ort_library *lib, OrtIoBinding *binding);

#endif
