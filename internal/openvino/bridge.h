// The C side of package openvino. Every function that can fail returns NULL, or
// a message for the caller to free().
#ifndef SIGHTLINE_OPENVINO_BRIDGE_H
#define SIGHTLINE_OPENVINO_BRIDGE_H

#include "api.h"

typedef struct {
  ov_api api;
  ov_core *core;
} ov_library;

char *ov_loaded(void);
char *ov_open(const char *path, ov_library *lib);
void ov_close(ov_library *lib);
char *ov_release(const ov_library *lib, char **text);

char *ov_read(const ov_library *lib, const void *model, size_t size, ov_model **out);
char *ov_reshape(const ov_library *lib, ov_model *model, const char *input, const int64_t *dims, size_t rank);
void ov_drop_model(const ov_library *lib, ov_model *model);

char *ov_compile(const ov_library *lib, const ov_model *model, const char *streams, const char *precision, const char *cache,
                 ov_compiled **out);
char *ov_property(const ov_library *lib, const ov_compiled *compiled, const char *key, char **text);
void ov_drop_compiled(const ov_library *lib, ov_compiled *compiled);

char *ov_make_request(const ov_library *lib, const ov_compiled *compiled, ov_request **out);
char *ov_bind(const ov_library *lib, const ov_compiled *compiled, ov_request *request, int output, const char *name, void *data,
              size_t bytes);
char *ov_infer(const ov_library *lib, ov_request *request);
void ov_drop_request(const ov_library *lib, ov_request *request);

#endif
