#include "volume/throttle.h"

#include <stdbool.h>
#include <string.h>

enum { UNIT_SHIFT = 24 };
static const uint64_t gib_bytes = 1ull << 30;

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t ticks_of(const struct throttle_gate *gate, uint64_t units)
{
	unsigned __int128 ticks = ((unsigned __int128)units * gate->unit_ticks_q24) >> UNIT_SHIFT;

	return ticks > INT64_MAX / 2 ? INT64_MAX / 2 : (uint64_t)ticks; /* centuries; keeps sums inside 64 bits */
}

static uint64_t units_missing(const struct throttle_gate *gate, uint64_t now_tsc)
{
	if (gate->unit_ticks_q24 == 0 || gate->full_tsc <= now_tsc)
		return 0;
	return (uint64_t)(((unsigned __int128)(gate->full_tsc - now_tsc) << UNIT_SHIFT) / gate->unit_ticks_q24);
}

static void gate_set(struct throttle_gate *gate, uint64_t rate, uint64_t depth_units, uint64_t missing_units, uint64_t tsc_hz,
		     uint64_t now_tsc)
{
	*gate = (struct throttle_gate){0};
	if (rate == 0)
		return;
	gate->unit_ticks_q24 = max_u64((uint64_t)((((unsigned __int128)tsc_hz << UNIT_SHIFT) + rate / 2) / rate), 1);
	gate->depth_ticks = max_u64(ticks_of(gate, depth_units), ticks_of(gate, 1));
	gate->full_tsc = now_tsc + ticks_of(gate, missing_units);
}

static uint64_t price_units(const struct throttle_price *price, enum throttle_gate_kind kind)
{
	return kind == THROTTLE_BYTES ? price->bytes : price->ios;
}

static uint64_t baseline_iops(uint64_t size_bytes)
{
	return max_u64(size_bytes / gib_bytes * THROTTLE_BASELINE_IOPS_PER_GIB, THROTTLE_BASELINE_IOPS_MIN);
}

void throttle_set(struct throttle *t, const struct volume_rate *rate, uint64_t size_bytes, uint64_t tsc_hz, uint64_t now_tsc)
{
	uint64_t baseline = baseline_iops(size_bytes), missing[THROTTLE_GATES];
	uint64_t iops = rate->burst ? max_u64(baseline, THROTTLE_BURST_IOPS) : rate->iops;

	for (unsigned kind = 0; kind < THROTTLE_GATES; kind++) {
		uint64_t refund = 0;

		for (unsigned i = 0; i < t->waiters_count; i++)
			if (t->waiters[i].start_tsc != 0)
				refund += price_units(&t->waiters[i].price, kind);
		missing[kind] = units_missing(&t->gates[kind], now_tsc);
		missing[kind] -= refund < missing[kind] ? refund : missing[kind];
	}
	for (unsigned i = 0; i < t->waiters_count; i++)
		t->waiters[i].start_tsc = 0;
	gate_set(&t->gates[THROTTLE_IOS], iops, iops / THROTTLE_DEPTH_PER_SECOND, missing[THROTTLE_IOS], tsc_hz, now_tsc);
	gate_set(&t->gates[THROTTLE_BYTES], rate->throughput_bytes, rate->throughput_bytes / THROTTLE_DEPTH_PER_SECOND,
		 missing[THROTTLE_BYTES], tsc_hz, now_tsc);
	gate_set(&t->gates[THROTTLE_CREDITS], rate->burst ? baseline : 0, THROTTLE_BURST_CREDITS, missing[THROTTLE_CREDITS], tsc_hz,
		 now_tsc);
	t->recheck_ticks = max_u64(tsc_hz / THROTTLE_RECHECKS_PER_SECOND, 1);
	t->stale_ticks = tsc_hz;
}

static uint64_t io_units(uint64_t bytes)
{
	return bytes / VOLUME_IO_UNIT_BYTES + (bytes % VOLUME_IO_UNIT_BYTES != 0);
}

static struct throttle_price price_of(struct throttle *t, const struct blk_io *io)
{
	struct throttle_price price = {.ios = 1};
	struct throttle_run *run = &t->runs[io->op != BLK_READ];
	uint64_t before;

	if (io->op == BLK_FLUSH || io->op == BLK_DISCARD)
		return price;
	if (io->offset_bytes != run->end_bytes)
		run->length_bytes = 0;
	before = io_units(run->length_bytes);
	run->length_bytes += io->length_bytes;
	run->end_bytes = io->offset_bytes + io->length_bytes;
	price.ios = io_units(run->length_bytes) - before;
	price.bytes = io->length_bytes;
	return price;
}

/* Pays `price`; returns when what was paid for may start. */
static uint64_t reserve(struct throttle *t, const struct throttle_price *price, uint64_t now_tsc)
{
	uint64_t ticks[THROTTLE_GATES], start = now_tsc;

	for (unsigned kind = 0; kind < THROTTLE_GATES; kind++) {
		const struct throttle_gate *gate = &t->gates[kind];

		ticks[kind] = ticks_of(gate, price_units(price, kind));
		if (ticks[kind] != 0) {
			uint64_t paid_tsc = max_u64(gate->full_tsc, now_tsc) + ticks[kind];

			if (paid_tsc > gate->depth_ticks) /* a day's credits are more than the counter has run */
				start = max_u64(start, paid_tsc - gate->depth_ticks);
		}
	}
	for (unsigned kind = 0; kind < THROTTLE_GATES; kind++) {
		struct throttle_gate *gate = &t->gates[kind];
		uint64_t from_full = ticks[kind] < gate->depth_ticks ? ticks[kind] : gate->depth_ticks;

		/* Dearer than the bucket: it has saved up for it while it waited, and the bucket is empty afterwards, not in debt.
		 */
		if (ticks[kind] != 0)
			gate->full_tsc = max_u64(gate->full_tsc + ticks[kind], start + from_full);
	}
	return start;
}

static struct throttle_waiter *waiter_find(struct throttle *t, const struct blk_io *io)
{
	for (unsigned i = 0; i < t->waiters_count; i++) {
		struct throttle_waiter *w = &t->waiters[i];

		if (w->io == io && w->offset_bytes == io->offset_bytes && w->length_bytes == io->length_bytes)
			return w;
	}
	return NULL;
}

static void waiter_remove(struct throttle *t, struct throttle_waiter *w, uint64_t now_tsc)
{
	account_depart(&t->held, now_tsc, 1, w->length_bytes, now_tsc - w->since_tsc);
	*w = t->waiters[--t->waiters_count];
}

/* A queue that stops takes its request with it and never asks again: those make room, and the oldest does when all are fresh. */
static void waiters_make_room(struct throttle *t, uint64_t now_tsc)
{
	struct throttle_waiter *oldest = &t->waiters[0];

	for (unsigned i = t->waiters_count; i-- > 0;) {
		struct throttle_waiter *w = &t->waiters[i];

		if (w->start_tsc != 0 && w->start_tsc + t->stale_ticks < now_tsc)
			waiter_remove(t, w, now_tsc);
		else if (w->since_tsc < oldest->since_tsc)
			oldest = w;
	}
	if (t->waiters_count == THROTTLE_WAITERS_MAX)
		waiter_remove(t, oldest, now_tsc);
}

void throttle_forget_waiters(struct throttle *t, uint64_t now_tsc)
{
	while (t->waiters_count > 0)
		waiter_remove(t, &t->waiters[0], now_tsc);
}

static uint64_t ask_again(const struct throttle *t, uint64_t start_tsc, uint64_t now_tsc)
{
	uint64_t recheck_tsc = now_tsc + t->recheck_ticks;

	return start_tsc < recheck_tsc ? start_tsc : recheck_tsc;
}

uint64_t throttle_admit(struct throttle *t, const struct blk_io *io, uint64_t now_tsc)
{
	struct throttle_waiter *w = waiter_find(t, io);
	struct throttle_price price;
	uint64_t start_tsc;

	if (w == NULL) {
		price = price_of(t, io);
		start_tsc = reserve(t, &price, now_tsc);
		if (start_tsc <= now_tsc)
			return 0;
		waiters_make_room(t, now_tsc);
		t->waiters[t->waiters_count++] = (struct throttle_waiter){
			.io = io,
			.offset_bytes = io->offset_bytes,
			.length_bytes = io->length_bytes,
			.since_tsc = now_tsc,
			.start_tsc = start_tsc,
			.price = price,
		};
		account_arrive(&t->held, now_tsc, 1);
		return ask_again(t, start_tsc, now_tsc);
	}
	if (w->start_tsc == 0)
		w->start_tsc = reserve(t, &w->price, now_tsc);
	if (w->start_tsc > now_tsc)
		return ask_again(t, w->start_tsc, now_tsc);
	waiter_remove(t, w, now_tsc);
	return 0;
}
