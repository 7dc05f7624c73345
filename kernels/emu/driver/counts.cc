// Counters: what is alive, the most there was, and what passed by.
#include <cstdarg>
#include <cstring>

#include "driver.h"

namespace {
struct Counter {
  const char* name;
  std::atomic<int64_t> live{0}, peak{0};
};

// Live objects, and sums of what happened.
Counter counters[] = {
    {"allocations"}, {"bytes"},   {"pinned"},    {"pinned_bytes"}, {"streams"},  {"events"},          {"modules"},
    {"contexts"},    {"decoders"}, {"surfaces"}, {"launches"},     {"pictures"}, {"to_device_bytes"}, {"to_host_bytes"},
    {"abandoned"},   {"faults"},  {"races"},
};

Counter* find(const char* name, size_t length) {
  for (Counter& c : counters)
    if (strlen(c.name) == length && !strncmp(c.name, name, length)) return &c;
  return nullptr;
}

std::mutex reporting;
std::string reported;
}  // namespace

// "peak_" before a name asks for the most there was at once.
EXPORT int64_t sightline_emu_count(const char* name) {
  if (Counter* c = find(name, strlen(name))) return c->live;
  if (strncmp(name, "peak_", 5)) return -1;
  Counter* c = find(name + 5, strlen(name + 5));
  return c ? c->peak.load() : -1;
}

EXPORT void sightline_emu_add(const char* name, int64_t n) {
  Counter* c = find(name, strlen(name));
  if (!c) return;
  int64_t now = c->live += n, most = c->peak;
  while (now > most && !c->peak.compare_exchange_weak(most, now)) continue;
}

EXPORT size_t sightline_emu_report(char* to, size_t room) {
  std::lock_guard<std::mutex> guard(reporting);
  size_t n = reported.size();
  if (room) {
    size_t fits = n < room ? n : room - 1;
    memcpy(to, reported.data(), fits);
    to[fits] = 0;
    reported.clear();
  }
  return n;
}

void report(const char* format, ...) {
  char line[512];
  va_list values;
  va_start(values, format);
  vsnprintf(line, sizeof line, format, values);
  va_end(values);
  fprintf(stderr, "emulated GPU: %s\n", line);
  std::lock_guard<std::mutex> guard(reporting);
  if (reported.size() < 1 << 16) reported.append(line).append("\n");
}

void say(const char* format, ...) {
  char line[512];
  va_list values;
  va_start(values, format);
  vsnprintf(line, sizeof line, format, values);
  va_end(values);
  fprintf(stderr, "emulated driver: %s\n", line);
}
