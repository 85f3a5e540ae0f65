#include "base/clock.h"

#include <time.h>

/* Set once by clock_calibrate() before any thread starts, then only read. Scaled by 2^32 so that a conversion is one multiply. */
static uint64_t tsc_hz;
static uint64_t ns_per_tick_q32;
static uint64_t ticks_per_ns_q32;

uint64_t clock_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t measure_hz(void)
{
#if defined(__aarch64__)
	uint64_t hz;
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
	return hz;
#else
	uint64_t ns = clock_monotonic_ns(), tsc = clock_tsc(), ns_end;

	do
		ns_end = clock_monotonic_ns();
	while (ns_end - ns < 20000000);
	return (uint64_t)((unsigned __int128)(clock_tsc() - tsc) * 1000000000u / (ns_end - ns));
#endif
}

void clock_calibrate(void)
{
	if (tsc_hz != 0)
		return;
	tsc_hz = measure_hz();
	ns_per_tick_q32 = (uint64_t)(((unsigned __int128)1000000000u << 32) / tsc_hz);
	ticks_per_ns_q32 = (uint64_t)(((unsigned __int128)tsc_hz << 32) / 1000000000u);
}

uint64_t clock_tsc_hz(void)
{
	return tsc_hz;
}

uint64_t clock_tsc_to_ns(uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * ns_per_tick_q32) >> 32);
}

uint64_t clock_ns_to_tsc(uint64_t duration_ns)
{
	return (uint64_t)(((unsigned __int128)duration_ns * ticks_per_ns_q32) >> 32);
}
