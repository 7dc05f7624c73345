// Prototypes of the part of OpenVINO's C API that package openvino uses,
// declared here so that building needs no OpenVINO. Layouts are those of
// releases 2022.1 to 2026.4; enumerations that changed between them are handed
// back as they were received and never interpreted.
#ifndef SIGHTLINE_OPENVINO_API_H
#define SIGHTLINE_OPENVINO_API_H

#include <stddef.h>
#include <stdint.h>

typedef int ov_status; // 0 is success
typedef unsigned ov_element_type;
typedef struct ov_core ov_core;
typedef struct ov_model ov_model;
typedef struct ov_compiled ov_compiled;
typedef struct ov_request ov_request;
typedef struct ov_tensor ov_tensor;
typedef struct ov_port ov_port;
typedef struct { int64_t rank; int64_t *dims; } ov_shape;
typedef struct { int64_t min, max; } ov_dimension;
typedef struct { ov_dimension rank; ov_dimension *dims; } ov_partial_shape;
typedef struct { const char *build, *description; } ov_version;

#define OV_FUNCTIONS(X)                                                                                       \
  X(char *, ov_get_last_err_msg, (void))                                                                      \
  X(void, ov_free, (const char *))                                                                            \
  X(ov_status, ov_get_openvino_version, (ov_version *))                                                       \
  X(void, ov_version_free, (ov_version *))                                                                    \
  X(ov_status, ov_core_create, (ov_core **))                                                                  \
  X(void, ov_core_free, (ov_core *))                                                                          \
  X(ov_status, ov_core_read_model_from_memory_buffer,                                                         \
    (const ov_core *, const char *, size_t, const ov_tensor *, ov_model **))                                  \
  X(void, ov_model_free, (ov_model *))                                                                        \
  X(ov_status, ov_model_reshape_input_by_name, (const ov_model *, const char *, ov_partial_shape))            \
  X(ov_status, ov_partial_shape_create_static, (int64_t, const int64_t *, ov_partial_shape *))                \
  X(void, ov_partial_shape_free, (ov_partial_shape *))                                                        \
  X(ov_status, ov_core_compile_model, (const ov_core *, const ov_model *, const char *, size_t, ov_compiled **, ...)) \
  X(void, ov_compiled_model_free, (ov_compiled *))                                                            \
  X(ov_status, ov_compiled_model_get_property, (const ov_compiled *, const char *, char **))                  \
  X(ov_status, ov_compiled_model_input_by_name, (const ov_compiled *, const char *, ov_port **))              \
  X(ov_status, ov_compiled_model_output_by_name, (const ov_compiled *, const char *, ov_port **))             \
  X(ov_status, ov_port_get_element_type, (const ov_port *, ov_element_type *))                                \
  X(ov_status, ov_const_port_get_shape, (const ov_port *, ov_shape *))                                        \
  X(ov_status, ov_shape_free, (ov_shape *))                                                                   \
  X(void, ov_output_const_port_free, (ov_port *))                                                             \
  X(ov_status, ov_compiled_model_create_infer_request, (const ov_compiled *, ov_request **))                  \
  X(void, ov_infer_request_free, (ov_request *))                                                              \
  X(ov_status, ov_infer_request_set_tensor, (ov_request *, const char *, const ov_tensor *))                  \
  X(ov_status, ov_infer_request_infer, (ov_request *))                                                        \
  X(ov_status, ov_tensor_create_from_host_ptr, (ov_element_type, ov_shape, void *, ov_tensor **))             \
  X(ov_status, ov_tensor_get_byte_size, (const ov_tensor *, size_t *))                                        \
  X(void, ov_tensor_free, (ov_tensor *))

typedef struct {
#define X(result, name, args) result(*name) args;
  OV_FUNCTIONS(X)
#undef X
} ov_api;

#endif
