/*
 * What a NIC's front end costs by itself: a driver in the same thread fills a ring, and only the device's work is between two
 * readings of the TSC. So caches are warm, as they are for a guest that is served at once; what a driver on another core adds are
 * the misses of its lines (--cross: a driver thread on core 0, the device on core 1).
 *
 *	micro_net [--cross] [seconds a case]
 *
 * Cases: both kinds of ring; frames in one descriptor, in two, in two of an indirect table.
 *	transmit	peek, copies of 64 B frames, an input that drops them, used elements, whether to call
 *	receive		put() and flush() of 64 B frames, batches of 32, into buffers of 1,536 bytes
 *	guest to guest	frames of 64 KiB from one ring's pages into another's buffers (MRG_RXBUF): Gbit/s
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "virtio/virtio_net.h"
#include "virtio/virtio_net_proto.h"
#include "virtio/virtqueue.h"

enum {
	RING_SIZE = 256,
	BATCH = 32,
	FRAME_BYTES = 64,
	MEMORY_BYTES = 64 << 20,
	RING_BYTES = 0x10000, /* of memory, a queue */
	DRIVER_AT = 0x4000,
	DEVICE_AT = 0x8000,
	TABLES_AT = 0x80000,
	BUFFERS_AT = 1 << 20,
	BUFFER_BYTES = 2048,
	GSO_BYTES = 65226, /* 45 segments of 1,448 and 66 bytes of headers */
	GSO_PIECES = 17,   /* MAX_SKB_FRAGS pages after the linear part */
	GSO_AT = 16 << 20,
	INTERVALS_MAX = 4096,
	INTERVAL_US = 5000,
	DRIVER_CORE = 0,
	DEVICE_CORE = 1,
};

#define USER_BASE UINT64_C(0x100000000)

enum shape { ONE, TWO, TABLE };
static const char *const shape_names[] = {"one", "two", "table"};

/* The driver's side of one queue. */
struct driver {
	uint8_t *memory;
	bool packed;
	enum shape shape;
	struct vring_desc *desc;
	struct vring_packed_desc *ring;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail, used_seen, slots;
	bool avail_wrap, used_wrap;
	uint16_t slots_of[RING_SIZE];
};

struct bench {
	uint8_t *memory;
	struct guest_memory guest;
	struct device_state state;
	struct virtio_worker *worker;
	struct virtio_net *net;
	struct packet_input input;
	struct net_queue *rx, *tx;
	struct driver rx_driver, tx_driver;
	struct packet_sink *forward;
	uint64_t received, bytes;
	bool stop;
	uint64_t samples[INTERVALS_MAX];
	unsigned sample_count;
};

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* ---- driver ---- */

static void driver_open(struct driver *d, uint8_t *memory, unsigned queue, bool packed, enum shape shape)
{
	memset(d, 0, sizeof(*d));
	d->memory = memory;
	d->packed = packed;
	d->shape = shape;
	d->desc = (void *)(memory + queue * RING_BYTES);
	d->ring = (void *)(memory + queue * RING_BYTES);
	d->avail = (void *)(memory + queue * RING_BYTES + DRIVER_AT);
	d->used = (void *)(memory + queue * RING_BYTES + DEVICE_AT);
	d->avail_wrap = d->used_wrap = true;
	memset(d->desc, 0, RING_BYTES);
}

struct span {
	uint64_t addr;
	uint32_t length;
};

static void put_split(struct driver *d, uint16_t id, const struct span *spans, unsigned count, uint16_t write, bool table)
{
	uint64_t table_at = TABLES_AT + id * UINT64_C(1024);
	struct vring_desc *to = table ? (void *)(d->memory + table_at) : &d->desc[id * (table ? 1 : count)];
	uint16_t head = (uint16_t)(table ? id : id * count);

	for (unsigned i = 0; i < count; i++)
		to[i] = (struct vring_desc){.addr = spans[i].addr,
					    .len = spans[i].length,
					    .flags = (uint16_t)(write | (i + 1 < count ? VRING_DESC_F_NEXT : 0)),
					    .next = (uint16_t)((table ? 0 : head) + i + 1)};
	if (table)
		d->desc[id] = (struct vring_desc){.addr = table_at, .len = count * 16, .flags = VRING_DESC_F_INDIRECT};
	d->avail->ring[d->next_avail++ % RING_SIZE] = head;
}

static void put_slot(struct driver *d, uint16_t id, struct span span, uint16_t flags)
{
	struct vring_packed_desc *p = &d->ring[d->next_avail];

	flags |= d->avail_wrap ? 1 << VRING_PACKED_DESC_F_AVAIL : 1 << VRING_PACKED_DESC_F_USED;
	p->addr = span.addr;
	p->len = span.length;
	p->id = id;
	__atomic_store_n(&p->flags, flags, __ATOMIC_RELEASE);
	if (++d->next_avail == RING_SIZE) {
		d->next_avail = 0;
		d->avail_wrap = !d->avail_wrap;
	}
}

/* Chains are made visible slot by slot here; in --cross only chains of one slot are used with packed rings. */
static void put_packed(struct driver *d, uint16_t id, const struct span *spans, unsigned count, uint16_t write, bool table)
{
	uint64_t table_at = TABLES_AT + id * UINT64_C(1024);
	struct vring_packed_desc *to = (void *)(d->memory + table_at);

	d->slots_of[id] = (uint16_t)(table ? 1 : count);
	if (!table) {
		for (unsigned i = 0; i < count; i++)
			put_slot(d, id, spans[i], (uint16_t)(write | (i + 1 < count ? VRING_DESC_F_NEXT : 0)));
		return;
	}
	for (unsigned i = 0; i < count; i++)
		to[i] = (struct vring_packed_desc){.addr = spans[i].addr, .len = spans[i].length, .flags = write};
	put_slot(d, id, (struct span){table_at, count * 16}, VRING_DESC_F_INDIRECT);
}

static void put(struct driver *d, uint16_t id, const struct span *spans, unsigned count, bool writable, bool table)
{
	(d->packed ? put_packed : put_split)(d, id, spans, count, writable ? VRING_DESC_F_WRITE : 0, table);
}

static void show(struct driver *d)
{
	if (!d->packed)
		__atomic_store_n(&d->avail->idx, d->next_avail, __ATOMIC_RELEASE);
}

static bool get(struct driver *d, uint16_t *id)
{
	uint16_t mask = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED;
	struct vring_packed_desc *p = &d->ring[d->used_seen];

	if (!d->packed) {
		if (__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE) == d->used_seen)
			return false;
		*id = (uint16_t)d->used->ring[d->used_seen++ % RING_SIZE].id;
		return true;
	}
	if ((__atomic_load_n(&p->flags, __ATOMIC_ACQUIRE) & mask) != (d->used_wrap ? mask : 0))
		return false;
	*id = p->id;
	d->used_seen = (uint16_t)(d->used_seen + d->slots_of[*id]);
	if (d->used_seen >= RING_SIZE) {
		d->used_seen = (uint16_t)(d->used_seen - RING_SIZE);
		d->used_wrap = !d->used_wrap;
	}
	return true;
}

/* A small frame, as DPDK and Linux have them: one descriptor, or the header by itself. */
static void put_small(struct driver *d, uint16_t id)
{
	uint64_t at = BUFFERS_AT + id * (uint64_t)BUFFER_BYTES;
	struct span spans[2] = {{at, VNET_HEADER_BYTES}, {at + VNET_HEADER_BYTES, FRAME_BYTES}};

	memset(d->memory + at, 0, VNET_HEADER_BYTES);
	d->memory[at + VNET_HEADER_BYTES + 20] = (uint8_t)id;
	if (d->shape == ONE)
		spans[0].length += FRAME_BYTES;
	put(d, id, spans, d->shape == ONE ? 1 : 2, false, d->shape == TABLE);
}

static void put_buffer(struct driver *d, uint16_t id, uint32_t bytes)
{
	struct span span = {BUFFERS_AT + (RING_SIZE + id) * (uint64_t)bytes, bytes};

	put(d, id, &span, 1, true, false);
}

/* As Linux sends one: header and headers in one piece, then pages of the page cache. */
static void put_gso(struct driver *d, uint16_t id, unsigned n)
{
	uint64_t at = GSO_AT + n * (uint64_t)(128 << 10);
	struct virtio_net_header h = {.flags = VNET_HEADER_NEEDS_CSUM,
				      .gso_type = VNET_GSO_TCPV4,
				      .hdr_len = 66,
				      .gso_size = 1448,
				      .csum_start = 34,
				      .csum_offset = 16};
	struct span spans[GSO_PIECES + 1] = {{at, VNET_HEADER_BYTES + 66}};
	uint32_t left = GSO_BYTES - 66;

	memcpy(d->memory + at, &h, sizeof(h));
	d->memory[at + VNET_HEADER_BYTES + 34 + 12] = 8 << 4;
	for (unsigned i = 1; i <= GSO_PIECES; i++) {
		uint32_t part = i == GSO_PIECES ? left : (GSO_BYTES - 66) / GSO_PIECES;

		spans[i] = (struct span){at + i * UINT64_C(4096), part};
		left -= part;
	}
	put(d, id, spans, GSO_PIECES + 1, false, true);
}

/* ---- device ---- */

static void drop(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct bench *b = (struct bench *)((char *)input - offsetof(struct bench, input));

	(void)packets;
	(void)now_tsc;
	b->received += count;
}

static void forward(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct bench *b = (struct bench *)((char *)input - offsetof(struct bench, input));

	for (unsigned i = 0; i < count; i++) {
		packets[i]->flags |= PACKET_CSUM_VALID;
		if (b->forward->ops->put(b->forward, packets[i], now_tsc)) {
			b->received++;
			b->bytes += packet_bytes(packets[i]);
		}
	}
	b->forward->ops->flush(b->forward, now_tsc);
}

static void broken(void *context, unsigned queue, const char *why)
{
	(void)context;
	fprintf(stderr, "queue %u broke: %s\n", queue, why);
	exit(1);
}

static void bench_open(struct bench *b, bool packed, enum shape shape)
{
	struct virtio_net_config config = {
		.mtu = 1500, .pairs_max = 1, .packed_allowed = true, .input = &b->input, .broken = broken, .context = b};
	struct region_state region = {.size_bytes = MEMORY_BYTES, .user_addr = USER_BASE};
	int fd = memfd_create("guest", 0), err;

	memset(b, 0, sizeof(*b));
	guest_memory_init(&b->guest);
	err = ftruncate(fd, MEMORY_BYTES) < 0 ? -errno : guest_memory_add(&b->guest, &region, fd);
	b->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	assert(err == 0 && b->memory != MAP_FAILED);
	close(fd);
	memset(b->guest.regions[0].host, 0, MEMORY_BYTES);
	driver_open(&b->rx_driver, b->memory, 0, packed, ONE);
	driver_open(&b->tx_driver, b->memory, 1, packed, shape);
	b->input.receive = drop;
	err = virtio_worker_create(&b->worker, 64);
	err |= virtio_net_create(&b->net, &config);
	assert(err == 0);
	b->forward = virtio_net_sink(b->net);
	b->state.features = virtio_net_features(b->net) & ~(packed ? 0 : UINT64_C(1) << VIRTIO_F_RING_PACKED);
	for (unsigned i = 0; i < 2; i++)
		b->state.queues[i] = (struct virtqueue_state){.descriptor_user_addr = USER_BASE + i * RING_BYTES,
							      .driver_user_addr = USER_BASE + i * RING_BYTES + DRIVER_AT,
							      .device_user_addr = USER_BASE + i * RING_BYTES + DEVICE_AT,
							      .size = RING_SIZE,
							      .next_avail = packed ? 0x8000 : 0,
							      .next_used = packed ? 0x8000 : 0};
	err |= virtio_net_queue_start(b->net, b->worker, 0, &b->state, &b->guest, -1, clock_tsc(), &b->rx);
	err |= virtio_net_queue_start(b->net, b->worker, 1, &b->state, &b->guest, -1, clock_tsc(), &b->tx);
	assert(err == 0);
	net_queue_disarm(b->tx);
	net_queue_disarm(b->rx);
}

static void bench_close(struct bench *b)
{
	net_queue_stop(b->rx);
	net_queue_stop(b->tx);
	net_queue_release(b->rx, &b->state.queues[0]);
	net_queue_release(b->tx, &b->state.queues[1]);
	virtio_net_free(b->net);
	virtio_worker_free(b->worker);
	guest_memory_clear(&b->guest);
	munmap(b->memory, MEMORY_BYTES);
}

/* ---- measuring ---- */

struct meter {
	double best, total_ticks, total;
	uint64_t ticks, count, interval_end_tsc;
};

/* `count` things took `ticks`. The best interval is the one that the machine's other work did not interrupt. */
static void meter_add(struct meter *m, uint64_t ticks, uint64_t count)
{
	uint64_t now_tsc = clock_tsc();

	m->ticks += ticks;
	m->count += count;
	m->total_ticks += (double)ticks;
	m->total += (double)count;
	if (now_tsc < m->interval_end_tsc)
		return;
	if (m->interval_end_tsc != 0 && m->count > 0 && (m->best == 0 || (double)m->ticks / (double)m->count < m->best))
		m->best = (double)m->ticks / (double)m->count;
	m->ticks = m->count = 0;
	m->interval_end_tsc = now_tsc + clock_ns_to_tsc(INTERVAL_US * UINT64_C(1000));
}

static uint64_t deadline(double seconds)
{
	return clock_tsc() + (uint64_t)(seconds * (double)clock_tsc_hz());
}

static void transmit(bool packed, enum shape shape, double seconds)
{
	static struct bench b;
	struct meter whole = {0}, peek = {0};
	struct ring_chain chains[BATCH];
	struct virtio_ring *r;
	uint64_t end_tsc;
	uint16_t id, n = 0;
	bool peeks = false;

	bench_open(&b, packed, shape);
	r = (struct virtio_ring *)b.tx; /* its first member */
	for (end_tsc = deadline(seconds); clock_tsc() < end_tsc; peeks = !peeks) {
		uint64_t from_tsc, to_tsc;

		for (unsigned i = 0; i < BATCH; i++, n = (uint16_t)((n + 1) % (RING_SIZE / 2)))
			put_small(&b.tx_driver, n);
		show(&b.tx_driver);
		from_tsc = clock_tsc();
		if (peeks) { /* by itself, in every other round: it would warm the lines for the other */
			if (ring_peek_plain(r, chains, BATCH, false) != BATCH)
				abort();
			meter_add(&peek, clock_tsc() - from_tsc, BATCH);
		}
		if (net_queue_visit(b.tx, from_tsc).started != BATCH)
			abort();
		to_tsc = clock_tsc();
		if (!peeks)
			meter_add(&whole, to_tsc - from_tsc, BATCH);
		while (get(&b.tx_driver, &id))
			;
	}
	printf("transmit  %-6s %-5s  %6.1f cycles a packet best, %6.1f average; of that the peek %5.1f\n",
	       packed ? "packed" : "split", shape_names[shape], whole.best, whole.total_ticks / whole.total, peek.best);
	bench_close(&b);
}

static void receive(bool packed, double seconds)
{
	static struct bench b;
	static uint8_t room[PACKET_HEAD_BYTES];
	struct packet p = {.head = room + PACKET_HEADROOM_BYTES, .head_bytes = FRAME_BYTES, .flags = PACKET_CSUM_VALID};
	struct meter m = {0};
	uint16_t id;

	bench_open(&b, packed, ONE);
	for (unsigned i = 0; i < RING_SIZE; i++)
		put_buffer(&b.rx_driver, (uint16_t)i, 1536);
	show(&b.rx_driver);
	for (uint16_t i = 0; i < RING_SIZE; i++)
		b.rx_driver.slots_of[i] = 1;
	for (uint64_t end_tsc = deadline(seconds); clock_tsc() < end_tsc;) {
		uint64_t from_tsc = clock_tsc(), to_tsc;

		for (unsigned i = 0; i < BATCH; i++)
			if (!b.forward->ops->put(b.forward, &p, from_tsc))
				abort();
		b.forward->ops->flush(b.forward, from_tsc);
		to_tsc = clock_tsc();
		meter_add(&m, to_tsc - from_tsc, BATCH);
		while (get(&b.rx_driver, &id))
			put_buffer(&b.rx_driver, id, 1536);
		show(&b.rx_driver);
	}
	printf("receive   %-6s        %6.1f cycles a packet best, %6.1f average\n", packed ? "packed" : "split", m.best,
	       m.total_ticks / m.total);
	bench_close(&b);
}

static void guest_to_guest(bool packed, uint32_t buffer_bytes, double seconds)
{
	static struct bench b;
	struct meter m = {0};
	uint64_t sent = 0;
	uint16_t id;

	bench_open(&b, packed, TABLE);
	b.input.receive = forward;
	for (unsigned i = 0; i < RING_SIZE; i++)
		put_buffer(&b.rx_driver, (uint16_t)i, buffer_bytes);
	show(&b.rx_driver);
	for (uint64_t end_tsc = deadline(seconds); clock_tsc() < end_tsc;) {
		uint64_t from_tsc, to_tsc, before = b.bytes;
		struct visit v;

		for (unsigned i = 0; i < 4; i++, sent++)
			put_gso(&b.tx_driver, (uint16_t)(sent % 64), (unsigned)(sent % 64));
		show(&b.tx_driver);
		from_tsc = clock_tsc();
		v = net_queue_visit(b.tx, from_tsc);
		to_tsc = clock_tsc();
		if (v.started != 4 || b.received != sent + 4 - 4)
			abort();
		meter_add(&m, to_tsc - from_tsc, b.bytes - before);
		while (get(&b.tx_driver, &id))
			;
		while (get(&b.rx_driver, &id))
			put_buffer(&b.rx_driver, id, buffer_bytes);
		show(&b.rx_driver);
	}
	printf("TSO 64 KiB guest to guest, %-6s, buffers of %5u: %6.1f Gbit/s best, %6.1f average\n", packed ? "packed" : "split",
	       buffer_bytes, 8 * (double)clock_tsc_hz() / m.best / 1e9, 8 * (double)clock_tsc_hz() * m.total / m.total_ticks / 1e9);
	bench_close(&b);
}

/* ---- a driver on another core ---- */

static void *drive(void *argument)
{
	struct bench *b = argument;
	struct driver *d = &b->tx_driver;
	uint16_t id;

	pin(DRIVER_CORE);
	for (uint16_t i = 0; i < RING_SIZE / 2; i++)
		put_small(d, i);
	show(d);
	while (!__atomic_load_n(&b->stop, __ATOMIC_RELAXED)) {
		for (unsigned i = 0; i < BATCH && get(d, &id); i++)
			put_small(d, d->packed || d->shape != TWO ? id : (uint16_t)(id / 2));
		show(d);
	}
	return NULL;
}

static void cross(bool packed, enum shape shape, double seconds)
{
	static struct bench b;
	struct meter m = {0};
	uint64_t visits = 0;
	pthread_t driver;

	bench_open(&b, packed, shape);
	pthread_create(&driver, NULL, drive, &b);
	for (uint64_t end_tsc = deadline(seconds), now_tsc; (now_tsc = clock_tsc()) < end_tsc;) {
		struct visit v = net_queue_visit(b.tx, now_tsc);

		if (v.started == 0)
			continue;
		meter_add(&m, clock_tsc() - now_tsc, v.started);
		visits++;
	}
	__atomic_store_n(&b.stop, true, __ATOMIC_RELAXED);
	pthread_join(driver, NULL);
	printf("transmit, driver on another core, %-6s %-5s  %6.1f cycles a packet best, %6.1f average; %4.1f a visit, %.2f M/s\n",
	       packed ? "packed" : "split", shape_names[shape], m.best, m.total_ticks / m.total, m.total / (double)visits,
	       m.total / seconds / 1e6);
	bench_close(&b);
}

int main(int argc, char **argv)
{
	bool across = argc > 1 && strcmp(argv[1], "--cross") == 0;
	double seconds = argc > 1 + across ? atof(argv[1 + across]) : 1;

	if (seconds <= 0) {
		fprintf(stderr, "usage: %s [--cross] [seconds a case]\n", argv[0]);
		return 2;
	}
	clock_calibrate();
	pin(DEVICE_CORE);
	for (unsigned packed = 0; packed < 2; packed++)
		for (enum shape shape = ONE; shape <= TABLE; shape++)
			if (!across)
				transmit(packed, shape, seconds);
			else if (!packed || shape != TWO)
				cross(packed, shape, seconds);
	for (unsigned packed = 0; packed < 2 && !across; packed++) {
		receive(packed, seconds);
		guest_to_guest(packed, 1536, seconds);
		guest_to_guest(packed, 16384, seconds);
	}
	return 0;
}
