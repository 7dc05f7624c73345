package libav

/*
#include <malloc.h>
static void limit_arenas(int n) {
#ifdef M_ARENA_MAX
	mallopt(M_ARENA_MAX, n);
#else
	(void)n;
#endif
}
static void trim(void) {
#ifdef M_ARENA_MAX
	malloc_trim(0);
#endif
}
*/
import "C"

// LimitArenas keeps glibc from giving nearly every native thread an arena of its
// own, which each keep what they once needed: memory would creep up for minutes.
// Call it before native threads start. Other C libraries take no notice.
func LimitArenas(n int) { C.limit_arenas(C.int(n)) }

// Trim gives memory that native code has freed back to the system, out of the
// middle of arenas too, which glibc does not do by itself. It takes milliseconds.
func Trim() { C.trim() }
