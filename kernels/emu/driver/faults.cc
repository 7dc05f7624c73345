// Settings from the environment, and failures on demand.
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "driver.h"

namespace {
// Kinds of operations that can be made to fail, and what then happens:
//   alloc, pinned, stream, event, module   the call returns out of memory
//   copy      the call returns CUDA_ERROR_OPERATING_SYSTEM; nothing is lost
//   launch    the kernel fails while it runs: its context is lost (719)
//   device    a launch or copy finds the device gone (999); it cannot be opened
//             again before sightline_emu_restore (46)
//   decoder   cuvidCreateDecoder fails; codec: cuvidGetDecoderCaps knows no codec
//   picture   cuvidDecodePicture fails; map: cuvidMapVideoFrame fails
struct Fault {
  const char* kind;
  std::atomic<int64_t> in{0};
};
Fault faults[] = {{"alloc"}, {"pinned"},  {"stream"}, {"event"},   {"module"}, {"copy"},
                  {"launch"}, {"device"}, {"decoder"}, {"codec"}, {"picture"}, {"map"}};

Fault* find(const char* kind) {
  for (Fault& f : faults)
    if (!strcmp(f.kind, kind)) return &f;
  return nullptr;
}

const char* environment(const char* name) { return getenv((std::string("SIGHTLINE_EMU_") + name).c_str()); }

// SIGHTLINE_EMU_FAIL=alloc=3,launch=10
bool from_environment() {
  const char* all = environment("FAIL");
  for (std::string rest = all ? all : ""; !rest.empty();) {
    std::string one = rest.substr(0, rest.find(','));
    rest.erase(0, one.size() + 1);
    size_t equals = one.find('=');
    if (equals == std::string::npos || !sightline_emu_fail(one.substr(0, equals).c_str(), atoll(&one[equals + 1])))
      say("SIGHTLINE_EMU_FAIL: cannot read %s", one.c_str());
  }
  return true;
}

std::mutex delaying;
std::condition_variable changed;  // of the delay
int64_t& delay() {                // microseconds
  static int64_t value = setting("LAG", 0);
  return value;
}

std::atomic<int>& ordering() {
  static std::atomic<int> value{(int)setting("ORDER", 0)};
  return value;
}

std::atomic<int> skipping{0};

std::mutex naming;
std::string& kernels_chosen() {
  static std::string name = environment("KERNELS") ? environment("KERNELS") : "ptx";
  return name;
}
}  // namespace

int64_t setting(const char* name, int64_t otherwise) {
  const char* value = environment(name);
  return value && *value ? atoll(value) : otherwise;
}

EXPORT int sightline_emu_fail(const char* kind, int64_t n) {
  Fault* f = find(kind);
  if (f) f->in = n;
  return f != nullptr;
}

// Whether this operation is to fail.
EXPORT int sightline_emu_hit(const char* kind) {
  static bool read = from_environment();
  (void)read;
  Fault* f = find(kind);
  if (!f) return 0;
  int64_t n = f->in;
  while (n > 0 && !f->in.compare_exchange_weak(n, n - 1)) continue;
  if (n != 1 && n >= 0) return 0;
  sightline_emu_add("faults", 1);
  return 1;
}

EXPORT void sightline_emu_lag(int64_t microseconds) {
  std::lock_guard<std::mutex> guard(delaying);
  delay() = microseconds;
  changed.notify_all();
}

void lag() {
  auto begin = std::chrono::steady_clock::now();
  auto left = [&] { return begin + std::chrono::microseconds(delay()) - std::chrono::steady_clock::now(); };
  std::unique_lock<std::mutex> guard(delaying);
  while (left().count() > 0) changed.wait_for(guard, left());
}

EXPORT void sightline_emu_order(int order) { ordering() = order; }
EXPORT void sightline_emu_skip(int line) { skipping = line; }
EXPORT void sightline_emu_kernels(const char* name) {
  std::lock_guard<std::mutex> guard(naming);
  kernels_chosen() = name;
}

int order() { return ordering(); }
int skipped() { return skipping; }
const char* kernels_name() {
  static thread_local std::string copy;
  std::lock_guard<std::mutex> guard(naming);
  return (copy = kernels_chosen()).c_str();
}
