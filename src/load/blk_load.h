/*
 * The load generator: keeps a blk_driver's queues busy in one way for some time, on the calling thread, and counts.
 *
 * Closed loop: every completed request is at once replaced. Open loop (rate_iops): requests start at given times, and their latency
 * counts from that time even if no tag was free then, so a slow back end cannot hide behind its own slowness.
 *
 * The clock is read once a batch, not once a request (12 ns each would be a tenth of the time there is): a request's latency
 * runs from the reading before its batch was made to the reading after its completion was seen. That is an upper bound; at queue
 * depth 1 the batch is the request.
 */
#ifndef OUTBOARD_LOAD_BLK_LOAD_H
#define OUTBOARD_LOAD_BLK_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "load/blk_driver.h"
#include "load/blk_verify.h"

struct blk_load_config {
	unsigned read_percent;
	bool random;
	uint32_t request_bytes;
	uint64_t region_bytes;	   /* a multiple of request_bytes */
	uint64_t rate_iops;	   /* 0: closed loop */
	uint64_t duration_ns;	   /* stop after that long ... */
	uint64_t requests_max;	   /* ... or that many requests, when not 0 */
	uint64_t reconnect_ns_max; /* how long to wait for a back end that went away; 0: that is an error */
	uint64_t stall_ns_max;	   /* without any completion: an error */
	struct blk_verify *verify; /* NULL: contents do not matter */
	/* About once a second, with what there is so far; may be NULL. */
	void (*progress)(void *context, uint64_t requests, uint64_t elapsed_ns);
	void *context;
	const volatile int *interrupted; /* not 0: stop early; may be NULL */
};

enum { BLK_LOAD_COMPLAINTS_MAX = 8, BLK_LOAD_COMPLAINT_SIZE = 400 };

struct blk_load_result {
	uint64_t requests;
	uint64_t bytes;
	uint64_t elapsed_ns;
	uint64_t errors;     /* requests that failed */
	uint64_t mismatches; /* blocks that were not what they must be */
	uint64_t kicks;	     /* notifications sent, each a system call */
	uint64_t batches;    /* clock readings: requests / batches is the mean batch */
	uint64_t latency_sum_ticks;
	uint64_t latency_max_ticks;
	uint64_t gap_max_ticks; /* longest time without a completion while requests were in flight */
	unsigned reconnects;
	unsigned reposted; /* requests posted again because the back end kept no record */
	struct histogram latency;
	unsigned complaint_count;
	char complaints[BLK_LOAD_COMPLAINTS_MAX][BLK_LOAD_COMPLAINT_SIZE]; /* the first ones */
};

/* 0, or -errno when it could not go on (driver->client.error says why). Failed requests and mismatches are in the result. */
int blk_load_run(struct blk_driver *driver, const struct blk_load_config *config, struct blk_load_result *result);

#endif
