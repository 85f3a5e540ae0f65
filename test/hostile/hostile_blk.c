/*
 * A guest that misbehaves, for tests of what it can do to others: connects like any driver, then does one forbidden or excessive
 * thing.
 *
 *	hostile_blk --socket S --mode MODE [--seconds N] [--packed]
 *
 * Standard output, for scripts: "started" once the misdeed is under way, at the end "connection open" or "connection closed" and
 * "completed N". Exit status 0 when the misdeed was done, whatever became of it; 1 when there was no back end to do it to.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "load/blk_driver.h"

enum { DEPTH = 16, GIANT_SEGMENTS = 64, GIANT_SEGMENT_BYTES = 1 << 20, SECONDS_DEFAULT = 2, SPINS = 1000 };

struct hostile {
	struct blk_driver driver;
	struct blk_queue *queue;
	struct driver_ring *ring;
	uint64_t end_ns;
	uint64_t completed;
	bool closed;
};

static bool over(struct hostile *h)
{
	h->closed = h->closed || vhost_user_client_poll(&h->driver.client) != 0;
	return h->closed || clock_monotonic_ns() >= h->end_ns;
}

static void started(void)
{
	puts("started");
	fflush(stdout);
}

static void reap(struct hostile *h)
{
	uint16_t tags[DEPTH];

	h->completed += driver_ring_reap(h->ring, tags, DEPTH);
}

static void wait_for_the_end(struct hostile *h)
{
	started();
	while (!over(h)) {
		reap(h);
		usleep(1000);
	}
}

static void post_and_kick(struct hostile *h, const uint16_t *tags, unsigned count)
{
	driver_ring_post(h->ring, tags, count);
	driver_ring_kick_always(h->ring);
}

static void lay_reads(struct hostile *h)
{
	for (uint16_t tag = 0; tag < DEPTH; tag++)
		blk_queue_lay(h->queue, tag, VIRTIO_BLK_T_IN, 4096);
}

/* Kicks for ever, with nothing to do. */
static void kick_storm(struct hostile *h)
{
	started();
	while (!over(h))
		for (unsigned i = 0; i < SPINS; i++)
			driver_ring_kick_always(h->ring);
}

/* As much as one request can ask for, as often as possible: every segment is the same megabyte of ours. */
static void lay_giant(struct hostile *h, uint16_t tag)
{
	struct driver_segment segments[DRIVER_CHAIN_SEGMENTS_MAX];
	uint64_t most = h->driver.geometry.capacity_bytes / GIANT_SEGMENT_BYTES;
	unsigned count = 0, data = most < GIANT_SEGMENTS ? (unsigned)most : GIANT_SEGMENTS;

	h->queue->headers[tag].type = VIRTIO_BLK_T_IN;
	segments[count++] = (struct driver_segment){&h->queue->headers[tag], sizeof(h->queue->headers[tag]), false};
	for (unsigned i = 0; i < data; i++)
		segments[count++] = (struct driver_segment){h->queue->data, GIANT_SEGMENT_BYTES, true};
	segments[count++] = (struct driver_segment){&h->queue->statuses[tag], 1, true};
	driver_ring_lay(h->ring, tag, segments, count);
}

static void giant(struct hostile *h)
{
	uint16_t tags[DEPTH];

	for (uint16_t tag = 0; tag < DEPTH; tag++) {
		lay_giant(h, tag);
		tags[tag] = tag;
	}
	driver_ring_post(h->ring, tags, DEPTH);
	driver_ring_kick(h->ring);
	started();
	while (!over(h)) {
		for (unsigned i = 0; i < SPINS; i++) {
			unsigned n = driver_ring_reap(h->ring, tags, DEPTH);

			h->completed += n;
			driver_ring_post(h->ring, tags, n);
			if (n > 0)
				driver_ring_kick(h->ring);
		}
	}
}

/* Heads that do not exist, and an index that runs ahead of the ring. */
static void bad_index(struct hostile *h)
{
	if (h->ring->config.packed) {
		struct vring_packed_desc *d = h->ring->packed.desc;

		for (unsigned i = 0; i < h->ring->size; i++)
			d[i] = (struct vring_packed_desc){.id = UINT16_MAX,
							  .flags = VRING_DESC_F_NEXT | 1 << VRING_PACKED_DESC_F_AVAIL};
	} else {
		memset(h->ring->split.avail->ring, 0xff, h->ring->size * sizeof(uint16_t));
		__atomic_store_n(&h->ring->split.avail->idx, 30000, __ATOMIC_RELEASE);
	}
	driver_ring_kick_always(h->ring);
	wait_for_the_end(h);
}

/* A chain without an end. */
static void loop(struct hostile *h)
{
	const uint16_t tag = 0;

	lay_reads(h);
	if (h->ring->config.packed) {
		for (unsigned i = 0; i < h->ring->size; i++)
			h->ring->packed.desc[i] =
				(struct vring_packed_desc){.addr = shared_memory_guest_address(&h->driver.memory, h->queue->data),
							   .len = 1,
							   .flags = VRING_DESC_F_NEXT | 1 << VRING_PACKED_DESC_F_AVAIL};
		driver_ring_kick_always(h->ring);
	} else {
		h->ring->split.desc[2].flags |= VRING_DESC_F_NEXT;
		h->ring->split.desc[2].next = 1;
		post_and_kick(h, &tag, 1);
	}
	wait_for_the_end(h);
}

/* Buffers before, across the end of and far beyond the memory that was shared; header, data and status in turn. */
static void out_of_region(struct hostile *h)
{
	const uint64_t end = SHARED_MEMORY_GUEST_ADDRESS + h->driver.memory.size_bytes;
	const uint64_t addresses[] = {0, SHARED_MEMORY_GUEST_ADDRESS - 1, end - 1, end, UINT64_MAX - 100, UINT64_C(1) << 47};
	uint16_t tag = 0;

	lay_reads(h);
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]) && tag + 2 < DEPTH; i++) {
		for (unsigned segment = 0; segment < 2; segment++, tag++) {
			if (h->ring->config.packed)
				h->ring->packed.templates[tag * h->ring->config.segments_max + segment].addr = addresses[i];
			else
				h->ring->split.desc[tag * h->ring->config.segments_max + segment].addr = addresses[i];
			driver_ring_post(h->ring, &tag, 1);
		}
	}
	driver_ring_kick_always(h->ring);
	wait_for_the_end(h);
}

/* Dies with requests in flight. */
static void vanish(struct hostile *h)
{
	uint16_t tags[DEPTH];

	lay_reads(h);
	for (uint16_t tag = 0; tag < DEPTH; tag++)
		tags[tag] = tag;
	post_and_kick(h, tags, DEPTH);
	started();
	puts("connection open\ncompleted 0");
	fflush(stdout);
	_exit(0);
}

/* Takes the memory away under the back end: what it touches next raises SIGBUS, and our own rings are gone as well. */
static void truncate_memory(struct hostile *h)
{
	uint16_t tags[DEPTH];

	lay_reads(h);
	for (uint16_t tag = 0; tag < DEPTH; tag++)
		tags[tag] = tag;
	post_and_kick(h, tags, DEPTH);
	if (ftruncate(h->driver.memory.fd, 0) != 0)
		perror("hostile_blk: ftruncate");
	driver_ring_kick_always(h->ring);
	started();
	while (!over(h)) {
		driver_ring_kick_always(h->ring);
		usleep(1000);
	}
}

/* Makes the write that calls us block: the eventfd is shared, and so are its flags and its counter. */
static void full_call(struct hostile *h)
{
	const uint64_t most = UINT64_MAX - 1;
	struct pollfd first = {.fd = h->ring->call_fd, .events = POLLIN};
	uint64_t count;
	uint16_t tags[DEPTH];

	lay_reads(h);
	for (uint16_t tag = 0; tag < DEPTH; tag++)
		tags[tag] = tag;
	/* The back end calls when it starts to serve: after that the counter is ours. */
	if (poll(&first, 1, -1) != 1 || read(h->ring->call_fd, &count, sizeof(count)) != sizeof(count) ||
	    write(h->ring->call_fd, &most, sizeof(most)) != sizeof(most) ||
	    fcntl(h->ring->call_fd, F_SETFL, fcntl(h->ring->call_fd, F_GETFL) & ~O_NONBLOCK) != 0)
		perror("hostile_blk: call");
	driver_ring_arm(h->ring);
	post_and_kick(h, tags, DEPTH);
	wait_for_the_end(h);
}

static const struct {
	const char *name;
	void (*run)(struct hostile *h);
} modes[] = {{"kick-storm", kick_storm},
	     {"giant", giant},
	     {"bad-index", bad_index},
	     {"loop", loop},
	     {"out-of-region", out_of_region},
	     {"vanish", vanish},
	     {"truncate-memory", truncate_memory},
	     {"full-call", full_call}};

static int usage(void)
{
	fprintf(stderr, "usage: hostile_blk --socket S --mode MODE [--seconds N] [--packed]\nmodes:");
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		fprintf(stderr, " %s", modes[i].name);
	fprintf(stderr, "\n");
	return 2;
}

static int misbehave(struct hostile *h, const char *socket_path, bool packed, bool is_giant, void (*run)(struct hostile *h))
{
	/* Room for a giant's megabyte; its other segments are the same one again. */
	const struct blk_driver_config config = {.queue_count = 1,
						 .depth = DEPTH,
						 .packed = packed,
						 .indirect = is_giant,
						 .data_bytes = GIANT_SEGMENT_BYTES,
						 .segments_min = is_giant ? GIANT_SEGMENTS : 1};

	if (blk_driver_connect(&h->driver, socket_path, VHOST_USER_CLIENT_TIMEOUT_DEFAULT_MS) != 0 ||
	    blk_driver_start(&h->driver, &config) != 0) {
		fprintf(stderr, "hostile_blk: %s: %s\n", socket_path, h->driver.client.error);
		return 1;
	}
	h->queue = &h->driver.queues[0];
	h->ring = &h->queue->ring;
	run(h);
	printf("connection %s\ncompleted %llu\n", h->closed ? "closed" : "open", (unsigned long long)h->completed);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {{"socket", required_argument, NULL, 's'},
					      {"mode", required_argument, NULL, 'm'},
					      {"seconds", required_argument, NULL, 'n'},
					      {"packed", no_argument, NULL, 'p'},
					      {0}};
	const char *socket_path = NULL, *mode = "";
	unsigned long seconds = SECONDS_DEFAULT;
	struct hostile h = {.end_ns = 0};
	bool packed = false;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 's':
			socket_path = optarg;
			break;
		case 'm':
			mode = optarg;
			break;
		case 'n':
			seconds = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			packed = true;
			break;
		default:
			return usage();
		}
	}
	clock_calibrate();
	h.end_ns = clock_monotonic_ns() + seconds * 1000000000u;
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]) && socket_path != NULL; i++)
		if (strcmp(mode, modes[i].name) == 0)
			return misbehave(&h, socket_path, packed, modes[i].run == giant, modes[i].run);
	return usage();
}
