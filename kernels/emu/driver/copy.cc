// Copies and fills. Every range on the device is checked. Copies from pageable memory
// are staged during the call and copies into it waited for, as drivers do; with pinned
// memory both happen when the stream comes to them, and no sooner.
#include <cstring>

#include "device.h"

namespace {
// Where a copy reads or writes.
struct Side {
  char* at;
  bool device, pinned;
};

Side side(uint64_t address, size_t bytes) {
  return {(char*)address, on_device(address, bytes), is_pinned((void*)address, bytes)};
}

// Whether the device is there to work; if not, its context is lost.
bool working(CUctx_st* c) {
  if (sightline_emu_hit("device")) device(c->device).gone = true;
  if (device(c->device).gone) lose(c, CUDA_ERROR_UNKNOWN);
  return !device(c->device).gone;
}

struct Rows {  // what is copied: rows of width bytes
  size_t width, rows, to_pitch, from_pitch;
  size_t span(size_t pitch) const { return rows ? (rows - 1) * pitch + width : 0; }
};

void move(const Side& to, const Side& from, const Rows& r) {
  for (size_t y = 0; y < r.rows; y++) memmove(to.at + y * r.to_pitch, from.at + y * r.from_pitch, r.width);
  if (to.device != from.device) sightline_emu_add(to.device ? "to_device_bytes" : "to_host_bytes", r.width * r.rows);
}

CUresult copy(CUctx_st* c, Side to, Side from, Rows r, CUstream handle, bool wait) {
  if (sightline_emu_hit("copy")) return CUDA_ERROR_OPERATING_SYSTEM;
  std::shared_ptr<CUstream_st> s;
  if (CUresult refused = find_stream(c, handle, &s)) return refused;
  if (!r.width || !r.rows) return CUDA_SUCCESS;
  std::shared_ptr<std::vector<char>> staged;
  if (!wait && !from.device && !from.pinned) {
    staged = std::make_shared<std::vector<char>>(r.width * r.rows);
    for (size_t y = 0; y < r.rows; y++) memcpy(staged->data() + y * r.width, from.at + y * r.from_pitch, r.width);
    from.at = staged->data();
    r.from_pitch = r.width;
  }
  uint64_t ticket = enqueue(s, [=] {
    (void)staged;
    if (working(c)) move(to, from, r);
  });
  if (!wait && (to.device || to.pinned)) return CUDA_SUCCESS;
  s->wait(ticket);
  return c->lost;
}

// Checks that what must be device memory is.
CUresult linear(uint64_t to, uint64_t from, size_t bytes, int to_device, int from_device, CUstream s, bool wait) {
  ENTER(c);
  Side a = side(to, bytes), b = side(from, bytes);
  if (bytes && ((to_device == 1 && !a.device) || (from_device == 1 && !b.device))) {
    say("a copy of %zu bytes: 0x%llx is not that much device memory", bytes,
        (unsigned long long)(to_device == 1 && !a.device ? to : from));
    return CUDA_ERROR_INVALID_VALUE;
  }
  return copy(c, a, b, {bytes, 1, bytes, bytes}, s, wait);
}

CUresult rectangle(const CUDA_MEMCPY2D* q, CUstream s, bool wait) {
  ENTER(c);
  auto base = [](CUmemorytype type, const void* host, CUdeviceptr device) {
    return type == CU_MEMORYTYPE_HOST ? (uint64_t)host : (uint64_t)device;
  };
  Rows r{q->WidthInBytes, q->Height, q->dstPitch ? q->dstPitch : q->WidthInBytes, q->srcPitch ? q->srcPitch : q->WidthInBytes};
  if (q->dstMemoryType == CU_MEMORYTYPE_ARRAY || q->srcMemoryType == CU_MEMORYTYPE_ARRAY) return CUDA_ERROR_NOT_SUPPORTED;
  if (r.rows > 1 && (r.to_pitch < r.width + q->dstXInBytes || r.from_pitch < r.width + q->srcXInBytes)) return CUDA_ERROR_INVALID_VALUE;
  Side to = side(base(q->dstMemoryType, q->dstHost, q->dstDevice) + q->dstY * r.to_pitch + q->dstXInBytes, r.span(r.to_pitch));
  Side from = side(base(q->srcMemoryType, q->srcHost, q->srcDevice) + q->srcY * r.from_pitch + q->srcXInBytes, r.span(r.from_pitch));
  if ((q->dstMemoryType == CU_MEMORYTYPE_DEVICE && !to.device) || (q->srcMemoryType == CU_MEMORYTYPE_DEVICE && !from.device)) {
    say("a copy of %zu rows of %zu bytes leaves its device memory", r.rows, r.width);
    return CUDA_ERROR_INVALID_VALUE;
  }
  return copy(c, to, from, r, s, wait);
}

template <class T>
CUresult fill(CUdeviceptr to, size_t pitch, T value, size_t width, size_t rows, CUstream handle, bool wait) {
  ENTER(c);
  std::shared_ptr<CUstream_st> s;
  if (CUresult r = find_stream(c, handle, &s)) return r;
  if (!width || !rows) return CUDA_SUCCESS;
  if (to % sizeof(T) || !on_device(to, (rows - 1) * pitch + width * sizeof(T))) {
    say("a fill of %zu rows of %zu values leaves its device memory", rows, width);
    return CUDA_ERROR_INVALID_VALUE;
  }
  uint64_t ticket = enqueue(s, [=] {
    if (!working(c)) return;
    for (size_t y = 0; y < rows; y++)
      for (size_t x = 0; x < width; x++) ((T*)(to + y * pitch))[x] = value;
  });
  if (!wait) return CUDA_SUCCESS;
  s->wait(ticket);
  return c->lost;
}
}  // namespace

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t n) { return linear(to, (uint64_t)from, n, 1, 0, nullptr, true); }
EXPORT CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t n) { return linear((uint64_t)to, from, n, 0, 1, nullptr, true); }
EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t n) { return linear(to, from, n, 1, 1, nullptr, false); }
EXPORT CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t n) { return linear(to, from, n, 0, 0, nullptr, true); }
EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t n, CUstream s) {
  return linear(to, (uint64_t)from, n, 1, 0, s, false);
}
EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t n, CUstream s) {
  return linear((uint64_t)to, from, n, 0, 1, s, false);
}
EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s) {
  return linear(to, from, n, 1, 1, s, false);
}
EXPORT CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s) {
  return linear(to, from, n, 0, 0, s, false);
}

EXPORT CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* q) { return rectangle(q, nullptr, true); }
EXPORT CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* q) { return rectangle(q, nullptr, true); }
EXPORT CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* q, CUstream s) { return rectangle(q, s, false); }

EXPORT CUresult cuMemsetD8_v2(CUdeviceptr p, unsigned char v, size_t n) { return fill(p, 0, v, n, 1, nullptr, false); }
EXPORT CUresult cuMemsetD8Async(CUdeviceptr p, unsigned char v, size_t n, CUstream s) { return fill(p, 0, v, n, 1, s, false); }
EXPORT CUresult cuMemsetD16_v2(CUdeviceptr p, unsigned short v, size_t n) { return fill(p, 0, v, n, 1, nullptr, false); }
EXPORT CUresult cuMemsetD16Async(CUdeviceptr p, unsigned short v, size_t n, CUstream s) { return fill(p, 0, v, n, 1, s, false); }
EXPORT CUresult cuMemsetD32_v2(CUdeviceptr p, unsigned v, size_t n) { return fill(p, 0, v, n, 1, nullptr, false); }
EXPORT CUresult cuMemsetD32Async(CUdeviceptr p, unsigned v, size_t n, CUstream s) { return fill(p, 0, v, n, 1, s, false); }
EXPORT CUresult cuMemsetD2D8_v2(CUdeviceptr p, size_t pitch, unsigned char v, size_t w, size_t h) {
  return fill(p, pitch, v, w, h, nullptr, false);
}
EXPORT CUresult cuMemsetD2D8Async(CUdeviceptr p, size_t pitch, unsigned char v, size_t w, size_t h, CUstream s) {
  return fill(p, pitch, v, w, h, s, false);
}
