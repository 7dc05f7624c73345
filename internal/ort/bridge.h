// The C side of package ort: ONNX Runtime behind a table opened at run time.
// Every function that can fail returns NULL, or a message for the caller to free().
#ifndef SIGHTLINE_ORT_BRIDGE_H
#define SIGHTLINE_ORT_BRIDGE_H

#include "include/onnxruntime_c_api.h"

typedef struct {
  const OrtApi *api;
  uint32_t table;      // its version: functions added later must not be called
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

// What a provider of ORT is given; keys and values are its options, n of each.
typedef struct {
  int tensorrt; // else CUDA
  const char **keys, **values;
  size_t n;
  void *stream; // a CUstream, NULL for the provider's own
} ort_provider;

char *ort_open(const char *path, ort_library *lib);
void ort_close(ort_library *lib);

char *ort_memory(const ort_library *lib, const char *name, int device, OrtMemoryInfo **out);
void ort_memory_free(const ort_library *lib, OrtMemoryInfo *memory);

// The names of the providers that were built in, joined by spaces.
char *ort_providers(const ort_library *lib, char **names);
char *ort_append(const ort_library *lib, OrtSessionOptions *options, const ort_provider *provider);
// The version of the TensorRT that a provider has loaded, as one number; 0 without one.
int ort_tensorrt(void);
char *ort_try(const ort_library *lib, const ort_provider *provider);
// The providers that a session's nodes were given to, a name a node, joined by spaces; empty where
// the library cannot tell.
char *ort_assigned(const ort_library *lib, OrtSession *session, char **names);

// How many of the session's inputs it takes from a GPU's memory.
char *ort_inputs_on_gpu(const ort_library *lib, OrtSession *session, size_t *count);

char *ort_session(const ort_library *lib, const void *model, size_t size, int threads, const ort_provider *providers,
                  size_t nproviders, OrtSession **out);
void ort_session_free(const ort_library *lib, OrtSession *session);
char *ort_count(const ort_library *lib, OrtSession *session, int output, size_t *n);
char *ort_describe(const ort_library *lib, OrtSession *session, int output, size_t index, ort_port *out);

char *ort_binding(const ort_library *lib, OrtSession *session, OrtIoBinding **out);
// memory NULL is plain host memory.
char *ort_bind(const ort_library *lib, OrtIoBinding *binding, int output, const char *name, int type, const int64_t *dims,
               size_t rank, const OrtMemoryInfo *memory, uintptr_t address, size_t bytes);
char *ort_option(const ort_library *lib, OrtRunOptions **options, const char *key, const char *value);
char *ort_run(const ort_library *lib, OrtSession *session, const OrtRunOptions *options, OrtIoBinding *binding);
void ort_binding_free(const ort_library *lib, OrtIoBinding *binding, OrtRunOptions *options);

// Turns a status into a message to free(), and releases it.
char *ort_taken(const OrtApi *api, OrtStatus *status);

#endif
