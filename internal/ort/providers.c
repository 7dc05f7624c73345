#include "bridge.h"

#include <dlfcn.h>
#include <stdio.h>

// SessionGetMemoryInfoForInputs, the youngest of what computing on GPUs takes.
#define TABLE_OF_INPUTS 23
#define TABLE_OF_ASSIGNMENTS 24

char *ort_memory(const ort_library *lib, const char *name, int device, OrtMemoryInfo **out) {
  return ort_taken(lib->api, lib->api->CreateMemoryInfo(name, OrtDeviceAllocator, device, OrtMemTypeDefault, out));
}

void ort_memory_free(const ort_library *lib, OrtMemoryInfo *memory) { lib->api->ReleaseMemoryInfo(memory); }

// Appends a word to a list that realloc() lets grow.
static void word(char **list, size_t *used, const char *text) {
  size_t n = strlen(text);
  *list = realloc(*list, *used + n + 2);
  *used += sprintf(*list + *used, "%s%s", *used ? " " : "", text);
}

char *ort_providers(const ort_library *lib, char **names) {
  char **all = NULL;
  int n = 0;
  size_t used = 0;
  *names = calloc(1, 1);
  OrtStatus *s = lib->api->GetAvailableProviders(&all, &n);
  if (s)
    return ort_taken(lib->api, s);
  for (int i = 0; i < n; i++)
    word(names, &used, all[i]);
  return ort_taken(lib->api, lib->api->ReleaseAvailableProviders(all, n));
}

// The options first: setting them makes them anew, without the stream.
static OrtStatus *append_cuda(const OrtApi *api, OrtSessionOptions *options, const ort_provider *p) {
  OrtCUDAProviderOptionsV2 *own = NULL;
  OrtStatus *s = api->CreateCUDAProviderOptions(&own);
  if (!s)
    s = api->UpdateCUDAProviderOptions(own, p->keys, p->values, p->n);
  if (!s && p->stream)
    s = api->UpdateCUDAProviderOptionsWithValue(own, "user_compute_stream", p->stream);
  if (!s)
    s = api->SessionOptionsAppendExecutionProvider_CUDA_V2(options, own);
  if (own)
    api->ReleaseCUDAProviderOptions(own);
  return s;
}

static OrtStatus *append_tensorrt(const OrtApi *api, OrtSessionOptions *options, const ort_provider *p) {
  OrtTensorRTProviderOptionsV2 *own = NULL;
  OrtStatus *s = api->CreateTensorRTProviderOptions(&own);
  if (!s)
    s = api->UpdateTensorRTProviderOptions(own, p->keys, p->values, p->n);
  if (!s && p->stream)
    s = api->UpdateTensorRTProviderOptionsWithValue(own, "user_compute_stream", p->stream);
  if (!s)
    s = api->SessionOptionsAppendExecutionProvider_TensorRT_V2(options, own);
  if (own)
    api->ReleaseTensorRTProviderOptions(own);
  return s;
}

char *ort_append(const ort_library *lib, OrtSessionOptions *options, const ort_provider *p) {
  if (lib->table < TABLE_OF_INPUTS)
    return strdup("this ONNX Runtime is too old for GPUs: 1.23 is the oldest that will do");
  return ort_taken(lib->api, (p->tensorrt ? append_tensorrt : append_cuda)(lib->api, options, p));
}

char *ort_try(const ort_library *lib, const ort_provider *provider) {
  OrtSessionOptions *options = NULL;
  char *err = ort_taken(lib->api, lib->api->CreateSessionOptions(&options));
  if (!err)
    err = ort_append(lib, options, provider);
  if (options)
    lib->api->ReleaseSessionOptions(options);
  return err;
}

// Adds the provider of a subgraph to list, once for each of its nodes.
static OrtStatus *assigned(const OrtApi *api, const OrtEpAssignedSubgraph *part, char **list, size_t *used) {
  const char *name = NULL;
  const OrtEpAssignedNode *const *nodes = NULL;
  size_t n = 0;
  OrtStatus *s = api->EpAssignedSubgraph_GetEpName(part, &name);
  if (!s)
    s = api->EpAssignedSubgraph_GetNodes(part, &nodes, &n);
  for (size_t i = 0; i < n && !s; i++)
    word(list, used, name);
  return s;
}

char *ort_assigned(const ort_library *lib, OrtSession *session, char **names) {
  const OrtApi *api = lib->api;
  const OrtEpAssignedSubgraph *const *parts = NULL;
  size_t n = 0, used = 0;
  *names = calloc(1, 1);
  if (lib->table < TABLE_OF_ASSIGNMENTS)
    return NULL;
  OrtStatus *s = api->Session_GetEpGraphAssignmentInfo(session, &parts, &n);
  for (size_t i = 0; i < n && !s; i++)
    s = assigned(api, parts[i], names, &used);
  return ort_taken(api, s);
}

char *ort_inputs_on_gpu(const ort_library *lib, OrtSession *session, size_t *count) {
  const OrtApi *api = lib->api;
  size_t n = 0;
  *count = 0;
  if (lib->table < TABLE_OF_INPUTS)
    return NULL;
  OrtStatus *s = api->SessionGetInputCount(session, &n);
  const OrtMemoryInfo **all = calloc(n + 1, sizeof *all);
  if (!s)
    s = api->SessionGetMemoryInfoForInputs(session, all, n);
  for (size_t i = 0; i < n && !s; i++) {
    OrtMemoryInfoDeviceType type = OrtMemoryInfoDeviceType_CPU;
    api->MemoryInfoGetDeviceType(all[i], &type);
    *count += type == OrtMemoryInfoDeviceType_GPU;
  }
  free(all);
  return ort_taken(api, s);
}

int ort_tensorrt(void) {
  for (int major = 8; major < 20; major++) {
    char name[32];
    snprintf(name, sizeof name, "libnvinfer.so.%d", major);
    void *lib = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
    if (!lib)
      continue;
    int (*version)(void) = (int (*)(void))dlsym(lib, "getInferLibVersion");
    int n = version ? version() : 0;
    dlclose(lib);
    return n;
  }
  return 0;
}
