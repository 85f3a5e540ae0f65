#include "vpc/meter.h"

enum { BURSTS_PER_SECOND = 10 };

/* What came since `filled_tsc`. A gap that fills the bucket is not multiplied out, so nothing overflows, however long it is. */
static void meter_fill(struct meter *m, uint64_t now_tsc)
{
	uint64_t elapsed = now_tsc - m->filled_tsc;
	unsigned __int128 fraction;

	if ((int64_t)elapsed <= 0)
		return;
	m->filled_tsc = now_tsc;
	if (elapsed < m->fill_ticks) {
		fraction = (unsigned __int128)elapsed * m->per_tick_fraction + m->tokens_fraction;
		m->tokens += elapsed * m->per_tick + (uint64_t)(fraction >> 64);
		m->tokens_fraction = (uint64_t)fraction;
		if (m->tokens < m->burst)
			return;
	}
	m->tokens = m->burst;
	m->tokens_fraction = 0;
}

void meter_set(struct meter *m, uint64_t per_second, uint64_t burst_min, uint64_t ticks_per_second, uint64_t now_tsc)
{
	bool was_unlimited = m->burst == 0;

	if (per_second == 0) {
		*m = (struct meter){0};
		return;
	}
	if (!was_unlimited)
		meter_fill(m, now_tsc);
	m->burst = per_second / BURSTS_PER_SECOND > burst_min ? per_second / BURSTS_PER_SECOND : burst_min;
	if (m->burst == 0)
		m->burst = 1;
	m->per_tick = per_second / ticks_per_second;
	m->per_tick_fraction = (uint64_t)(((unsigned __int128)(per_second % ticks_per_second) << 64) / ticks_per_second);
	/* In the order that does not overflow for rates up to 2^64 a second and bursts of a tenth of it. */
	m->fill_ticks = (uint64_t)((unsigned __int128)m->burst * ticks_per_second / per_second) + 1;
	m->filled_tsc = now_tsc;
	if (was_unlimited || m->tokens >= m->burst) {
		m->tokens = m->burst;
		m->tokens_fraction = 0;
	}
}

bool meter_take_limited(struct meter *m, uint64_t units, uint64_t now_tsc)
{
	meter_fill(m, now_tsc);
	if (m->tokens < units)
		return false;
	m->tokens -= units;
	return true;
}
