/*
 * Accounting of one queue of an I/O path: arrivals, departures, occupancy integral and a histogram of waits. One writer (the
 * poller that owns the queue), any number of readers (relaxed). Checked against Little's law: over an interval,
 * occupancy_ticks = sum of the waits of what departed (± what was inside at the edges).
 */
#ifndef OUTBOARD_BASE_ACCOUNT_H
#define OUTBOARD_BASE_ACCOUNT_H

#include <stdint.h>

#include "base/histogram.h"

struct account {
	uint64_t arrivals;
	uint64_t departures;
	uint64_t bytes;		  /* of what departed */
	uint64_t occupancy_ticks; /* integral of (arrivals - departures) dt */
	uint64_t wait_ticks;	  /* sum of waits of what departed */
	uint64_t wait_ticks_max;
	uint64_t changed_tsc; /* when occupancy_ticks was last brought up to date */
	struct histogram wait;
};

#define ACCOUNT_SET(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

static inline void account_advance(struct account *a, uint64_t now_tsc)
{
	ACCOUNT_SET(a->occupancy_ticks, a->occupancy_ticks + (a->arrivals - a->departures) * (now_tsc - a->changed_tsc));
	ACCOUNT_SET(a->changed_tsc, now_tsc);
}

static inline void account_arrive(struct account *a, uint64_t now_tsc, uint32_t count)
{
	if (now_tsc != a->changed_tsc) /* in a batch it does not move */
		account_advance(a, now_tsc);
	ACCOUNT_SET(a->arrivals, a->arrivals + count);
}

/* `count` requests of `bytes` together leave, each having waited `wait_ticks`. */
static inline void account_depart(struct account *a, uint64_t now_tsc, uint32_t count, uint64_t bytes, uint64_t wait_ticks)
{
	account_advance(a, now_tsc);
	ACCOUNT_SET(a->departures, a->departures + count);
	ACCOUNT_SET(a->bytes, a->bytes + bytes);
	ACCOUNT_SET(a->wait_ticks, a->wait_ticks + wait_ticks * count);
	if (wait_ticks > a->wait_ticks_max)
		ACCOUNT_SET(a->wait_ticks_max, wait_ticks);
	histogram_add(&a->wait, wait_ticks, count);
}

/* Of a queue that is gone: its counters outlive it in another's. */
static inline void account_merge(struct account *total, const struct account *a)
{
	total->arrivals += a->arrivals;
	total->departures += a->departures;
	total->bytes += a->bytes;
	total->occupancy_ticks += a->occupancy_ticks;
	total->wait_ticks += a->wait_ticks;
	if (a->wait_ticks_max > total->wait_ticks_max)
		total->wait_ticks_max = a->wait_ticks_max;
	histogram_merge(&total->wait, &a->wait);
}

#endif
