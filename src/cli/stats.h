/*
 * From two snapshots of the card's counters (src/card/stats.c) to what happened between them. Pure.
 *
 * A stage is a queue of the path: "ring" (from the guest's kick to the card's read), "device" (from read to used), and for the
 * volume as a whole "held" (waiting for its allowance) and "backend". Little's law ties three measured numbers of a stage: the mean
 * number of requests inside is the departure rate times the mean wait. Where they disagree, requests were inside at the edges of
 * the interval, or the accounting is wrong.
 */
#ifndef OUTBOARD_CLI_STATS_H
#define OUTBOARD_CLI_STATS_H

#include <jansson.h>

/*
 * {interval_ns, pollers: [{core, busy_share, service_gap_max_ns, active, queues}],
 *  devices: [{volume, state, poller, stages: [stage], queues: [{index, kicks_per_s, calls_per_s, errors, service_gap_max_ns,
 *	       stages: [stage]}]}],
 *  enis: [{name, state, in: traffic, out: traffic, drops_per_s, drops: {reason: a second}, flows, flows_max, new_flows_per_s,
 *	   slow_path_per_s}],
 *  network: null, or {flows, flows_max, new_flows_per_s, expired_flows_per_s, packets_per_s, cycles_per_packet, drops_per_s, drops,
 *	     stages: [{name, packets_per_s, cycles_per_packet}],
 *	     wires: [{name, device, link, address, in: traffic, out: traffic, full_per_s}]}}
 * traffic: {packets_per_s, bits_per_s}
 * stage: {name, rate_per_s, mib_per_s, occupancy, littles_law_occupancy, wait_ns: {avg, p50, p99, p999, max}}
 *
 * `max` and the service gap are since the card started: a maximum has no difference. A device or queue that is only in the newer
 * snapshot counts from zero, one that restarted (counters went back) too. NULL when the snapshots are not what they should be.
 */
json_t *stats_between(const json_t *older, const json_t *newer);

#endif
