#include "load/net_load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "load/net_load_parts.h"
#include "load/relax.h"

enum {
	TICK_NS = 1000000,	     /* housekeeping at most every millisecond */
	CONNECTION_CHECK_TICKS = 10, /* a system call: every 10 ms */
	QUIET_NS_DEFAULT = 100000000,
	DRAIN_QUIETS_MAX = 20,
	REAP_SHARE = 4, /* used chains may stay in the ring until this part of it is taken */
};

static const uint64_t CLOSE_NS_MAX = 10000000000;

int load_fail(struct net_load *load, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(load->result->error, sizeof(load->result->error), format, args);
	va_end(args);
	return error;
}

static void reap_all(struct net_load *load, uint64_t now_tsc)
{
	for (unsigned i = 0; i < load->end_count; i++)
		for (unsigned q = 0; q < load->ends[i].queue_count; q++)
			load_send_reap(&load->ends[i], &load->ends[i].queues[q], now_tsc);
}

static int check_end(struct net_load *load, struct load_end *end, uint64_t now_tsc)
{
	struct vhost_user_client *client = &end->driver->client;
	const char *broken, *which = load->end_count > 1 ? (end->index == 0 ? "the first socket: " : "the second socket: ") : "";
	unsigned ring = 0, in_flight = 0;

	broken = net_driver_broken(end->driver, &ring);
	if (broken != NULL)
		return load_fail(load, -EPROTO, "%sthe back end broke the rules of the ring, on the %s queue of pair %u: %s", which,
				 ring % 2 == 0 ? "receive" : "transmit", ring / 2, broken);
	for (unsigned q = 0; q < end->queue_count; q++)
		in_flight += end->queues[q].transmit->ring.in_flight;
	if (in_flight > 0 && now_tsc > end->completed_tsc &&
	    now_tsc - end->completed_tsc > clock_ns_to_tsc(load->config->stall_ns_max))
		return load_fail(
			load, -ETIMEDOUT,
			"%snone of %u packets in the ring was taken for %llu s: the back end hangs, or does not poll this port",
			which, in_flight, (unsigned long long)(load->config->stall_ns_max / 1000000000u));
	if (end->tick++ % CONNECTION_CHECK_TICKS != 0 || vhost_user_client_poll(client) == 0)
		return 0;
	return load_fail(load, -ECONNRESET, "%s%s", which, client->error);
}

int load_check_health(struct net_load *load, uint64_t now_tsc)
{
	int error = 0;

	reap_all(load, now_tsc);
	for (unsigned i = 0; i < load->end_count && error == 0; i++)
		error = check_end(load, &load->ends[i], now_tsc);
	return error;
}

/* One visit to everything; how many packets came. */
static unsigned visit(struct net_load *load, uint64_t *now_tsc, bool sending)
{
	unsigned came = 0;

	for (unsigned i = 0; i < load->end_count; i++) {
		struct load_end *end = &load->ends[i];

		for (unsigned q = 0; q < end->queue_count; q++) {
			struct load_queue *queue = &end->queues[q];

			came += load_take(load, end, queue, now_tsc, NULL);
			if (queue->transmit->ring.in_flight >= queue->transmit->chain_count / REAP_SHARE)
				load_send_reap(end, queue, *now_tsc);
			if (sending && queue->data_chains > 0)
				load_send(load, end, queue, *now_tsc);
		}
	}
	return came;
}

static void report_progress(struct net_load *load, uint64_t now_tsc)
{
	const struct net_load_result *r = load->result;
	uint64_t sent = 0, received = 0;

	for (unsigned i = 0; i < load->end_count; i++) {
		sent += r->directions[i].sent + r->ends[i].echoed;
		received += r->ends[i].received;
	}
	load->config->progress(load->config->context, sent, received, clock_tsc_to_ns(now_tsc - load->start_tsc));
}

static bool sent_enough(const struct net_load *load)
{
	uint64_t sent = 0;

	for (unsigned i = 0; i < load->end_count; i++)
		sent += load->result->directions[i].sent;
	return load->config->packets_max != 0 && sent >= load->config->packets_max;
}

/* Sends for some time; 0: until interrupted. */
static int drive(struct net_load *load, uint64_t duration_ns, bool progress)
{
	uint64_t now_tsc = clock_tsc(), start_tsc = now_tsc, next_tick_tsc = now_tsc, next_progress_tsc = now_tsc + clock_tsc_hz();
	uint64_t end_tsc = duration_ns == 0 ? UINT64_MAX : now_tsc + clock_ns_to_tsc(duration_ns);
	int error = 0;

	load->start_tsc = start_tsc;
	for (unsigned i = 0; i < load->end_count; i++)
		load->ends[i].due_tsc_q16 = 0;
	while (error == 0 && now_tsc < end_tsc && !load_interrupted(load) && !sent_enough(load)) {
		if (visit(load, &now_tsc, true) == 0) {
			relax();
			now_tsc = clock_tsc();
		}
		if (now_tsc < next_tick_tsc)
			continue;
		next_tick_tsc = now_tsc + clock_ns_to_tsc(TICK_NS);
		error = load_check_health(load, now_tsc);
		if (progress && load->config->progress != NULL && now_tsc >= next_progress_tsc) {
			next_progress_tsc = now_tsc + clock_tsc_hz();
			report_progress(load, now_tsc);
		}
	}
	if (progress)
		load->result->elapsed_ns = clock_tsc_to_ns(clock_tsc() - start_tsc);
	return error;
}

/* Everything that was sent is accounted for. */
static bool all_settled(const struct net_load *load)
{
	if (load->replied < load->asked)
		return false;
	for (unsigned i = 0; i < load->end_count; i++) {
		if (net_load_lost(&load->result->directions[i]) > 0)
			return false;
		for (unsigned q = 0; q < load->ends[i].queue_count; q++)
			if (load->ends[i].queues[q].transmit->ring.in_flight > 0)
				return false;
	}
	return true;
}

/* Until nothing is on its way any more, as far as one can know. */
static int drain(struct net_load *load)
{
	uint64_t quiet_tsc = clock_ns_to_tsc(load->config->quiet_ns != 0 ? load->config->quiet_ns : QUIET_NS_DEFAULT);
	uint64_t now_tsc = clock_tsc(), end_tsc = now_tsc + DRAIN_QUIETS_MAX * quiet_tsc, next_tick_tsc = now_tsc;
	int error = 0;

	load->arrived_tsc = now_tsc;
	while (error == 0 && now_tsc < end_tsc && now_tsc - load->arrived_tsc < quiet_tsc && !all_settled(load)) {
		visit(load, &now_tsc, false);
		reap_all(load, now_tsc);
		now_tsc = clock_tsc();
		if (now_tsc >= next_tick_tsc) {
			next_tick_tsc = now_tsc + clock_ns_to_tsc(TICK_NS);
			error = load_check_health(load, now_tsc);
		}
	}
	for (unsigned i = 0; i < load->end_count; i++)
		for (unsigned q = 0; q < load->ends[i].queue_count; q++)
			if (load->ends[i].queues[q].receive->held > 0)
				driver_ring_accuse(&load->ends[i].queues[q].receive->ring,
						   "the end of a received frame never came");
	return error == 0 ? load_check_health(load, now_tsc) : error;
}

/* Connections are left as a guest would leave them. */
static int close_connections(struct net_load *load)
{
	uint64_t now_tsc = clock_tsc(), end_tsc = now_tsc + clock_ns_to_tsc(CLOSE_NS_MAX);
	bool more = load->tcp && !load->config->echo;
	int error = 0;

	while (more && error == 0 && now_tsc < end_tsc) {
		more = false;
		for (unsigned i = 0; i < load->end_count; i++)
			for (unsigned q = 0; load->ends[i].config->sends && q < load->ends[i].queue_count; q++)
				more |= load_send_closing(load, &load->ends[i], &load->ends[i].queues[q]);
		visit(load, &now_tsc, false);
		now_tsc = clock_tsc();
		error = load_check_health(load, now_tsc);
	}
	return error == 0 && load->tcp ? drain(load) : error;
}

static int set_up_end(struct net_load *load, struct load_end *end, unsigned index)
{
	end->config = &load->config->ends[index];
	end->driver = end->config->driver;
	end->plan = end->config->plan;
	end->next_hop = end->config->next_hop;
	end->index = index;
	end->seen = &load->result->ends[index];
	end->completed_tsc = clock_tsc();
	end->queues = calloc(end->driver->config.queue_count, sizeof(*end->queues));
	if (end->queues == NULL)
		return load_fail(load, -ENOMEM, "out of memory");
	end->queue_count = end->driver->config.queue_count;
	for (unsigned q = 0; q < end->queue_count; q++) {
		struct load_queue *queue = &end->queues[q];

		queue->transmit = &end->driver->transmit[q];
		queue->receive = &end->driver->receive[q];
		load_queue_share(load, end, queue);
		end->seen->kicks -= queue->transmit->ring.kicks + queue->receive->ring.kicks;
	}
	return 0;
}

static int set_up(struct net_load *load)
{
	int error = 0;

	if (getrandom(&load->tag, sizeof(load->tag), 0) != sizeof(load->tag))
		load->tag = (uint32_t)clock_tsc();
	load->tag &= (uint32_t)LOAD_TAG_RUN_MASK;
	load->end_count = load->config->end_count;
	load->tcp = load->config->ends[0].plan.protocol == IPPROTO_TCP;
	load->stamped = load->config->ends[0].plan.stamped;
	load->frame = malloc(FRAME_BYTES_MAX);
	if (load->frame == NULL)
		return load_fail(load, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < load->end_count && error == 0; i++)
		error = set_up_end(load, &load->ends[i], i);
	return error;
}

static void tear_down(struct net_load *load)
{
	for (unsigned i = 0; i < load->end_count; i++) {
		struct load_end *end = &load->ends[i];

		for (unsigned q = 0; q < end->queue_count; q++) {
			end->seen->untaken += end->queues[q].transmit->ring.in_flight;
			end->seen->kicks += end->queues[q].transmit->ring.kicks + end->queues[q].receive->ring.kicks;
			load->result->directions[i].renewed += end->queues[q].flows.opened;
			net_flows_free(&end->queues[q].flows);
		}
		end->seen->mac = end->plan.source_mac;
		end->seen->next_hop_mac = end->plan.destination_mac;
		end->seen->address = end->plan.source;
		net_track_free(&end->track);
		free(end->queues);
	}
	free(load->frame);
}

static int measure(struct net_load *load)
{
	int error = 0;

	if (load->config->warmup_ns > 0 && !load_interrupted(load))
		error = drive(load, load->config->warmup_ns, false);
	if (error != 0 || load_interrupted(load))
		return error;
	load->tag |= LOAD_TAG_MEASURED;
	load->receiving = true;
	error = drive(load, load->config->duration_ns, true);
	load->receiving = false;
	if (error == 0)
		error = drain(load);
	return error == 0 ? close_connections(load) : error;
}

int net_load_run(const struct net_load_config *config, struct net_load_result *result)
{
	struct net_load *load = calloc(1, sizeof(*load));
	int error;

	memset(result, 0, sizeof(*result));
	if (load == NULL) {
		snprintf(result->error, sizeof(result->error), "out of memory");
		return -ENOMEM;
	}
	load->config = config;
	load->result = result;
	error = set_up(load);
	if (error == 0)
		error = load_learn(load);
	for (unsigned i = 0; i < load->end_count && error == 0; i++)
		if (load->ends[i].config->sends && !config->echo)
			error = load_send_prepare(load, &load->ends[i], clock_tsc());
	if (error == 0)
		error = measure(load);
	tear_down(load);
	free(load);
	return error;
}
