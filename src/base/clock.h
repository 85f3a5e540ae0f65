/*
 * Time. The data path counts ticks of the processor's invariant counter (TSC; CNTVCT on Arm) and converts only to show.
 * clock_calibrate() must have been called once in main(). Reading the counter costs about 12 ns in a VM: a poller reads it
 * once a visit and hands the value down as `now_tsc`.
 */
#ifndef OUTBOARD_BASE_CLOCK_H
#define OUTBOARD_BASE_CLOCK_H

#include <stdint.h>

static inline uint64_t clock_tsc(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t t;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
	return t;
#else
#error "no invariant counter known for this processor"
#endif
}

void clock_calibrate(void); /* about 20 ms on x86 unless the processor tells its frequency; idempotent */
uint64_t clock_tsc_hz(void);
uint64_t clock_tsc_to_ns(uint64_t ticks);
uint64_t clock_ns_to_tsc(uint64_t duration_ns);
uint64_t clock_monotonic_ns(void); /* CLOCK_MONOTONIC, for control paths */

#endif
