#include "bridge.h"

#include <dlfcn.h>
#include <stdio.h>

// The oldest table that has what every session needs.
#define ORT_API_OLDEST 8

// The newest table this header knows; older libraries hand out what they have, and complain on
// stderr about more, so their version is asked first.
static uint32_t table_version(const char *version) {
  unsigned major = 0, minor = 0;
  if (sscanf(version, "%u.%u", &major, &minor) != 2 || major != 1 || minor > ORT_API_VERSION)
    return ORT_API_VERSION;
  return minor;
}

char *ort_taken(const OrtApi *api, OrtStatus *status) {
  if (!status)
    return NULL;
  char *message = strdup(api->GetErrorMessage(status));
  api->ReleaseStatus(status);
  return message;
}

char *ort_open(const char *path, ort_library *lib) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return strdup(dlerror());
  const OrtApiBase *(*base)(void) = (const OrtApiBase *(*)(void))dlsym(handle, "OrtGetApiBase");
  if (!base)
    return strdup("not an ONNX Runtime library: it has no OrtGetApiBase");
  lib->version = base()->GetVersionString();
  lib->table = table_version(lib->version);
  while (!(lib->api = base()->GetApi(lib->table)) && lib->table > ORT_API_OLDEST)
    lib->table--;
  if (!lib->api)
    return strdup("this ONNX Runtime offers no usable interface version");
  char *err = ort_taken(lib->api, lib->api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "sightline", &lib->env));
  if (err)
    return err;
  if ((err = ort_taken(lib->api, lib->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &lib->memory))))
    ort_close(lib);
  return err;
}

// The library itself stays mapped: its threads and thread-local data may outlive us.
void ort_close(ort_library *lib) {
  if (lib->memory)
    lib->api->ReleaseMemoryInfo(lib->memory);
  if (lib->env)
    lib->api->ReleaseEnv(lib->env);
  lib->memory = NULL;
  lib->env = NULL;
}

static OrtStatus *configure(const ort_library *lib, OrtSessionOptions *o, int threads) {
  const OrtApi *api = lib->api;
  OrtStatus *s = api->SetIntraOpNumThreads(o, threads);
  if (!s)
    s = api->SetInterOpNumThreads(o, 1);
  if (!s)
    s = api->SetSessionGraphOptimizationLevel(o, ORT_ENABLE_ALL);
  if (!s)
    s = api->SetSessionLogSeverityLevel(o, ORT_LOGGING_LEVEL_ERROR);
  if (!s)
    s = api->AddSessionConfigEntry(o, "session.intra_op.allow_spinning", "0");
  if (!s)
    s = api->AddSessionConfigEntry(o, "session.inter_op.allow_spinning", "0");
  if (!s && lib->table >= 24)
    s = api->AddSessionConfigEntry(o, "session.record_ep_graph_assignment_info", "1");
  return s;
}

char *ort_session(const ort_library *lib, const void *model, size_t size, int threads, const ort_provider *providers,
                  size_t nproviders, OrtSession **out) {
  const OrtApi *api = lib->api;
  OrtSessionOptions *options = NULL;
  char *err = ort_taken(api, api->CreateSessionOptions(&options));
  if (!err)
    err = ort_taken(api, configure(lib, options, threads));
  for (size_t i = 0; i < nproviders && !err; i++)
    err = ort_append(lib, options, &providers[i]);
  if (!err)
    err = ort_taken(api, api->CreateSessionFromArray(lib->env, model, size, options, out));
  api->ReleaseSessionOptions(options);
  return err;
}

void ort_session_free(const ort_library *lib, OrtSession *session) { lib->api->ReleaseSession(session); }

char *ort_count(const ort_library *lib, OrtSession *session, int output, size_t *n) {
  const OrtApi *api = lib->api;
  return ort_taken(api, output ? api->SessionGetOutputCount(session, n) : api->SessionGetInputCount(session, n));
}

static OrtStatus *port_name(const OrtApi *api, OrtSession *session, int output, size_t index, ort_port *out) {
  OrtAllocator *heap;
  char *name;
  OrtStatus *s = api->GetAllocatorWithDefaultOptions(&heap);
  if (!s)
    s = output ? api->SessionGetOutputName(session, index, heap, &name) : api->SessionGetInputName(session, index, heap, &name);
  if (s)
    return s;
  out->name = strdup(name);
  return api->AllocatorFree(heap, name);
}

static OrtStatus *port_shape(const OrtApi *api, const OrtTypeInfo *info, ort_port *out) {
  const OrtTensorTypeAndShapeInfo *tensor = NULL;
  ONNXTensorElementDataType type;
  OrtStatus *s = api->CastTypeInfoToTensorInfo(info, &tensor);
  if (s || !tensor) // not a tensor: type stays 0
    return s;
  if ((s = api->GetTensorElementType(tensor, &type)) || (s = api->GetDimensionsCount(tensor, &out->rank)))
    return s;
  out->type = type;
  out->dims = calloc(out->rank + 1, sizeof *out->dims);
  return api->GetDimensions(tensor, out->dims, out->rank);
}

char *ort_describe(const ort_library *lib, OrtSession *session, int output, size_t index, ort_port *out) {
  const OrtApi *api = lib->api;
  OrtTypeInfo *info = NULL;
  OrtStatus *s = port_name(api, session, output, index, out);
  if (!s)
    s = output ? api->SessionGetOutputTypeInfo(session, index, &info) : api->SessionGetInputTypeInfo(session, index, &info);
  if (!s)
    s = port_shape(api, info, out);
  if (info)
    api->ReleaseTypeInfo(info);
  return ort_taken(api, s);
}

char *ort_binding(const ort_library *lib, OrtSession *session, OrtIoBinding **out) {
  return ort_taken(lib->api, lib->api->CreateIoBinding(session, out));
}

char *ort_bind(const ort_library *lib, OrtIoBinding *binding, int output, const char *name, int type, const int64_t *dims,
               size_t rank, const OrtMemoryInfo *memory, uintptr_t address, size_t bytes) {
  const OrtApi *api = lib->api;
  OrtValue *value = NULL;
  void *data = (void *)address;
  OrtStatus *s = api->CreateTensorWithDataAsOrtValue(memory ? memory : lib->memory, data, bytes, dims, rank, (ONNXTensorElementDataType)type, &value);
  if (s)
    return ort_taken(api, s);
  s = output ? api->BindOutput(binding, name, value) : api->BindInput(binding, name, value);
  api->ReleaseValue(value); // the binding holds its own reference
  return ort_taken(api, s);
}

char *ort_option(const ort_library *lib, OrtRunOptions **options, const char *key, const char *value) {
  const OrtApi *api = lib->api;
  OrtStatus *s = *options ? NULL : api->CreateRunOptions(options);
  return ort_taken(api, s ? s : api->AddRunConfigEntry(*options, key, value));
}

char *ort_run(const ort_library *lib, OrtSession *session, const OrtRunOptions *options, OrtIoBinding *binding) {
  return ort_taken(lib->api, lib->api->RunWithBinding(session, options, binding));
}

void ort_binding_free(const ort_library *lib, OrtIoBinding *binding, OrtRunOptions *options) {
  lib->api->ReleaseIoBinding(binding);
  lib->api->ReleaseRunOptions(options);
}
