/* From packets to a guest's buffers: one, many, of any shape, too few. */
#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "net_guest.h"

enum { BUFFERS_MAX = 60, SPACING = 0x1000 };

static struct net_guest net, *const n = &net;
static struct guest *const rx = &net.rings[RX0];
static struct net_packet packet, *const p = &packet;

#define EACH_NET_KIND(features)                                                                                                    \
	for (unsigned kind_ = 0; kind_ < guest_kinds_count && (net_open(n, &guest_kinds[kind_], (features)), true);                \
	     net_close(n), kind_++)

static const struct net_queue_accounts *accounts(void)
{
	return net_queue_accounts(n->queues[RX0]);
}

/* One descriptor of `length` bytes at DATA + index * SPACING. */
static uint16_t give(unsigned index, uint32_t length)
{
	struct buffer b = {.addr = DATA + index * (uint64_t)SPACING, .length = length, .writable = true};

	return guest_put(rx, &b, 1);
}

static void expect_header_at(uint64_t addr, const struct virtio_net_header *h)
{
	uint8_t got[VNET_HEADER_BYTES];

	net_read(rx, addr, got, sizeof(got));
	assert_memory_equal(got, h, sizeof(got));
}

/* ---- one buffer ---- */

static void test_lengths(void **state)
{
	static const uint32_t lengths[] = {14, 31, 32, 33, 60, 64, 255, 256, 257, 300, 600, 1514, 1518};
	uint8_t got[2000];

	(void)state;
	EACH_NET_KIND(NET_ALL)
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const struct virtio_net_header h = {.num_buffers = 1};
		uint16_t given = give(0, 2000), id;
		uint32_t length;

		net_write(rx, DATA, memset(got, 0xee, sizeof(got)), sizeof(got));
		net_packet(p, lengths[i], i, 3);
		assert_true(net_put(n, &p->packet));
		assert_false(guest_get(rx, &id, &length)); /* nothing is seen before flush() */
		net_flush(n);
		assert_true(guest_get(rx, &id, &length));
		assert_int_equal(id, given);
		assert_int_equal(length, VNET_HEADER_BYTES + lengths[i]);
		expect_header_at(DATA, &h);
		net_read(rx, DATA + VNET_HEADER_BYTES, got, sizeof(got) - VNET_HEADER_BYTES);
		assert_memory_equal(got, p->frame, lengths[i]);
		assert_int_equal(got[lengths[i]], 0xee); /* and not a byte beyond */
	}
}

/* Exactly large enough, and one byte short. */
static void test_fit(void **state)
{
	(void)state;
	EACH_NET_KIND(~BIT64(VNET_F_MRG_RXBUF))
	{
		uint32_t length;
		uint16_t id;

		net_packet(p, 600, 1, 1);
		give(0, VNET_HEADER_BYTES + 600);
		give(1, VNET_HEADER_BYTES + 599);
		assert_true(net_put(n, &p->packet));
		assert_false(net_put(n, &p->packet));
		assert_false(net_put(n, &p->packet)); /* it is not consumed, and stays in the way of large frames only */
		net_packet(p, 599, 1, 1);
		assert_true(net_put(n, &p->packet));
		assert_false(net_put(n, &p->packet));
		net_flush(n);
		assert_true(guest_get(rx, &id, &length));
		assert_true(guest_get(rx, &id, &length));
		assert_int_equal(length, VNET_HEADER_BYTES + 599);
		assert_int_equal(accounts()->no_buffer, 3);
		assert_int_equal(accounts()->packets, 2);
		assert_int_equal(accounts()->bytes, 1199);
		assert_null(n->broken_why);
	}
}

static void test_headers(void **state)
{
	static const struct {
		uint8_t flags, gso;
		struct virtio_net_header h;
	} cases[] = {
		{PACKET_CSUM_VALID, PACKET_GSO_NONE, {.flags = VNET_HEADER_DATA_VALID}},
		{PACKET_NEEDS_CSUM, PACKET_GSO_NONE, {.flags = VNET_HEADER_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16}},
		{PACKET_NEEDS_CSUM | PACKET_CSUM_VALID,
		 PACKET_GSO_TCP4,
		 {.flags = VNET_HEADER_NEEDS_CSUM,
		  .gso_type = VNET_GSO_TCPV4,
		  .hdr_len = 66,
		  .gso_size = 100,
		  .csum_start = 34,
		  .csum_offset = 16}},
		{PACKET_NEEDS_CSUM,
		 PACKET_GSO_TCP6,
		 {.flags = VNET_HEADER_NEEDS_CSUM,
		  .gso_type = VNET_GSO_TCPV6 | VNET_GSO_ECN,
		  .hdr_len = 66,
		  .gso_size = 100,
		  .csum_start = 34,
		  .csum_offset = 16}},
		{PACKET_NEEDS_CSUM,
		 PACKET_GSO_UDP,
		 {.flags = VNET_HEADER_NEEDS_CSUM,
		  .gso_type = VNET_GSO_UDP_L4,
		  .hdr_len = 42,
		  .gso_size = 100,
		  .csum_start = 34,
		  .csum_offset = 16}},
	};

	(void)state;
	EACH_NET_KIND(NET_ALL)
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtio_net_header h = cases[i].h;
		uint32_t length;
		uint16_t id;

		net_packet(p, 1000, 1, 1);
		p->packet.flags = cases[i].flags;
		p->packet.gso = cases[i].gso;
		p->packet.gso_size = 100;
		p->packet.csum_start = 34;
		p->packet.csum_offset = 16;
		p->packet.head[34 + 12] = 8 << 4;
		p->packet.head[34 + 13] = cases[i].gso == PACKET_GSO_TCP6 ? 0x90 : 0x10; /* CWR */
		give(0, 2000);
		assert_true(net_put(n, &p->packet));
		net_flush(n);
		assert_true(guest_get(rx, &id, &length));
		h.num_buffers = 1;
		expect_header_at(DATA, &h);
	}
}

/* What a driver did not negotiate it does not see, where it costs nothing to leave it out. (What it would cost, the pipeline does:
 * offloads, below.) */
static void test_what_was_not_negotiated(void **state)
{
	static const struct {
		uint64_t without;
		uint8_t flags, gso;
		struct virtio_net_header h;
	} cases[] = {
		{BIT64(VNET_F_GUEST_CSUM), PACKET_CSUM_VALID, PACKET_GSO_NONE, {.num_buffers = 1}},
		{BIT64(VNET_F_GUEST_ECN),
		 PACKET_NEEDS_CSUM,
		 PACKET_GSO_TCP4,
		 {.flags = VNET_HEADER_NEEDS_CSUM,
		  .gso_type = VNET_GSO_TCPV4,
		  .hdr_len = 54,
		  .gso_size = 100,
		  .csum_start = 34,
		  .csum_offset = 16,
		  .num_buffers = 1}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		EACH_NET_KIND(~cases[i].without)
		{
			net_packet(p, 1000, 1, 1);
			p->packet.flags = cases[i].flags;
			p->packet.gso = cases[i].gso;
			p->packet.gso_size = 100;
			p->packet.csum_start = 34;
			p->packet.csum_offset = 16;
			p->packet.head[34 + 12] = 5 << 4;
			p->packet.head[34 + 13] = 0x80;
			give(0, 2000);
			assert_true(net_put(n, &p->packet));
			expect_header_at(DATA, &cases[i].h);
			net_flush(n);
		}
}

/* As the pipeline sees them, from the moment when a queue is filled to the moment when none is. */
static void test_offloads(void **state)
{
	static const struct {
		uint64_t without;
		uint32_t offloads;
	} cases[] = {
		{0, SINK_CSUM | SINK_TSO4 | SINK_TSO6 | SINK_USO},
		{BIT64(VNET_F_GUEST_CSUM), 0},
		{BIT64(VNET_F_GUEST_TSO4), SINK_CSUM | SINK_TSO6 | SINK_USO},
		{BIT64(VNET_F_GUEST_TSO6) | BIT64(VNET_F_GUEST_USO6), SINK_CSUM | SINK_TSO4},
	};
	struct packet_sink *sink;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		net_open(n, &guest_kinds[i], ~cases[i].without);
		sink = virtio_net_sink(n->net);
		assert_int_equal(sink->frame_bytes_max, NET_MTU + 14);
		assert_int_equal(sink->offloads, cases[i].offloads);
		net_start(n, RX1);
		net_stop(n, RX0);
		assert_int_equal(sink->offloads, cases[i].offloads);
		net_stop(n, RX1);
		assert_int_equal(sink->offloads, 0);
		net_packet(p, 60, 1, 1);
		assert_false(net_put(n, &p->packet));
		net_flush(n);
		net_close(n);
	}
}

static void test_legacy_header(void **state)
{
	uint8_t got[80];
	uint32_t length;
	uint16_t id;

	(void)state;
	net_open(n, &guest_kinds[0], ~(BIT64(VIRTIO_F_VERSION_1) | BIT64(VNET_F_MRG_RXBUF)));
	for (unsigned two = 0; two < 2; two++) {
		struct buffer b[2] = {{.addr = DATA, .length = two ? 10 : 100, .writable = true},
				      {.addr = DATA + 10, .length = 90, .writable = true}};

		net_packet(p, 60, 4, 1);
		guest_put(rx, b, 1 + two);
		assert_true(net_put(n, &p->packet));
		net_flush(n);
		assert_true(guest_get(rx, &id, &length));
		assert_int_equal(length, 70);
		net_read(rx, DATA + 10, got, 60);
		assert_memory_equal(got, p->frame, 60);
	}
	net_close(n);
}

/* ---- several buffers ---- */

/* Puts one frame over buffers of the given sizes (in turn), and reads it back. */
static void check_merged(uint32_t frame_bytes, const uint32_t *sizes, unsigned size_count)
{
	static uint8_t got[PACKET_FRAME_MAX_BYTES + VNET_HEADER_BYTES + 1];
	struct virtio_net_header h = {0};
	uint32_t total = 0, at = 0, length;
	uint16_t ids[BUFFERS_MAX], id;
	unsigned count = 0;

	for (; total < frame_bytes + VNET_HEADER_BYTES; count++) {
		total += sizes[count % size_count];
		ids[count] = give(count, sizes[count % size_count]);
	}
	net_packet(p, frame_bytes, count, 5);
	assert_true(net_put(n, &p->packet));
	net_flush(n);
	for (unsigned i = 0; i < count; i++) {
		assert_true(guest_get(rx, &id, &length));
		assert_int_equal(id, ids[i]);
		assert_int_equal(length, i + 1 < count ? sizes[i % size_count] : frame_bytes + VNET_HEADER_BYTES - at);
		net_read(rx, DATA + i * (uint64_t)SPACING, got + at, length);
		at += length;
	}
	assert_false(guest_get(rx, &id, &length));
	h.num_buffers = (uint16_t)count;
	assert_memory_equal(got, &h, sizeof(h));
	assert_memory_equal(got + VNET_HEADER_BYTES, p->frame, frame_bytes);
}

static void test_merged(void **state)
{
	static const uint32_t sizes[][3] = {{1536, 1536, 1536}, {12, 300, 4096}, {13, 12, 100}, {60, 2048, 999}};
	static const uint32_t frames[] = {14, 100, 244, 245, 1514, 3000};

	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		for (unsigned s = 0; s < 4; s++)
			for (unsigned f = 0; f < sizeof(frames) / sizeof(frames[0]); f++) {
				if (frames[f] > 1514 && s == 2)
					continue; /* takes more buffers than there are */
				check_merged(frames[f], sizes[s], 3);
			}
		check_merged(PACKET_FRAME_MAX_BYTES, sizes[0], 3);
		assert_null(n->broken_why);
	}
}

/* Frames of all sizes in one batch, over many laps of the ring. */
static void test_batches(void **state)
{
	uint64_t random = 1;

	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		unsigned given = 0, put_frames = 0;

		for (unsigned round = 0; round < 300; round++) {
			uint32_t length;
			uint16_t id;

			for (; given < 40; given++)
				give(round % 8 * 8 + given % 8, 500);
			for (unsigned i = 0; i < 8; i++) {
				random = random * 6364136223846793005u + 1442695040888963407u;
				net_packet(p, 14 + (uint32_t)(random >> 40) % 6000, i, 2);
				if (net_put(n, &p->packet))
					put_frames++;
			}
			net_flush(n);
			while (guest_get(rx, &id, &length)) {
				assert_in_range(length, 1, 500);
				given--;
			}
			assert_int_equal(accounts()->packets, put_frames);
		}
		assert_int_equal(put_frames + accounts()->no_buffer, 2400);
		assert_true(accounts()->no_buffer > 0);
		assert_int_equal(accounts()->ring.arrivals, put_frames);
		assert_int_equal(accounts()->ring.departures, put_frames);
		assert_int_equal(accounts()->ring.wait_ticks, accounts()->ring.occupancy_ticks);
		assert_null(n->broken_why);
	}
}

/* It runs out in the middle of a frame: nothing was consumed, nothing written, and a small frame still fits. */
static void test_undo(void **state)
{
	uint8_t before[3 * 0x1000], after[3 * 0x1000];

	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		uint32_t length;
		uint16_t id, ids[4];

		for (unsigned i = 0; i < 3; i++)
			ids[i] = give(i, 500);
		net_read(rx, DATA, before, sizeof(before));
		net_packet(p, 1500 - 11, 1, 1);
		assert_false(net_put(n, &p->packet));
		net_flush(n);
		net_read(rx, DATA, after, sizeof(after));
		assert_memory_equal(before, after, sizeof(before));
		assert_false(guest_get(rx, &id, &length));
		assert_int_equal(accounts()->no_buffer, 1);
		assert_int_equal(guest_calls(rx), 0);
		net_packet(p, 60, 2, 1);
		assert_true(net_put(n, &p->packet)); /* takes the first */
		net_packet(p, 1000, 2, 1);
		assert_false(net_put(n, &p->packet)); /* two of 500 do not hold it with its header */
		net_packet(p, 1000 - 12, 2, 1);
		assert_true(net_put(n, &p->packet));
		assert_false(net_put(n, &p->packet));
		net_flush(n);
		for (unsigned i = 0; i < 3; i++) {
			assert_true(guest_get(rx, &id, &length));
			assert_int_equal(id, ids[i]);
		}
		assert_int_equal(guest_calls(rx), 1);
		ids[3] = give(3, 2000); /* and it goes on */
		assert_true(net_put(n, &p->packet));
		net_flush(n);
		assert_true(guest_get(rx, &id, &length));
		assert_int_equal(id, ids[3]);
		assert_null(n->broken_why);
	}
}

/* ---- buffers of other shapes ---- */

/* As a driver without MRG_RXBUF gives "big" ones: a header by itself, and pages. And bytes one by one, and over a border. */
static void test_shapes(void **state)
{
	static uint8_t got[10000];

	(void)state;
	for (unsigned mergeable = 0; mergeable < 2; mergeable++)
		EACH_NET_KIND(mergeable ? NET_ALL : ~BIT64(VNET_F_MRG_RXBUF))
	for (unsigned shape = 0; shape < 4; shape++) {
		const struct virtio_net_header h = {.num_buffers = 1};
		uint32_t total = 0, frame_bytes = shape == 2 ? 18 : 9000, length;
		uint64_t addr = shape == 3 ? REGION_NEXT - 5000 : DATA;
		struct buffer pieces[40];
		unsigned count = 0;
		uint16_t given, id;

		while (total < frame_bytes + VNET_HEADER_BYTES) {
			uint32_t part = shape == 0 ? (count == 0 ? 12 : 4096) : shape == 1 ? 1000 : shape == 2 ? 1 : 10000;

			pieces[count++] = (struct buffer){.addr = addr + total, .length = part, .writable = true};
			total += part;
		}
		given = guest_put(rx, pieces, count);
		net_packet(p, frame_bytes, shape, 7);
		assert_true(net_put(n, &p->packet));
		net_flush(n);
		assert_true(guest_get(rx, &id, &length));
		assert_int_equal(id, given);
		assert_int_equal(length, frame_bytes + VNET_HEADER_BYTES);
		expect_header_at(addr, &h);
		net_read(rx, addr + VNET_HEADER_BYTES, got, frame_bytes);
		assert_memory_equal(got, p->frame, frame_bytes);
		assert_null(n->broken_why);
	}
}

/* Chains of every length among plain ones, merged. */
static void test_mixed_shapes(void **state)
{
	static uint8_t got[8000];

	(void)state;
	EACH_NET_KIND(NET_ALL)
	for (unsigned round = 0; round < 30; round++) {
		uint32_t at = 0, length;
		uint16_t id;

		for (unsigned i = 0; i < 8; i++) {
			struct buffer pieces[5];
			unsigned count = (round + i) % 5 + 1;

			for (unsigned j = 0; j < count; j++)
				pieces[j] = (struct buffer){
					.addr = DATA + i * UINT64_C(0x1000) + j * 0x200, .length = 500 / count, .writable = true};
			guest_put(rx, pieces, count);
		}
		net_packet(p, 3500, round, 3);
		assert_true(net_put(n, &p->packet));
		net_flush(n);
		for (unsigned i = 0; at < 3512; i++) {
			unsigned count = (round + i) % 5 + 1;

			assert_true(guest_get(rx, &id, &length));
			for (unsigned j = 0; length > 0; j++) {
				uint32_t part = length < 500 / count ? length : 500 / count;

				net_read(rx, DATA + i * UINT64_C(0x1000) + j * 0x200, got + at, part);
				at += part;
				length -= part;
			}
		}
		assert_memory_equal(got + VNET_HEADER_BYTES, p->frame, 3500);
		while (n->broken_why == NULL) { /* the rest, one by one */
			net_packet(p, 60, 1, 1);
			if (!net_put(n, &p->packet))
				break;
		}
		net_flush(n);
		while (guest_get(rx, &id, &length))
			;
		assert_null(n->broken_why);
	}
}

/* A frame is scattered to so many places at most: what needs more does not fit, and harms nobody. */
static void test_too_many_pieces(void **state)
{
	const struct guest_kind kind = {.size = 64, .indirect = true};
	struct buffer pieces[128];

	(void)state;
	net_open(n, &kind, NET_ALL);
	for (unsigned i = 0; i < 9; i++) {
		for (unsigned j = 0; j < 128; j++) /* none behind the one before */
			pieces[j] = (struct buffer){
				.addr = DATA + i * UINT64_C(0x1000) + j * 8, .length = j == 0 ? 12 : 1, .writable = true};
		guest_put(rx, pieces, 128);
	}
	net_packet(p, 1200, 1, 1); /* nine of 139 bytes hold it, in 1,083 pieces */
	assert_false(net_put(n, &p->packet));
	assert_int_equal(accounts()->no_buffer, 1);
	net_packet(p, 1000, 1, 1);
	assert_true(net_put(n, &p->packet));
	net_flush(n);
	assert_null(n->broken_why);
	net_close(n);
}

/* Buffers in tables that hold nothing else: whoever sends to such a guest is not held up for ever, and it is served again at the next
 * moment. */
static void test_work_is_bounded(void **state)
{
	const struct guest_kind kind = {.size = 64, .indirect = true};
	struct buffer pieces[128];
	unsigned taken = 0;

	(void)state;
	net_open(n, &kind, NET_ALL);
	for (unsigned i = 0; i < 60; i++) {
		for (unsigned j = 0; j < 128; j++)
			pieces[j] = (struct buffer){
				.addr = DATA + i * UINT64_C(0x1000) + j, .length = j == 127 ? 100 : 0, .writable = true};
		guest_put(rx, pieces, 128);
	}
	net_packet(p, 60, 1, 0);
	for (unsigned i = 0; i < 60; i++)
		taken += net_put(n, &p->packet);
	assert_int_equal(taken, (VIRTIO_NET_VISIT_WALK_MAX + 128) / 129);
	assert_int_equal(accounts()->no_buffer, 60 - taken);
	net_flush(n); /* the next moment */
	assert_true(net_put(n, &p->packet));
	net_flush(n);
	assert_null(n->broken_why);
	net_close(n);
}

/* ---- rings that break a rule ---- */

static void expect_broken(void)
{
	uint32_t length;
	uint16_t id;

	net_packet(p, 3000, 1, 1);
	assert_false(net_put(n, &p->packet));
	assert_non_null(n->broken_why);
	assert_int_equal(n->broken_queue, RX0);
	assert_false(net_put(n, &p->packet));
	net_flush(n);
	assert_int_equal(n->broken_count, 1);
	assert_false(guest_get(rx, &id, &length));
	net_stop(n, RX0);
	assert_int_equal(rx->state.queues[RX0].broken, 1);
}

static void test_buffers_that_break(void **state)
{
	const struct buffer readable[] = {{.addr = DATA, .length = 4000}};
	const struct buffer mixed[] = {{.addr = DATA, .length = 20}, {.addr = DATA + 100, .length = 4000, .writable = true}};
	const struct buffer outside[] = {{.addr = UINT64_C(1) << 40, .length = 4000, .writable = true}};
	const struct buffer beyond[] = {{.addr = REGION_FAR + REGION_BYTES - 100, .length = 4000, .writable = true}};
	const struct buffer small[] = {{.addr = DATA, .length = 11, .writable = true}};
	const struct buffer smaller[] = {{.addr = DATA, .length = 5, .writable = true},
					 {.addr = DATA + 9, .length = 6, .writable = true}};
	const struct buffer empty[] = {{.addr = DATA, .length = 0, .writable = true}};
	const struct buffer second_outside[] = {{.addr = DATA, .length = 1000, .writable = true},
						{.addr = UINT64_MAX - 10, .length = 4000, .writable = true}};
	const struct {
		const struct buffer *pieces;
		unsigned count;
	} cases[] = {{readable, 1}, {mixed, 2},	  {outside, 1}, {beyond, 1},
		     {small, 1},    {smaller, 2}, {empty, 1},	{second_outside, 2}};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned mergeable = 0; mergeable < 2; mergeable++)
			EACH_NET_KIND(mergeable ? NET_ALL : ~BIT64(VNET_F_MRG_RXBUF))
			{
				if (mergeable)
					give(5, 1000); /* the second of a frame breaks it: the first is not consumed */
				guest_put(rx, cases[i].pieces, cases[i].count);
				expect_broken();
			}
}

static void test_rings_that_break(void **state)
{
	const struct guest_kind split = {.size = 64}, packed = {.size = 8, .packed = true};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		net_open(n, &split, NET_ALL);
		rx->avail->ring[0] = i == 0 ? 64 : 0;
		rx->desc[0] = (struct vring_desc){.addr = DATA, .len = 100, .flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE};
		rx->desc[0].next = i == 1 ? 64 : 0;
		rx->avail->idx = 1;
		expect_broken();
		net_close(n);
	}
	net_open(n, &packed, NET_ALL);
	for (unsigned slot = 0; slot < 8; slot++)
		rx->ring[slot] = (struct vring_packed_desc){
			.addr = DATA, .len = 50, .flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | 1 << VRING_PACKED_DESC_F_AVAIL};
	expect_broken();
	net_close(n);
}

/* A guest that changes a buffer after it was seen, before its turn. */
static void test_a_buffer_that_changes(void **state)
{
	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		struct buffer two[2] = {{.addr = DATA, .length = 12, .writable = true},
					{.addr = DATA + 50, .length = 100, .writable = true}};
		uint32_t length;
		uint16_t id;

		if (guest_kinds[kind_].indirect)
			continue;
		give(1, 100);
		guest_put(rx, two, 2);
		give(2, 100);
		net_packet(p, 60, 1, 1);
		assert_true(net_put(n, &p->packet)); /* all three were seen */
		if (guest_kinds[kind_].packed)
			rx->ring[1].flags &= (uint16_t)~VRING_DESC_F_NEXT; /* now one slot of twelve bytes */
		else
			rx->desc[1].flags &= (uint16_t)~VRING_DESC_F_NEXT;
		net_packet(p, 80, 1, 1);
		assert_true(net_put(n, &p->packet));
		net_flush(n);
		assert_true(guest_get(rx, &id, &length));
		assert_int_equal(accounts()->packets, 2);
	}
}

/* ---- calls ---- */

static void test_one_call_a_batch(void **state)
{
	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		uint32_t length;
		uint16_t id;

		for (unsigned i = 0; i < 20; i++)
			give(i, 200);
		net_packet(p, 60, 1, 1);
		for (unsigned i = 0; i < 10; i++)
			assert_true(net_put(n, &p->packet));
		assert_int_equal(guest_calls(rx), 0);
		net_flush(n);
		assert_int_equal(guest_calls(rx), 1);
		net_flush(n); /* nothing new */
		assert_int_equal(guest_calls(rx), 0);
		assert_int_equal(accounts()->calls_sent, 1);
		if (guest_kinds[kind_].packed)
			rx->driver_event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
		else if (guest_kinds[kind_].event_idx)
			rx->avail->ring[rx->kind.size] = 1000;
		else
			rx->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
		for (unsigned i = 0; i < 10; i++)
			assert_true(net_put(n, &p->packet));
		net_flush(n);
		assert_int_equal(guest_calls(rx), 0);
		for (unsigned i = 0; i < 20; i++)
			assert_true(guest_get(rx, &id, &length));
	}
}

/* ---- a receiver whose memory goes away ---- */

static void test_memory_taken_away(void **state)
{
	(void)state;
	assert_int_equal(guest_memory_catch_sigbus(), 0);
	EACH_NET_KIND(NET_ALL)
	{
		struct buffer b = {.addr = REGION_FAR, .length = 2000, .writable = true};

		guest_put(rx, &b, 1);
		b.addr += 4096;
		guest_put(rx, &b, 1);
		net_packet(p, 1000, 1, 1);
		assert_true(net_put(n, &p->packet));
		assert_int_equal(ftruncate(rx->fds[2], 0), 0);
		assert_true(net_put(n, &p->packet)); /* into memory that nobody sees */
		net_flush(n);
		guest_put(rx, &b, 1);
		assert_false(net_put(n, &p->packet));
		assert_non_null(n->broken_why);
	}
}

/* ---- between two guests ---- */

/* A large frame arrives as it was sent, whatever the kinds of the two rings. */
static void test_unsegmented(void **state)
{
	static struct net_guest sender, *const s = &sender;
	static uint8_t frame[30000], got[30012];

	(void)state;
	net_frame(frame, sizeof(frame), 4);
	frame[34 + 12] = 5 << 4;
	frame[34 + 13] = 0x10;
	for (unsigned from = 0; from < guest_kinds_count; from++)
		EACH_NET_KIND(NET_ALL)
		{
			struct virtio_net_header h = {.flags = VNET_HEADER_NEEDS_CSUM,
						      .gso_type = VNET_GSO_TCPV4,
						      .hdr_len = 54,
						      .gso_size = 1448,
						      .csum_start = 34,
						      .csum_offset = 16};
			uint32_t at = 0, length;
			uint16_t id;

			net_open(s, &guest_kinds[from], NET_ALL);
			s->forward = virtio_net_sink(n->net);
			for (unsigned i = 0; i < 40; i++)
				give(i, 1000);
			net_send(s, TX0, DATA, &h, frame, sizeof(frame));
			assert_int_equal(net_serve(s, TX0), 1);
			assert_int_equal(s->forwarded, 1);
			assert_true(guest_get(&s->rings[TX0], &id, &length));
			for (unsigned i = 0; guest_get(rx, &id, &length); i++, at += length)
				net_read(rx, DATA + i * (uint64_t)SPACING, got + at, length);
			assert_int_equal(at, sizeof(got));
			h.num_buffers = 31;
			assert_memory_equal(got, &h, sizeof(h));
			assert_memory_equal(got + 12, frame, sizeof(frame));
			assert_int_equal(accounts()->packets, 1);
			assert_int_equal(accounts()->segments, (sizeof(frame) - 54 + 1447) / 1448);
			assert_int_equal(net_queue_accounts(s->queues[TX0])->segments, accounts()->segments);
			net_close(s);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_what_was_not_negotiated),
		cmocka_unit_test(test_offloads),
		cmocka_unit_test(test_legacy_header),
		cmocka_unit_test(test_merged),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_mixed_shapes),
		cmocka_unit_test(test_too_many_pieces),
		cmocka_unit_test(test_work_is_bounded),
		cmocka_unit_test(test_buffers_that_break),
		cmocka_unit_test(test_rings_that_break),
		cmocka_unit_test(test_a_buffer_that_changes),
		cmocka_unit_test(test_one_call_a_batch),
		cmocka_unit_test(test_memory_taken_away),
		cmocka_unit_test(test_unsegmented),
	};

	return cmocka_run_group_tests_name("virtio-net receive", tests, NULL, NULL);
}
