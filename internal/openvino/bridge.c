#define _GNU_SOURCE
#include "bridge.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *failed(const ov_library *lib, ov_status status) {
  if (!status)
    return NULL;
  char *text = lib->api.ov_get_last_err_msg();
  char *message = strdup(text && *text ? text : "OpenVINO gave no reason");
  if (text)
    lib->api.ov_free(text);
  return message;
}

static int find_core(struct dl_phdr_info *info, size_t size, void *found) {
  (void)size;
  const char *base = strrchr(info->dlpi_name, '/');
  if (!base || strncmp(base + 1, "libopenvino.so", 14))
    return 0;
  *(char **)found = strdup(info->dlpi_name);
  return 1;
}

// The path of an OpenVINO that the process has loaded already, or NULL.
char *ov_loaded(void) {
  char *found = NULL;
  dl_iterate_phdr(find_core, &found);
  return found;
}

static char *resolve(void *handle, ov_api *api) {
  char *missing = NULL;
#define X(result, name, args)                                                                                                \
  if (!missing && !(*(void **)&api->name = dlsym(handle, #name)) &&                                                          \
      asprintf(&missing, "this OpenVINO library has no function %s", #name) < 0)                                             \
    missing = strdup("out of memory");
  OV_FUNCTIONS(X)
#undef X
  return missing;
}

char *ov_open(const char *path, ov_library *lib) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return strdup(dlerror());
  char *err = resolve(handle, &lib->api);
  return err ? err : failed(lib, lib->api.ov_core_create(&lib->core));
}

// The library itself stays mapped: its threads and thread-local data may outlive us.
void ov_close(ov_library *lib) {
  lib->api.ov_core_free(lib->core);
  lib->core = NULL;
}

char *ov_release(const ov_library *lib, char **text) {
  ov_version v = {0};
  char *err = failed(lib, lib->api.ov_get_openvino_version(&v));
  if (err)
    return err;
  *text = strdup(v.build);
  lib->api.ov_version_free(&v);
  return NULL;
}

char *ov_read(const ov_library *lib, const void *model, size_t size, ov_model **out) {
  return failed(lib, lib->api.ov_core_read_model_from_memory_buffer(lib->core, model, size, NULL, out));
}

char *ov_reshape(const ov_library *lib, ov_model *model, const char *input, const int64_t *dims, size_t rank) {
  ov_partial_shape shape;
  char *err = failed(lib, lib->api.ov_partial_shape_create_static((int64_t)rank, dims, &shape));
  if (err)
    return err;
  err = failed(lib, lib->api.ov_model_reshape_input_by_name(model, input, shape));
  lib->api.ov_partial_shape_free(&shape);
  return err;
}

void ov_drop_model(const ov_library *lib, ov_model *model) { lib->api.ov_model_free(model); }

// Pinning is off: threads that decode share the cores, and the calling thread is not ours to pin.
// No cache is an empty folder's name.
static ov_status compile(const ov_library *lib, const ov_model *model, const char *streams, const char *precision,
                         const char *cache, ov_compiled **out) {
  const ov_api *a = &lib->api;
  if (*precision)
    return a->ov_core_compile_model(lib->core, model, "CPU", 12, out, "PERFORMANCE_HINT", "THROUGHPUT", "NUM_STREAMS", streams,
                                    "INFERENCE_NUM_THREADS", streams, "ENABLE_CPU_PINNING", "NO", "CACHE_DIR", cache,
                                    "INFERENCE_PRECISION_HINT", precision);
  return a->ov_core_compile_model(lib->core, model, "CPU", 10, out, "PERFORMANCE_HINT", "THROUGHPUT", "NUM_STREAMS", streams,
                                  "INFERENCE_NUM_THREADS", streams, "ENABLE_CPU_PINNING", "NO", "CACHE_DIR", cache);
}

// The first compilation makes the CPU plug-in, whose constructor gives the calling thread another stack for signals and whose
// destructor, on whichever thread, unmaps it. The next signal to a thread of Go's would end the process: put its stack back.
char *ov_compile(const ov_library *lib, const ov_model *model, const char *streams, const char *precision, const char *cache,
                 ov_compiled **out) {
  stack_t before;
  int known = sigaltstack(NULL, &before) == 0;
  char *err = failed(lib, compile(lib, model, streams, precision, cache, out));
  if (known)
    sigaltstack(&before, NULL);
  return err;
}

char *ov_property(const ov_library *lib, const ov_compiled *compiled, const char *key, char **text) {
  char *value = NULL;
  char *err = failed(lib, lib->api.ov_compiled_model_get_property(compiled, key, &value));
  if (err)
    return err;
  *text = strdup(value);
  lib->api.ov_free(value);
  return NULL;
}

void ov_drop_compiled(const ov_library *lib, ov_compiled *compiled) { lib->api.ov_compiled_model_free(compiled); }

char *ov_make_request(const ov_library *lib, const ov_compiled *compiled, ov_request **out) {
  return failed(lib, lib->api.ov_compiled_model_create_infer_request(compiled, out));
}

// A tensor over data of the port's own type and shape, which has to take exactly the bytes there.
static char *wrap(const ov_library *lib, const ov_port *port, void *data, size_t bytes, ov_tensor **out) {
  const ov_api *a = &lib->api;
  ov_element_type type;
  ov_shape shape = {0};
  size_t need = 0;
  char *err = failed(lib, a->ov_port_get_element_type(port, &type));
  if (!err)
    err = failed(lib, a->ov_const_port_get_shape(port, &shape));
  if (!err)
    err = failed(lib, a->ov_tensor_create_from_host_ptr(type, shape, data, out));
  if (!err)
    err = failed(lib, a->ov_tensor_get_byte_size(*out, &need));
  if (shape.dims)
    a->ov_shape_free(&shape);
  if (!err && need != bytes && asprintf(&err, "it takes %zu bytes, not %zu", need, bytes) < 0)
    err = strdup("out of memory");
  return err;
}

char *ov_bind(const ov_library *lib, const ov_compiled *compiled, ov_request *request, int output, const char *name, void *data,
              size_t bytes) {
  const ov_api *a = &lib->api;
  ov_port *port = NULL;
  ov_tensor *tensor = NULL;
  char *err = failed(lib, output ? a->ov_compiled_model_output_by_name(compiled, name, &port)
                                 : a->ov_compiled_model_input_by_name(compiled, name, &port));
  if (err)
    return err;
  err = wrap(lib, port, data, bytes, &tensor);
  if (!err)
    err = failed(lib, a->ov_infer_request_set_tensor(request, name, tensor));
  if (tensor)
    a->ov_tensor_free(tensor); // the request holds its own reference
  a->ov_output_const_port_free(port);
  return err;
}

char *ov_infer(const ov_library *lib, ov_request *request) { return failed(lib, lib->api.ov_infer_request_infer(request)); }

void ov_drop_request(const ov_library *lib, ov_request *request) { lib->api.ov_infer_request_free(request); }
