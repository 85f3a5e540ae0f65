/*
 * Token buckets of an ENI's allowances. Burst: what a tenth of a second brings, at least what the caller asks for (one 64 KiB
 * frame). One owner, no atomics.
 */
#ifndef OUTBOARD_VPC_METER_H
#define OUTBOARD_VPC_METER_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: unlimited. Fractions are of 2^64: a rate is exact to a unit in centuries. */
struct meter {
	uint64_t tokens, tokens_fraction;
	uint64_t burst; /* 0: unlimited */
	uint64_t per_tick, per_tick_fraction;
	uint64_t fill_ticks; /* from empty to full, rounded up */
	uint64_t filled_tsc;
};

/* Keeps the level, clipped; what was unlimited starts full. per_second 0: unlimited. */
void meter_set(struct meter *m, uint64_t per_second, uint64_t burst_min, uint64_t ticks_per_second, uint64_t now_tsc);
bool meter_take_limited(struct meter *m, uint64_t units, uint64_t now_tsc);

/* All or nothing. More than the burst at once is never there. */
static inline bool meter_take(struct meter *m, uint64_t units, uint64_t now_tsc)
{
	return m->burst == 0 || meter_take_limited(m, units, now_tsc);
}

#endif
