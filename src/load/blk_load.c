#include "load/blk_load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "load/relax.h"

enum {
	BATCH_MAX = 32,
	SPINS_BETWEEN_TICKS = 256,   /* looks at the ring in vain before the clock is read */
	TICK_NS = 1000000,	     /* housekeeping at most every millisecond */
	CONNECTION_CHECK_TICKS = 10, /* a system call: every 10 ms */
	CLAIM_ATTEMPTS = 16,	     /* to find a place nobody works on, before the request is put off */
	RECONNECT_PAUSE_NS = 2000000,
};

struct load_queue {
	struct blk_queue *queue;
	uint16_t idle[DRIVER_RING_SIZE_MAX]; /* tags that wait to be sent, in this order */
	unsigned idle_count;
	uint64_t stamps_tsc[DRIVER_RING_SIZE_MAX];
	uint64_t offsets[DRIVER_RING_SIZE_MAX]; /* with verify: where each request goes */
	bool writes[DRIVER_RING_SIZE_MAX];	/* what the tag is laid out for */
};

struct load {
	struct blk_driver *driver;
	const struct blk_load_config *config;
	struct blk_load_result *result;
	struct load_queue *queues;
	unsigned queue_count;
	uint64_t chunk_count; /* of the region */
	uint64_t next_chunk;  /* sequential */
	uint64_t random_state;
	uint64_t started; /* requests */
	uint64_t in_flight;
	uint64_t start_tsc, end_tsc;
	uint64_t completed_tsc; /* last time that something completed, or was started after a pause */
	uint64_t due_tsc_q16;	/* open loop: when the next request is due, in 1/65536 ticks */
	uint64_t interval_tsc_q16;
	uint64_t next_tick_tsc, next_progress_tsc;
	unsigned tick;
};

static uint64_t random_next(struct load *load)
{
	uint64_t x = load->random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	load->random_state = x;
	return x;
}

__attribute__((format(printf, 2, 3))) static void complain(struct load *load, const char *format, ...)
{
	struct blk_load_result *r = load->result;
	va_list args;

	if (r->complaint_count >= BLK_LOAD_COMPLAINTS_MAX)
		return;
	va_start(args, format);
	vsnprintf(r->complaints[r->complaint_count++], BLK_LOAD_COMPLAINT_SIZE, format, args);
	va_end(args);
}

static bool choose_write(struct load *load)
{
	unsigned read_percent = load->config->read_percent;

	if (read_percent == 0 || read_percent == 100)
		return read_percent == 0;
	return (random_next(load) >> 32) * 100 >> 32 >= read_percent;
}

static uint64_t choose_offset(struct load *load)
{
	uint64_t chunk;

	if (load->config->random) {
		chunk = (uint64_t)(((unsigned __int128)random_next(load) * load->chunk_count) >> 64);
	} else {
		chunk = load->next_chunk++;
		if (load->next_chunk == load->chunk_count)
			load->next_chunk = 0;
	}
	return chunk * load->config->request_bytes;
}

/* A place where no other request of ours gets in the way. */
static bool claim_offset(struct load *load, bool write, uint64_t *offset)
{
	for (unsigned i = 0; i < CLAIM_ATTEMPTS; i++) {
		*offset = choose_offset(load);
		if (blk_verify_claim(load->config->verify, *offset, load->config->request_bytes, write))
			return true;
		if (!load->config->random) { /* a sequence has no other place: this one, later */
			load->next_chunk = *offset / load->config->request_bytes;
			return false;
		}
	}
	return false;
}

static bool prepare(struct load *load, struct load_queue *lq, uint16_t tag)
{
	const struct blk_load_config *config = load->config;
	bool write = choose_write(load);
	uint64_t offset;

	if (config->verify == NULL) {
		offset = choose_offset(load);
	} else {
		if (!claim_offset(load, write, &offset))
			return false;
		lq->offsets[tag] = offset;
		if (write)
			blk_verify_fill(config->verify, offset, blk_queue_data(lq->queue, tag), config->request_bytes);
		else
			memset(blk_queue_data(lq->queue, tag), 0xa5,
			       config->request_bytes); /* what was not read must not look right */
	}
	if (write != lq->writes[tag]) {
		blk_queue_lay(lq->queue, tag, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, config->request_bytes);
		lq->writes[tag] = write;
	}
	blk_queue_aim(lq->queue, tag, offset);
	lq->queue->statuses[tag] = BLK_STATUS_PENDING;
	return true;
}

/* How many requests may start now; for the open loop, stamps[] gets the times at which they were due. */
static unsigned allowance(struct load *load, unsigned wanted, uint64_t now_tsc, uint64_t *stamps)
{
	uint64_t left = load->config->requests_max - load->started;
	unsigned n = 0;

	if (load->config->requests_max != 0 && wanted > left)
		wanted = (unsigned)left;
	if (load->config->rate_iops == 0)
		return wanted;
	while (n < wanted && (load->due_tsc_q16 >> 16) <= now_tsc - load->start_tsc) {
		stamps[n++] = load->start_tsc + (load->due_tsc_q16 >> 16);
		load->due_tsc_q16 += load->interval_tsc_q16;
	}
	return n;
}

static void issue(struct load *load, struct load_queue *lq, uint64_t now_tsc)
{
	uint64_t stamps[BATCH_MAX];
	unsigned wanted = lq->idle_count < BATCH_MAX ? lq->idle_count : BATCH_MAX, n, sent = 0;

	n = allowance(load, wanted, now_tsc, stamps);
	while (sent < n) {
		uint16_t tag = lq->idle[sent];

		if (!prepare(load, lq, tag))
			break;
		lq->stamps_tsc[tag] = load->config->rate_iops == 0 ? now_tsc : stamps[sent];
		sent++;
	}
	if (sent < n && load->config->rate_iops != 0)
		load->due_tsc_q16 -= (n - sent) * load->interval_tsc_q16; /* due still */
	if (sent == 0)
		return;
	driver_ring_post(&lq->queue->ring, lq->idle, sent);
	driver_ring_kick(&lq->queue->ring);
	if (load->in_flight == 0)
		load->completed_tsc = now_tsc;
	load->started += sent;
	load->in_flight += sent;
	lq->idle_count -= sent;
	memmove(lq->idle, lq->idle + sent, lq->idle_count * sizeof(lq->idle[0]));
}

static void finish_verified(struct load *load, struct load_queue *lq, uint16_t tag, bool ok)
{
	struct blk_verify *verify = load->config->verify;
	uint32_t bytes = load->config->request_bytes;
	uint64_t offset = lq->offsets[tag];
	char explanation[BLK_VERIFY_EXPLANATION_SIZE];
	unsigned wrong = 0;

	blk_verify_release(verify, offset, bytes, lq->writes[tag]);
	if (lq->writes[tag] && ok)
		blk_verify_commit(verify, offset, bytes);
	else if (lq->writes[tag])
		blk_verify_spoil(verify, offset, bytes);
	else if (ok)
		wrong = blk_verify_check(verify, offset, blk_queue_data(lq->queue, tag), bytes, explanation);
	load->result->mismatches += wrong;
	if (wrong > 0)
		complain(load, "%s", explanation);
}

static void finish(struct load *load, struct load_queue *lq, uint16_t tag)
{
	uint8_t status = __atomic_load_n(&lq->queue->statuses[tag], __ATOMIC_RELAXED);
	bool ok = status == VIRTIO_BLK_S_OK;

	if (__builtin_expect(!ok, 0)) {
		load->result->errors++;
		complain(load, "%s of %u bytes at byte %llu: %s (status %u)", lq->writes[tag] ? "write" : "read",
			 load->config->request_bytes, (unsigned long long)lq->queue->headers[tag].sector * BLK_SECTOR_BYTES,
			 blk_status_name(status), status);
	}
	if (load->config->verify != NULL)
		finish_verified(load, lq, tag, ok);
}

/* Requests of one batch mostly carry the same stamp, so they are counted together. */
static void account(struct load *load, const struct load_queue *lq, const uint16_t *tags, unsigned count, uint64_t now_tsc)
{
	struct blk_load_result *r = load->result;
	unsigned i = 0;

	while (i < count) {
		uint64_t stamp = lq->stamps_tsc[tags[i]], ticks = now_tsc > stamp ? now_tsc - stamp : 0;
		unsigned first = i;

		while (++i < count && lq->stamps_tsc[tags[i]] == stamp)
			;
		histogram_add(&r->latency, ticks, i - first);
		r->latency_sum_ticks += ticks * (i - first);
		if (ticks > r->latency_max_ticks)
			r->latency_max_ticks = ticks;
	}
	if (now_tsc - load->completed_tsc > r->gap_max_ticks)
		r->gap_max_ticks = now_tsc - load->completed_tsc;
	load->completed_tsc = now_tsc;
	r->requests += count;
	r->batches++;
	load->in_flight -= count;
}

/* Takes what is completed; returns how many. *now_tsc is read again only if there was something. */
static unsigned collect(struct load *load, struct load_queue *lq, uint64_t *now_tsc)
{
	uint16_t *tags = lq->idle + lq->idle_count;
	unsigned count = driver_ring_reap(&lq->queue->ring, tags, BATCH_MAX);

	if (count == 0)
		return 0;
	*now_tsc = clock_tsc();
	for (unsigned i = 0; i < count; i++)
		finish(load, lq, tags[i]);
	account(load, lq, tags, count, *now_tsc);
	lq->idle_count += count;
	return count;
}

static unsigned collect_all(struct load *load, uint64_t *now_tsc)
{
	unsigned total = 0;

	for (unsigned q = 0; q < load->queue_count; q++)
		total += collect(load, &load->queues[q], now_tsc);
	return total;
}

static bool interrupted(const struct load *load)
{
	return load->config->interrupted != NULL && *load->config->interrupted != 0;
}

static int reconnect(struct load *load)
{
	struct blk_load_result *r = load->result;
	struct timespec pause = {.tv_nsec = RECONNECT_PAUSE_NS};
	uint64_t deadline_ns = clock_monotonic_ns() + load->config->reconnect_ns_max, now_tsc;
	int error;

	while (collect_all(load, &now_tsc) > 0)
		;
	do {
		nanosleep(&pause, NULL);
		error = blk_driver_reconnect(load->driver, &r->reposted);
	} while (error != 0 && clock_monotonic_ns() < deadline_ns && !interrupted(load));
	if (error == 0)
		r->reconnects++;
	return error;
}

/* What a broken ring, a silent back end and a lost connection have in common: they end the run. */
static int check_health(struct load *load, uint64_t now_tsc)
{
	char *text = load->driver->client.error;
	size_t room = sizeof(load->driver->client.error);
	int error;

	for (unsigned q = 0; q < load->queue_count; q++) {
		if (load->queues[q].queue->ring.broken == NULL)
			continue;
		snprintf(text, room, "the back end broke the rules of the ring, on queue %u: %s", q,
			 load->queues[q].queue->ring.broken);
		return -EPROTO;
	}
	if (load->in_flight > 0 && now_tsc - load->completed_tsc > clock_ns_to_tsc(load->config->stall_ns_max)) {
		snprintf(text, room,
			 "nothing completed for %llu s with %llu requests in flight: the back end hangs, or its device does",
			 (unsigned long long)(load->config->stall_ns_max / 1000000000u), (unsigned long long)load->in_flight);
		return -ETIMEDOUT;
	}
	if (load->tick++ % CONNECTION_CHECK_TICKS != 0)
		return 0;
	error = vhost_user_client_poll(&load->driver->client);
	if (error == 0 && load->driver->client.config_changed)
		error = blk_driver_refresh(load->driver);
	if ((error == -ECONNRESET || error == -EPIPE) && load->config->reconnect_ns_max > 0)
		error = reconnect(load);
	return error;
}

static int tick(struct load *load, uint64_t now_tsc)
{
	if (now_tsc < load->next_tick_tsc)
		return 0;
	load->next_tick_tsc = now_tsc + clock_ns_to_tsc(TICK_NS);
	if (load->config->progress != NULL && now_tsc >= load->next_progress_tsc) {
		load->next_progress_tsc = now_tsc + clock_tsc_hz();
		load->config->progress(load->config->context, load->result->requests, clock_tsc_to_ns(now_tsc - load->start_tsc));
	}
	return check_health(load, now_tsc);
}

static bool may_start(const struct load *load, uint64_t now_tsc)
{
	if (now_tsc >= load->end_tsc || interrupted(load))
		return false;
	return load->config->requests_max == 0 || load->started < load->config->requests_max;
}

static int drive(struct load *load)
{
	uint64_t now_tsc = clock_tsc();
	unsigned idle_spins = 0;
	bool starting = true;
	int error = 0;

	while (error == 0 && (starting || load->in_flight > 0)) {
		unsigned done = 0;

		for (unsigned q = 0; q < load->queue_count; q++) {
			done += collect(load, &load->queues[q], &now_tsc);
			if (starting && load->queues[q].idle_count > 0)
				issue(load, &load->queues[q], now_tsc);
		}
		if (done == 0) {
			relax();
			if (load->config->rate_iops == 0 && ++idle_spins < SPINS_BETWEEN_TICKS)
				continue;
			idle_spins = 0;
			now_tsc = clock_tsc();
		}
		starting = starting && may_start(load, now_tsc);
		error = tick(load, now_tsc);
	}
	load->result->elapsed_ns = clock_tsc_to_ns(clock_tsc() - load->start_tsc);
	return error;
}

static int set_up(struct load *load)
{
	const struct blk_load_config *config = load->config;
	struct blk_driver *driver = load->driver;

	load->queue_count = driver->config.queue_count;
	load->queues = calloc(load->queue_count, sizeof(*load->queues));
	if (load->queues == NULL) {
		snprintf(driver->client.error, sizeof(driver->client.error), "out of memory");
		return -ENOMEM;
	}
	for (unsigned q = 0; q < load->queue_count; q++) {
		struct load_queue *lq = &load->queues[q];

		lq->queue = &driver->queues[q];
		lq->idle_count = lq->queue->depth;
		for (uint16_t tag = 0; tag < lq->queue->depth; tag++) {
			lq->idle[tag] = tag;
			lq->writes[tag] = config->read_percent == 0;
			blk_queue_lay(lq->queue, tag, lq->writes[tag] ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, config->request_bytes);
		}
		load->result->kicks -= lq->queue->ring.kicks;
	}
	load->chunk_count = config->region_bytes / config->request_bytes;
	if (getrandom(&load->random_state, sizeof(load->random_state), 0) != sizeof(load->random_state))
		load->random_state = clock_tsc();
	load->random_state |= 1;
	load->start_tsc = clock_tsc();
	load->completed_tsc = load->start_tsc;
	load->end_tsc = config->duration_ns == 0 ? UINT64_MAX : load->start_tsc + clock_ns_to_tsc(config->duration_ns);
	load->next_progress_tsc = load->start_tsc + clock_tsc_hz();
	if (config->rate_iops != 0)
		load->interval_tsc_q16 = (uint64_t)(((unsigned __int128)clock_tsc_hz() << 16) / config->rate_iops);
	return 0;
}

int blk_load_run(struct blk_driver *driver, const struct blk_load_config *config, struct blk_load_result *result)
{
	struct load load = {.driver = driver, .config = config, .result = result};
	int error;

	memset(result, 0, sizeof(*result));
	error = set_up(&load);
	if (error == 0)
		error = drive(&load);
	for (unsigned q = 0; q < load.queue_count && load.queues != NULL; q++)
		result->kicks += load.queues[q].queue->ring.kicks;
	result->bytes = result->requests * config->request_bytes;
	free(load.queues);
	return error;
}
