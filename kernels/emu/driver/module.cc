// Modules: PTX text in, functions out. What runs is a library of kernels made from the
// same text before, which its hash proves, or of the same source as C++.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "device.h"

namespace {
// One kernel as PTX declares it.
struct Entry {
  std::string name;
  unsigned params = 0, max_threads = 1024;
  bool barriers = false, wide = true;  // wide: every parameter has 8 bytes
};

// The number behind a directive, in text from..to.
bool number(const std::string& text, const char* directive, size_t from, size_t to, double* value) {
  size_t at = text.find(directive, from);
  if (at == std::string::npos || at >= to) return false;
  *value = atof(text.c_str() + at + strlen(directive));
  return true;
}

std::vector<Entry> entries(const std::string& text) {
  std::vector<Entry> all;
  for (size_t at = 0; (at = text.find(".entry ", at)) != std::string::npos;) {
    at += 7;
    size_t open = text.find('(', at), close = text.find(')', open), body = text.find('{', close), end = text.find("\n}", body);
    if (end == std::string::npos) break;
    Entry e;
    e.name = text.substr(at, open - at);
    for (size_t p = open; (p = text.find(".param ", p)) < close; p += 7) {
      e.params++;
      e.wide = e.wide && text.compare(p, 12, ".param .u64 ") == 0;
    }
    double n, x, y, z;
    if (number(text, ".maxntid ", close, body, &n) &&
        sscanf(text.c_str() + text.find(".maxntid ", close) + 9, "%lf, %lf, %lf", &x, &y, &z) == 3)
      e.max_threads = (unsigned)(x * y * z);
    e.barriers = text.find("bar.sync", body) < end || text.find("barrier.sync", body) < end;
    all.push_back(e);
    at = end;
  }
  return all;
}

// Whether a driver and a GPU like ours would take the text.
CUresult acceptable(const std::string& text) {
  double isa, target;
  if (!number(text, ".version ", 0, text.size(), &isa) || !number(text, ".target sm_", 0, text.size(), &target))
    return CUDA_ERROR_INVALID_IMAGE;
  int version = driver_version();  // 11080 takes 7.8, 12020 takes 8.2
  if ((int)(isa * 10 + .5) > (version / 1000 - 4) * 10 + version % 1000 / 10) {
    say("PTX %.1f is newer than driver %d", isa, version);
    return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  }
  return target > COMPUTE ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_SUCCESS;
}

// Opens the kernels that were chosen, beside this library or at a path.
void* open_kernels() {
  std::string name = kernels_name();
  if (name.find('/') == std::string::npos) {
    Dl_info self;
    if (!dladdr((void*)&tables, &self)) return nullptr;
    std::string folder = self.dli_fname;
    name = folder.substr(0, folder.rfind('/') + 1) + "libkernels-" + name + ".so";
  }
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) say("%s", dlerror());
  return library;
}

CUresult link(CUmod_st* m, const char* text) {
  auto* kernels = (const emu_kernel*)dlsym(m->library, "emu_kernels");
  auto* source = (const uint64_t*)dlsym(m->library, "emu_source");
  if (!kernels || !source) return CUDA_ERROR_INVALID_IMAGE;
  if (*source && *source != emu_hash(text)) {
    say("the kernels here were made from another PTX than this one: run kernels/emu/build.sh");
    return CUDA_ERROR_INVALID_PTX;
  }
  for (const Entry& e : entries(text)) {
    if (!e.wide) {
      say("kernel %s has a parameter that is not .u64: 8 bytes are copied for each", e.name.c_str());
      return CUDA_ERROR_INVALID_PTX;
    }
    const emu_kernel* k = kernels;
    while (k->name && e.name != k->name) k++;
    if (!k->name) continue;
    if (k->args != e.params) {
      say("kernel %s has %u parameters in PTX and %u in C++", e.name.c_str(), e.params, k->args);
      return CUDA_ERROR_INVALID_PTX;
    }
    m->functions[e.name].reset(new CUfunc_st{m->context, k, e.max_threads, e.barriers});
  }
  return CUDA_SUCCESS;
}
}  // namespace

CUmod_st::~CUmod_st() {
  if (library) dlclose(library);
}

EXPORT CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  ENTER(c);
  UNSAFE();
  if (sightline_emu_hit("module")) return CUDA_ERROR_OUT_OF_MEMORY;
  if (!memcmp(image, "\x7f" "ELF", 4)) return CUDA_ERROR_NO_BINARY_FOR_GPU;  // cubins run on silicon only
  if (CUresult r = acceptable((const char*)image)) return r;
  auto m = std::make_shared<CUmod_st>();
  m->context = c;
  m->library = open_kernels();
  if (!m->library) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  if (CUresult r = link(m.get(), (const char*)image)) return r;
  sightline_emu_add("modules", 1);
  std::lock_guard<std::mutex> guard(tables().lock);
  tables().modules[m.get()] = m;
  *module = m.get();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleLoadDataEx(CUmodule* m, const void* image, unsigned, CUjit_option*, void**) {
  return cuModuleLoadData(m, image);
}

EXPORT CUresult cuModuleUnload(CUmodule module) {
  ENTER(c);
  UNSAFE();
  drain(c);
  std::lock_guard<std::mutex> guard(tables().lock);
  if (!tables().modules.erase(module)) return CUDA_ERROR_INVALID_HANDLE;
  sightline_emu_add("modules", -1);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetFunction(CUfunction* f, CUmodule module, const char* name) {
  ENTER(c);
  std::lock_guard<std::mutex> guard(tables().lock);
  auto m = tables().modules.find(module);
  if (m == tables().modules.end()) return CUDA_ERROR_INVALID_HANDLE;
  auto at = m->second->functions.find(name);
  if (at == m->second->functions.end()) return CUDA_ERROR_NOT_FOUND;
  *f = at->second.get();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction f) {
  switch ((int)attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = (int)f->max_threads; break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *value = (int)f->kernel->shared; break;
    default: *value = 0;
  }
  return CUDA_SUCCESS;
}
