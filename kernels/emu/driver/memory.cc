// Device and pinned memory. Each allocation is a mapping of its own that ends at a
// page nothing may touch, and begins filled with 0xFF: NaN to whoever reads what
// nobody wrote.
#include <sys/mman.h>

#include <cstring>

#include "device.h"

namespace {
constexpr size_t PAGE = 4096, ALIGN = 256, FILL = (size_t)64 << 20;

bool map_region(Region* r, size_t bytes) {
  size_t whole = (bytes + ALIGN - 1) / ALIGN * ALIGN, body = (whole + PAGE - 1) / PAGE * PAGE;
  r->bytes = bytes;
  r->mapped = body + 2 * PAGE;
  void* m = mmap(nullptr, r->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m == MAP_FAILED) return false;
  r->map = (char*)m;
  r->data = r->map + PAGE + body - whole;
  if (mprotect(r->map + PAGE, body, PROT_READ | PROT_WRITE)) return false;
  if (bytes < FILL) memset(r->data, 0xFF, whole);
  return true;
}

// What lies between an allocation's end and the guard page must be untouched.
void unmap_region(const Region& r) {
  if (r.bytes < FILL)
    for (size_t i = r.bytes; i < (r.bytes + ALIGN - 1) / ALIGN * ALIGN; i++)
      if ((unsigned char)r.data[i] != 0xFF) {
        report("%zu bytes of memory were written to at byte %zu, which is past their end", r.bytes, i);
        break;
      }
  munmap(r.map, r.mapped);
}

const Region* find(const std::map<uint64_t, Region>& table, uint64_t address, size_t bytes) {
  auto at = table.upper_bound(address);
  if (at == table.begin()) return nullptr;
  --at;
  return address + bytes <= at->first + at->second.bytes && address + bytes >= address ? &at->second : nullptr;
}

void count(const Region& r, bool device_memory, int sign) {
  sightline_emu_add(device_memory ? "allocations" : "pinned", sign);
  sightline_emu_add(device_memory ? "bytes" : "pinned_bytes", sign * (int64_t)r.bytes);
  if (device_memory) device(r.context->device).used += sign * r.bytes;
}
}  // namespace

bool on_device(uint64_t address, size_t bytes) {
  std::lock_guard<std::mutex> guard(tables().lock);
  return find(tables().device, address, bytes);
}

bool is_pinned(const void* p, size_t bytes) {
  std::lock_guard<std::mutex> guard(tables().lock);
  return find(tables().pinned, (uint64_t)p, bytes);
}

// Device memory of the context, and whatever is pinned, to the end of its last 256 bytes.
emu_range reachable(CUctx_st* c, uint64_t address) {
  std::lock_guard<std::mutex> guard(tables().lock);
  for (auto* table : {&tables().device, &tables().pinned}) {
    auto at = table->upper_bound(address);
    if (at == table->begin()) continue;
    --at;
    size_t whole = (at->second.bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (address - at->first < whole && (at->second.context == c || table == &tables().pinned)) return {at->first, whole};
  }
  return {0, 0};
}

void free_memory(CUctx_st* c) {
  std::lock_guard<std::mutex> guard(tables().lock);
  for (auto* table : {&tables().device, &tables().pinned})
    for (auto at = table->begin(); at != table->end();) {
      if (at->second.context != c) {
        ++at;
        continue;
      }
      count(at->second, table == &tables().device, -1);
      sightline_emu_add("abandoned", 1);
      unmap_region(at->second);
      at = table->erase(at);
    }
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* p, size_t bytes) {
  ENTER(c);
  UNSAFE();
  if (!bytes) return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard<std::mutex> guard(tables().lock);
  Region r{c, 0, 0, nullptr, nullptr};
  Device& d = device(c->device);
  if (sightline_emu_hit("alloc") || bytes > d.total - d.used || !map_region(&r, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  *p = (CUdeviceptr)r.data;
  tables().device[*p] = r;
  count(r, true, 1);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr* p, size_t* pitch, size_t width, size_t height, unsigned) {
  *pitch = (width + 511) / 512 * 512;
  return cuMemAlloc_v2(p, *pitch * height);
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr p) {
  ENTER(c);
  UNSAFE();
  if (!p) return CUDA_SUCCESS;
  drain(c);
  std::lock_guard<std::mutex> guard(tables().lock);
  auto at = tables().device.find(p);
  if (at == tables().device.end()) {
    say("cuMemFree of 0x%llx, which %s", (unsigned long long)p,
        find(tables().device, p, 1) ? "lies inside an allocation" : "is no allocation, or not any more");
    return CUDA_ERROR_INVALID_VALUE;
  }
  count(at->second, true, -1);
  unmap_region(at->second);
  tables().device.erase(at);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  ENTER(c);
  Device& d = device(c->device);
  *total = d.total, *free = d.total - d.used;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes, CUdeviceptr p) {
  ENTER(c);
  std::lock_guard<std::mutex> guard(tables().lock);
  const Region* r = find(tables().device, p, 1);
  if (!r) return CUDA_ERROR_NOT_FOUND;
  if (base) *base = (CUdeviceptr)r->data;
  if (bytes) *bytes = r->bytes;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemHostAlloc(void** p, size_t bytes, unsigned) {
  ENTER(c);
  UNSAFE();
  if (!bytes) return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard<std::mutex> guard(tables().lock);
  Region r{c, 0, 0, nullptr, nullptr};
  if (sightline_emu_hit("pinned") || !map_region(&r, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  *p = r.data;
  tables().pinned[(uint64_t)r.data] = r;
  count(r, false, 1);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemAllocHost_v2(void** p, size_t bytes) { return cuMemHostAlloc(p, bytes, 0); }

EXPORT CUresult cuMemFreeHost(void* p) {
  ENTER(c);
  UNSAFE();
  drain(c);
  std::lock_guard<std::mutex> guard(tables().lock);
  auto at = tables().pinned.find((uint64_t)p);
  if (at == tables().pinned.end()) {
    say("cuMemFreeHost of %p, which is no pinned memory, or not any more", p);
    return CUDA_ERROR_INVALID_VALUE;
  }
  count(at->second, false, -1);
  unmap_region(at->second);
  tables().pinned.erase(at);
  return CUDA_SUCCESS;
}

// A real GPU's memory has no host pointer. The emulated one's has, unless
// SIGHTLINE_EMU_HOST_POINTER=0: engines on the processor can work in place.
EXPORT CUresult cuPointerGetAttribute(void* to, CUpointer_attribute attribute, CUdeviceptr p) {
  ENTER(c);
  std::lock_guard<std::mutex> guard(tables().lock);
  const Region* r = find(tables().device, p, 1);
  const Region* host = r ? nullptr : find(tables().pinned, p, 1);
  if (!r && !host) return CUDA_ERROR_INVALID_VALUE;
  switch ((int)attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: *(CUcontext*)to = (r ? r : host)->context; break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(unsigned*)to = r ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int*)to = (r ? r : host)->context->device; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *(CUdeviceptr*)to = p; break;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      if (r && !setting("HOST_POINTER", 1)) return CUDA_ERROR_INVALID_VALUE;
      *(void**)to = (void*)p;
      break;
    default: return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}
