// How tests look into the emulated driver and disturb it. The functions are
// exported, so that a program finds them by dlsym; on a real driver there are none.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {
// A counter's value, -1 for an unknown name. See counts.cc for the names.
int64_t sightline_emu_count(const char* name);
// Makes the n-th operation of a kind from now fail, once; n < 0: each from now on; 0:
// none any more. Returns 0 for an unknown kind. See faults.cc for the kinds.
int sightline_emu_fail(const char* kind, int64_t n);
// Lets a device that was lost be opened again.
void sightline_emu_restore(int device);
// Delays every operation on a stream by so many microseconds, those under way too: a
// long delay holds all streams until a shorter one is set.
void sightline_emu_lag(int64_t microseconds);
// Kernels of modules that are loaded later: ptx, cxx, race, or a library's path.
void sightline_emu_kernels(const char* name);
// In which order the threads of a block run between barriers: 0 upward, 1 downward, 2
// scattered. The result of a kernel without races does not depend on it.
void sightline_emu_order(int order);
// Passes over the barrier at this line of the PTX, as if it were not there; 0: none.
void sightline_emu_skip(int line);
// What went wrong inside kernels since the last call: races, illegal addresses. Writes
// at most room bytes, ended by 0, and returns how many bytes there were.
size_t sightline_emu_report(char* to, size_t room);

// For libnvcuvid, which is the other half of the emulation.
void sightline_emu_add(const char* name, int64_t n);
int sightline_emu_hit(const char* kind);
}

// Inside the driver.
void report(const char* format, ...) __attribute__((format(printf, 1, 2)));
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));  // about misuse, to stderr
int64_t setting(const char* name, int64_t otherwise);                     // SIGHTLINE_EMU_name
void lag();  // waits as long as operations are delayed
int order();
int skipped();
const char* kernels_name();
