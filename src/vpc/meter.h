/* Token buckets of an ENI's allowances. Burst: what a tenth of a second brings, at least one 64 KiB frame. One owner, no atomics.
 */
#ifndef OUTBOARD_VPC_METER_H
#define OUTBOARD_VPC_METER_H

#include <stdbool.h>
#include <stdint.h>

struct meter {
	uint64_t tokens_q; /* in 1/2^16 units */
	uint64_t burst_q;
	uint64_t per_tick_q32; /* units << 32 a tick; 0: unlimited */
	uint64_t filled_tsc;
};

void meter_set(struct meter *m, uint64_t per_second, uint64_t burst_min, uint64_t ticks_per_second,
	       uint64_t now_tsc);				    /* keeps the level, clipped; 0: unlimited */
bool meter_take(struct meter *m, uint64_t units, uint64_t now_tsc); /* all or nothing */

#endif
