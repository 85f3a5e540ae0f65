/*
 * The allowance of a volume. Pure: time comes in as ticks, there is no clock and no system call here.
 *
 * What a request costs (EBS gp3 semantics):
 *
 *	READ, WRITE			one I/O for each 256 KiB begun, and its bytes; a request that goes on where the last one of its
 *					direction ended merges with it: the run of them costs one I/O for each 256 KiB begun, so a
 *					stream of 4 KiB requests costs 1/64 of an I/O each
 *	WRITE_ZEROES, SECURE_ERASE	as a write of that length: the back end may have to write it
 *	FLUSH, DISCARD			one I/O, no bytes: they move no data, but a guest must not get system calls for nothing
 *
 * Three gates, each left out when its rate is 0: I/Os, bytes, and the credits of gp2's burst bucket (5.4 million I/Os deep,
 * refilled at 3 IOPS a GiB, at least 100; while there are credits the I/O gate lets 3,000 a second pass). A request must pass all.
 *
 * Each gate is a token bucket kept as one point in time (the generic cell rate algorithm): `full_tsc` is when the bucket would be
 * full if nothing more came. A request that finds too little does not poll for tokens in competition with others: it is given a
 * start time and has paid. So requests of several queues start in the order in which they asked, and a request dearer than a whole
 * bucket waits its price and then goes.
 */
#ifndef OUTBOARD_VOLUME_THROTTLE_H
#define OUTBOARD_VOLUME_THROTTLE_H

#include <stdint.h>

#include "base/account.h"
#include "base/blockio.h"
#include "volume/volume.h"

enum {
	THROTTLE_WAITERS_MAX = 33,	    /* a device's queues, each with one request at its head, and an NBD export */
	THROTTLE_DEPTH_PER_SECOND = 20,	    /* an idle bucket saves up 1/20 s of its rate */
	THROTTLE_RECHECKS_PER_SECOND = 100, /* a waiter asks again this often, so that a change of the rate reaches it */
	THROTTLE_BURST_IOPS = 3000,
	THROTTLE_BURST_CREDITS = 5400000,
	THROTTLE_BASELINE_IOPS_PER_GIB = 3,
	THROTTLE_BASELINE_IOPS_MIN = 100,
};

enum throttle_gate_kind { THROTTLE_IOS, THROTTLE_BYTES, THROTTLE_CREDITS, THROTTLE_GATES };

struct throttle_gate {
	uint64_t unit_ticks_q24; /* ticks that one I/O or byte takes; 0: no such gate */
	uint64_t depth_ticks;
	uint64_t full_tsc; /* when the bucket is full again */
};

struct throttle_price {
	uint64_t ios; /* credits, too */
	uint64_t bytes;
};

struct throttle_waiter {
	const struct blk_io *io;
	uint64_t offset_bytes, length_bytes; /* a pointer alone does not name a request: pools reuse them */
	uint64_t since_tsc;
	uint64_t start_tsc; /* 0: the rate has changed, ask for a new one */
	struct throttle_price price;
};

struct throttle_run {
	uint64_t end_bytes;
	uint64_t length_bytes;
};

struct throttle {
	struct throttle_gate gates[THROTTLE_GATES];
	struct throttle_run runs[2]; /* reads, writes */
	uint64_t recheck_ticks;
	uint64_t stale_ticks;
	unsigned waiters_count;
	struct throttle_waiter waiters[THROTTLE_WAITERS_MAX];
	struct account held; /* requests that had to wait */
};

/* Sets or changes the rates; what was used up stays used up, who waits is given a new start time. `size_bytes` decides gp2's
 * baseline. */
void throttle_set(struct throttle *t, const struct volume_rate *rate, uint64_t size_bytes, uint64_t tsc_hz, uint64_t now_tsc);

/* As blk_target_ops.admit. */
uint64_t throttle_admit(struct throttle *t, const struct blk_io *io, uint64_t now_tsc);

/* Nobody asks any more (the volume leaves its poller). */
void throttle_forget_waiters(struct throttle *t, uint64_t now_tsc);

#endif
