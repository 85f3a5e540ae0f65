/* From a guest's chains to packets: every cutting, every header, every broken rule. */
#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "net_guest.h"

enum { FRAME_AT = DATA, CUT_MAX = 128 };

static struct net_guest net, *const n = &net;
static struct guest *const tx = &net.rings[TX0];
static const struct virtio_net_header plain_header;

#define EACH_NET_KIND(features)                                                                                                    \
	for (unsigned kind_ = 0; kind_ < guest_kinds_count && (net_open(n, &guest_kinds[kind_], (features)), true);                \
	     net_close(n), kind_++)

/* All chains came back once, nothing written, in order. */
static void expect_back(const uint16_t *ids, unsigned count)
{
	uint32_t length;
	uint16_t id;

	for (unsigned i = 0; i < count; i++) {
		assert_true(guest_get(tx, &id, &length));
		assert_int_equal(id, ids[i]);
		assert_int_equal(length, 0);
	}
	assert_false(guest_get(tx, &id, &length));
}

static void expect_frame(const uint8_t *frame, uint32_t length)
{
	const struct net_seen *s = &n->seen[0];

	assert_int_equal(n->seen_count, 1);
	assert_int_equal(s->length, length);
	assert_memory_equal(s->bytes, frame, length);
	n->seen_count = 0;
}

/* ---- shapes ---- */

/* Header and frame are laid out one behind the other from `addr`, and cut at `cuts`. */
static void send_cut(uint64_t addr, const struct virtio_net_header *h, const uint8_t *frame, uint32_t length, const uint32_t *cuts,
		     unsigned cut_count, uint16_t *id)
{
	uint32_t total = VNET_HEADER_BYTES + length, at = 0;
	struct buffer pieces[CUT_MAX + 1];
	unsigned count = 0;

	net_write(tx, addr, h, VNET_HEADER_BYTES);
	net_write(tx, addr + VNET_HEADER_BYTES, frame, length);
	for (unsigned i = 0; i <= cut_count; i++) {
		uint32_t end = i < cut_count ? cuts[i] : total;

		pieces[count++] = (struct buffer){.addr = addr + at, .length = end - at};
		at = end;
	}
	*id = guest_put(tx, pieces, count);
}

static void test_one_cut_anywhere(void **state)
{
	static uint8_t frame[600];

	(void)state;
	net_frame(frame, sizeof(frame), 1);
	EACH_NET_KIND(NET_ALL)
	{
		for (uint32_t cut = 1; cut < VNET_HEADER_BYTES + sizeof(frame); cut++) {
			uint16_t id;

			send_cut(FRAME_AT, &plain_header, frame, sizeof(frame), &cut, 1, &id);
			assert_int_equal(net_serve(n, TX0), 1);
			expect_frame(frame, sizeof(frame));
			expect_back(&id, 1);
		}
		assert_null(n->broken_why);
	}
}

/* Lengths around every limit there is: shortest, the copy's blocks, the head, a page. */
static void test_lengths_in_one_piece_and_two(void **state)
{
	static const uint32_t lengths[] = {14, 15, 31, 32, 33, 60, 63, 64, 65, 96, 128, 255, 256, 257, 1514, 4096, 9014};
	static uint8_t frame[9014];
	const uint32_t header_cut = VNET_HEADER_BYTES;

	(void)state;
	EACH_NET_KIND(NET_ALL)
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		for (unsigned cuts = 0; cuts < 2; cuts++) {
			uint16_t id;

			net_frame(frame, lengths[i], i);
			send_cut(FRAME_AT, &plain_header, frame, lengths[i], &header_cut, cuts, &id);
			assert_int_equal(net_serve(n, TX0), 1);
			assert_int_equal(n->seen[0].tail_count, lengths[i] > PACKET_HEAD_MIN_BYTES);
			expect_frame(frame, lengths[i]);
			expect_back(&id, 1);
		}
}

static void test_bytes_one_by_one(void **state)
{
	uint8_t frame[40];
	uint32_t cuts[VNET_HEADER_BYTES + sizeof(frame)];
	unsigned count = 0;

	(void)state;
	net_frame(frame, sizeof(frame), 3);
	for (uint32_t at = 1; at < VNET_HEADER_BYTES + sizeof(frame); at++)
		cuts[count++] = at;
	EACH_NET_KIND(NET_ALL)
	{
		uint16_t id;

		if (guest_kinds[kind_].size < count + 1u && !guest_kinds[kind_].indirect)
			continue;
		send_cut(FRAME_AT, &plain_header, frame, sizeof(frame), cuts, count, &id);
		assert_int_equal(net_serve(n, TX0), 1);
		expect_frame(frame, sizeof(frame));
		expect_back(&id, 1);
	}
}

/* The regions are neighbours in the guest and not here: in the header, in the head, in the tail. */
static void test_over_a_border(void **state)
{
	static const uint32_t before[] = {1, 11, 12, 13, 100, 267, 268, 269, 900};
	static uint8_t frame[1514];

	(void)state;
	EACH_NET_KIND(NET_ALL)
	for (unsigned i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		uint16_t id;

		net_frame(frame, sizeof(frame), i);
		send_cut(REGION_NEXT - before[i], &plain_header, frame, sizeof(frame), NULL, 0, &id);
		assert_int_equal(net_serve(n, TX0), 1);
		expect_frame(frame, sizeof(frame));
		expect_back(&id, 1);
	}
}

/* As Linux sends a large one: header and headers, then pages; and the most pieces that are taken. */
static void test_many_pieces(void **state)
{
	static uint8_t frame[65549];
	static const struct guest_kind kind = {.size = 64, .indirect = true};
	struct virtio_net_header h = {
		.flags = VNET_HEADER_NEEDS_CSUM, .gso_type = VNET_GSO_TCPV4, .gso_size = 1448, .csum_start = 34, .csum_offset = 16};
	struct buffer pieces[CUT_MAX];
	uint16_t id;

	(void)state;
	net_frame(frame, sizeof(frame), 9);
	frame[34 + 12] = 8 << 4; /* 32 bytes of TCP header */
	net_open(n, &kind, NET_ALL);
	for (unsigned extra = 0; extra < 2; extra++) {
		unsigned count = 1 + PACKET_TAIL_MAX + extra;
		uint32_t at = 400, part = (uint32_t)(sizeof(frame) - at) / (count - 1);

		net_write(tx, FRAME_AT, &h, sizeof(h));
		net_write(tx, FRAME_AT + 12, frame, at);
		pieces[0] = (struct buffer){.addr = FRAME_AT, .length = 12 + PACKET_HEAD_MIN_BYTES};
		for (unsigned i = 1; i < count; i++) { /* none lies behind the one before */
			uint32_t from = i == 1 ? PACKET_HEAD_MIN_BYTES : at;
			uint32_t end = i + 1 == count ? sizeof(frame) : i == 1 ? at : at + part;

			pieces[i] = (struct buffer){.addr = REGION_FAR + i * UINT64_C(2048), .length = end - from};
			net_write(tx, pieces[i].addr, frame + from, end - from);
			at = end;
		}
		id = guest_put(tx, pieces, count);
		assert_int_equal(net_serve(n, TX0), 1);
		assert_int_equal(n->seen_count, 1 - extra);
		if (extra == 0) {
			assert_int_equal(n->seen[0].tail_count, PACKET_TAIL_MAX);
			expect_frame(frame, sizeof(frame));
			assert_int_equal(net_queue_accounts(n->queues[TX0])->segments, (sizeof(frame) - 34 - 32 + 1447) / 1448);
		}
		expect_back(&id, 1);
	}
	assert_int_equal(net_queue_accounts(n->queues[TX0])->malformed, 1);
	assert_null(n->broken_why);
	net_close(n);
}

/* ---- headers ---- */

static void expect_header(const struct virtio_net_header *h, uint32_t length, bool good)
{
	uint64_t malformed = net_queue_accounts(n->queues[TX0])->malformed;
	static uint8_t frame[PACKET_FRAME_MAX_BYTES + 1];
	struct buffer pieces[3] = {{.addr = FRAME_AT, .length = 5}, {.addr = FRAME_AT + 5, .length = 7 + length}};
	uint16_t ids[2];

	net_frame(frame, length, 5);
	/* In a shape that is recognised at once, and in one that is not. */
	ids[0] = net_send(n, TX0, FRAME_AT, h, frame, length);
	ids[1] = guest_put(tx, pieces, 2);
	assert_int_equal(net_serve(n, TX0), 2);
	assert_int_equal(n->seen_count, good ? 2 : 0);
	assert_int_equal(net_queue_accounts(n->queues[TX0])->malformed - malformed, good ? 0 : 2);
	for (unsigned i = 0; i < n->seen_count; i++) {
		const struct packet *p = &n->seen[i].packet;

		assert_int_equal(p->flags, h->flags & VNET_HEADER_NEEDS_CSUM ? PACKET_NEEDS_CSUM : 0);
		assert_int_equal(p->csum_start, p->flags != 0 ? h->csum_start : 0);
		assert_int_equal(p->csum_offset, p->flags != 0 ? h->csum_offset : 0);
		assert_int_equal(p->gso_size, p->gso != PACKET_GSO_NONE ? h->gso_size : 0);
	}
	expect_back(ids, 2);
	n->seen_count = 0;
	assert_null(n->broken_why);
}

static struct virtio_net_header tso(uint8_t type)
{
	return (struct virtio_net_header){
		.flags = VNET_HEADER_NEEDS_CSUM, .gso_type = type, .gso_size = 500, .csum_start = 34, .csum_offset = 16};
}

static void test_headers_that_are_right(void **state)
{
	static const uint8_t types[] = {VNET_GSO_TCPV4, VNET_GSO_TCPV6, VNET_GSO_UDP_L4, VNET_GSO_TCPV4 | VNET_GSO_ECN,
					VNET_GSO_TCPV6 | VNET_GSO_ECN};
	static const enum packet_gso gso[] = {PACKET_GSO_TCP4, PACKET_GSO_TCP6, PACKET_GSO_UDP, PACKET_GSO_TCP4, PACKET_GSO_TCP6};
	static uint8_t frame[1000];

	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		struct virtio_net_header h = {0};
		uint16_t id;

		expect_header(&h, 14, true);
		h.flags = (uint8_t)~VNET_HEADER_NEEDS_CSUM; /* what has no meaning here is ignored (5.1.6.2.2) */
		h.hdr_len = 65535;
		h.gso_size = 7;
		h.csum_start = 65535;
		h.num_buffers = 9;
		expect_header(&h, 100, true);
		h = (struct virtio_net_header){.flags = VNET_HEADER_NEEDS_CSUM, .csum_start = 82, .csum_offset = 16};
		expect_header(&h, 100, true); /* the last two bytes */
		for (unsigned i = 0; i < sizeof(types); i++) {
			h = tso(types[i]);
			expect_header(&h, 1000, true);
			net_frame(frame, sizeof(frame), 1);
			id = net_send(n, TX0, FRAME_AT, &h, frame, sizeof(frame));
			net_serve(n, TX0);
			assert_int_equal(n->seen[0].packet.gso, gso[i]);
			assert_int_equal(n->seen[0].packet.gso_size, 500);
			expect_frame(frame, sizeof(frame));
			expect_back(&id, 1);
		}
	}
}

static void test_headers_that_are_not(void **state)
{
	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		struct virtio_net_header h = {0};

		expect_header(&h, 13, false);
		expect_header(&h, 0, false);
		expect_header(&h, PACKET_FRAME_MAX_BYTES + 1, false);
		h = (struct virtio_net_header){.flags = VNET_HEADER_NEEDS_CSUM, .csum_start = 83, .csum_offset = 16};
		expect_header(&h, 100, false);
		h.csum_start = 65535;
		h.csum_offset = 65535;
		expect_header(&h, 100, false);
		for (unsigned type = 0; type < 256; type++) {
			h = tso((uint8_t)type);
			if (type != 0 && type != VNET_GSO_UDP_L4 && (type & 0x7f) != VNET_GSO_TCPV4 &&
			    (type & 0x7f) != VNET_GSO_TCPV6)
				expect_header(&h, 1000, false);
		}
		h = tso(VNET_GSO_TCPV4);
		h.gso_size = 0;
		expect_header(&h, 1000, false);
		h = tso(VNET_GSO_TCPV4);
		h.flags = 0;
		expect_header(&h, 1000, false);
	}
}

static void test_what_was_not_negotiated(void **state)
{
	static const struct {
		enum virtio_net_feature feature;
		uint8_t gso_type;
	} cases[] = {
		{VNET_F_HOST_TSO4, VNET_GSO_TCPV4}, {VNET_F_HOST_TSO6, VNET_GSO_TCPV6},
		{VNET_F_HOST_USO, VNET_GSO_UDP_L4}, {VNET_F_HOST_ECN, VNET_GSO_TCPV4 | VNET_GSO_ECN},
		{VNET_F_CSUM, VNET_GSO_NONE},	    {VNET_F_CSUM, VNET_GSO_TCPV4}, /* without checksums there is no segmentation */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtio_net_header h = tso(cases[i].gso_type);

		net_open(n, &guest_kinds[i], ~BIT64(cases[i].feature));
		expect_header(&h, 1000, false);
		net_close(n);
		net_open(n, &guest_kinds[i], NET_ALL);
		expect_header(&h, 1000, true);
		net_close(n);
	}
}

/* A driver from before VIRTIO 1.0: ten bytes, in a descriptor of their own. */
static void test_legacy_header(void **state)
{
	uint8_t frame[60];
	uint16_t id;

	(void)state;
	net_frame(frame, sizeof(frame), 1);
	for (unsigned together = 0; together < 2; together++) {
		struct buffer pieces[2] = {{.addr = HEADERS, .length = VNET_HEADER_LEGACY_BYTES},
					   {.addr = FRAME_AT, .length = sizeof(frame)}};

		net_open(n, &guest_kinds[0], ~(BIT64(VIRTIO_F_VERSION_1) | BIT64(VNET_F_MRG_RXBUF)));
		net_write(tx, FRAME_AT, frame, sizeof(frame));
		if (together == 1) { /* ANY_LAYOUT */
			net_write(tx, HEADERS + VNET_HEADER_LEGACY_BYTES, frame, sizeof(frame));
			pieces[0].length += sizeof(frame);
		}
		id = guest_put(tx, pieces, 2 - together);
		assert_int_equal(net_serve(n, TX0), 1);
		expect_frame(frame, sizeof(frame));
		expect_back(&id, 1);
		net_close(n);
	}
}

/* ---- chains that break a rule, and rings ---- */

static void test_chains_that_are_dropped(void **state)
{
	const struct buffer writable[] = {{.addr = FRAME_AT, .length = 100},
					  {.addr = FRAME_AT + 100, .length = 1, .writable = true}};
	const struct buffer outside[] = {{.addr = FRAME_AT, .length = 100}, {.addr = UINT64_C(1) << 40, .length = 100}};
	const struct buffer beyond[] = {{.addr = REGION_FAR + REGION_BYTES - 50, .length = 100}};
	const struct buffer wraps[] = {{.addr = UINT64_MAX - 49, .length = 100}};
	const struct buffer empty[] = {{.addr = FRAME_AT, .length = 0}, {.addr = FRAME_AT, .length = 0}};
	const struct buffer huge[] = {{.addr = FRAME_AT, .length = UINT32_MAX}, {.addr = FRAME_AT, .length = UINT32_MAX}};
	const struct buffer outside_tail[] = {{.addr = FRAME_AT, .length = 300}, {.addr = UINT64_C(1) << 40, .length = 100}};
	const struct {
		const struct buffer *pieces;
		unsigned count;
	} cases[] = {{writable, 2}, {outside, 2}, {beyond, 1},	     {wraps, 1},
		     {empty, 2},    {huge, 2},	  {outside_tail, 2}, {writable + 1, 1}};

	(void)state;
	EACH_NET_KIND(NET_ALL)
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool table = guest_kinds[kind_].packed && guest_kinds[kind_].indirect; /* where WRITE is ignored */
		uint16_t id = guest_put(tx, cases[i].pieces, cases[i].count);

		assert_int_equal(net_serve(n, TX0), 1);
		assert_int_equal(n->seen_count, table);
		assert_int_equal(net_queue_accounts(n->queues[TX0])->malformed, i + 1 - table);
		expect_back(&id, 1);
		assert_null(n->broken_why);
	}
}

/* As DPDK's driver has it in tables of packed rings: the header's entry says that it is for the device to write. */
static void test_header_that_says_write(void **state)
{
	static const struct guest_kind kind = {.size = 64, .packed = true, .indirect = true};
	static uint8_t frame[900];

	(void)state;
	net_frame(frame, sizeof(frame), 1);
	net_open(n, &kind, NET_ALL);
	for (unsigned pieces = 1; pieces <= 3; pieces++) {
		struct buffer b[4] = {{.addr = HEADERS, .length = VNET_HEADER_BYTES, .writable = true}};
		uint32_t part = sizeof(frame) / pieces;
		uint16_t id;

		for (unsigned i = 0; i < pieces; i++) {
			b[1 + i] = (struct buffer){.addr = FRAME_AT + i * 4096, .length = part};
			net_write(tx, b[1 + i].addr, frame + i * part, part);
		}
		id = guest_put(tx, b, 1 + pieces);
		assert_int_equal(net_serve(n, TX0), 1);
		expect_frame(frame, sizeof(frame));
		expect_back(&id, 1);
	}
	assert_null(n->broken_why);
	net_close(n);
}

static void test_bad_between_good(void **state)
{
	static uint8_t frame[1000];

	(void)state;
	net_frame(frame, sizeof(frame), 2);
	EACH_NET_KIND(NET_ALL)
	{
		struct buffer bad = {.addr = UINT64_C(1) << 40, .length = 100};
		uint16_t ids[30];

		for (unsigned i = 0; i < 30; i++)
			ids[i] = i % 3 == 1 ? guest_put(tx, &bad, 1)
					    : net_send(n, TX0, FRAME_AT + i * 2048, &plain_header, frame, 100 + i * 30);
		assert_int_equal(net_serve(n, TX0), 30);
		assert_int_equal(n->batches, 1);
		assert_int_equal(n->seen_count, 20);
		for (unsigned i = 0, at = 0; i < 30; i++)
			if (i % 3 != 1) {
				assert_int_equal(n->seen[at].length, 100 + i * 30);
				assert_memory_equal(n->seen[at].bytes, frame, 100 + i * 30);
				at++;
			}
		expect_back(ids, 30);
	}
}

static void expect_broken(void)
{
	unsigned seen = n->seen_count;

	net_serve(n, TX0);
	assert_non_null(n->broken_why);
	assert_int_equal(n->broken_queue, TX0);
	assert_int_equal(n->broken_count, 1);
	assert_int_equal(n->seen_count, seen);
	assert_false(net_queue_visit(n->queues[TX0], ++n->now).more);
	assert_int_equal(n->broken_count, 1); /* told once */
	net_stop(n, TX0);
	assert_int_equal(tx->state.queues[TX0].broken, 1);
}

static void test_split_rings_that_break(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		const struct guest_kind kind = {.size = 64, .indirect = i != 3};

		net_open(n, &kind, i == 3 ? ~BIT64(VIRTIO_RING_F_INDIRECT_DESC) : NET_ALL);
		tx->avail->ring[0] = 0;
		tx->desc[0] = (struct vring_desc){.addr = FRAME_AT, .len = 50, .flags = VRING_DESC_F_NEXT};
		if (i == 0)
			tx->avail->ring[0] = 64;
		else if (i == 1)
			tx->desc[0].next = 64;
		else if (i == 2)
			tx->desc[0].next = 0; /* a loop */
		else if (i == 3 || i == 4)
			tx->desc[0] = (struct vring_desc){.addr = TABLES, .len = i == 3 ? 32 : 31, .flags = VRING_DESC_F_INDIRECT};
		else if (i == 5)
			tx->desc[0] = (struct vring_desc){.addr = UINT64_C(1) << 40, .len = 32, .flags = VRING_DESC_F_INDIRECT};
		tx->avail->idx = i == 6 ? 65 : 1;
		expect_broken();
		net_close(n);
	}
}

static void test_packed_rings_that_break(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const struct guest_kind kind = {.size = 8, .packed = true, .indirect = true};
		uint16_t available = 1 << VRING_PACKED_DESC_F_AVAIL;

		net_open(n, &kind, NET_ALL);
		for (unsigned slot = 0; slot < 8; slot++)
			tx->ring[slot] =
				(struct vring_packed_desc){.addr = FRAME_AT, .len = 50, .flags = VRING_DESC_F_NEXT | available};
		if (i == 1)
			tx->ring[0] =
				(struct vring_packed_desc){.addr = TABLES, .len = 17, .flags = VRING_DESC_F_INDIRECT | available};
		else if (i == 2)
			tx->ring[0].flags = VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT | available, tx->ring[1].flags = available;
		expect_broken();
		net_close(n);
	}
}

/* What came before the bad head is sent. */
static void test_good_before_the_break(void **state)
{
	const struct guest_kind kind = {.size = 64};
	uint8_t frame[64];
	uint16_t id;

	(void)state;
	net_frame(frame, sizeof(frame), 1);
	net_open(n, &kind, NET_ALL);
	id = net_send(n, TX0, FRAME_AT, &plain_header, frame, sizeof(frame));
	tx->avail->ring[1] = 999;
	tx->avail->idx = 2;
	net_serve(n, TX0);
	expect_frame(frame, sizeof(frame));
	expect_back(&id, 1);
	assert_non_null(n->broken_why);
	net_close(n);
}

/* ---- a visit ---- */

static void test_a_visit_is_bounded(void **state)
{
	static uint8_t frame[60000];
	static const struct guest_kind kind = {.size = 64};
	const struct virtio_net_header h = tso(VNET_GSO_TCPV4);
	struct visit v;

	(void)state;
	net_open(n, &kind, NET_ALL);
	for (unsigned i = 0; i < 40; i++)
		net_send(n, TX0, FRAME_AT + i * 128, &plain_header, frame, 64);
	v = net_queue_visit(n->queues[TX0], ++n->now);
	assert_int_equal(v.started, VIRTIO_NET_VISIT_PACKETS_MAX);
	assert_true(v.more);
	v = net_queue_visit(n->queues[TX0], ++n->now);
	assert_int_equal(v.started, 8);
	assert_false(v.more);
	for (unsigned i = 0; i < 10; i++)
		net_send(n, TX0, FRAME_AT + i * 65536, &h, frame, sizeof(frame));
	v = net_queue_visit(n->queues[TX0], ++n->now);
	assert_int_equal(v.started, 5); /* the fifth crosses 256 KiB */
	assert_true(v.more);
	assert_int_equal(net_serve(n, TX0), 5);
	assert_int_equal(net_queue_accounts(n->queues[TX0])->packets, 50);
	assert_int_equal(net_queue_accounts(n->queues[TX0])->bytes, 40 * 64 + 10 * sizeof(frame));
	net_close(n);
}

/* Small frames that stand for many, and tables with many descriptors for little: the one that crosses a bound is the visit's last. */
static void test_a_visit_is_bounded_in_work(void **state)
{
	static uint8_t frame[54 + 700];
	static const struct guest_kind kind = {.size = 64, .indirect = true};
	struct virtio_net_header h = tso(VNET_GSO_TCPV4);
	struct buffer pieces[128];
	struct visit v;

	(void)state;
	net_open(n, &kind, NET_ALL);
	h.gso_size = 1;
	frame[34 + 12] = 5 << 4;
	for (unsigned i = 0; i < 8; i++)
		net_send(n, TX0, FRAME_AT + i * 1024, &h, frame, sizeof(frame));
	v = net_queue_visit(n->queues[TX0], ++n->now);
	assert_int_equal(v.started, VIRTIO_NET_VISIT_SEGMENTS_MAX / 700 + 1);
	assert_true(v.more);
	assert_int_equal(net_serve(n, TX0), 8 - VIRTIO_NET_VISIT_SEGMENTS_MAX / 700 - 1);
	for (unsigned j = 0; j < 128; j++)
		pieces[j] = (struct buffer){.addr = FRAME_AT + j, .length = j < 76 ? 1 : 0};
	for (unsigned i = 0; i < 40; i++)
		guest_put(tx, pieces, 128);
	v = net_queue_visit(n->queues[TX0], ++n->now);
	assert_int_equal(v.started, VIRTIO_NET_VISIT_WALK_MAX / 128);
	assert_true(v.more);
	assert_int_equal(net_serve(n, TX0), 40 - VIRTIO_NET_VISIT_WALK_MAX / 128);
	assert_null(n->broken_why);
	net_close(n);
}

static void test_calls_and_kicks(void **state)
{
	uint8_t frame[64] = {0};

	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		struct net_queue *q = n->queues[TX0];
		const struct net_queue_accounts *a = net_queue_accounts(q);

		net_queue_disarm(q);
		for (unsigned i = 0; i < 5; i++)
			net_send(n, TX0, FRAME_AT + i * 128, &plain_header, frame, sizeof(frame));
		assert_false(net_queue_arm(q)); /* there is work */
		net_serve(n, TX0);
		assert_int_equal(guest_calls(tx), 1);
		assert_int_equal(a->calls_sent, 1);
		assert_int_equal(a->kicks_suppressed, 1);
		assert_true(net_queue_arm(q));
		net_send(n, TX0, FRAME_AT, &plain_header, frame, sizeof(frame));
		if (guest_kinds[kind_].packed)
			tx->driver_event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
		else if (guest_kinds[kind_].event_idx)
			tx->avail->ring[tx->kind.size] = 1000;
		else
			tx->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
		net_serve(n, TX0);
		assert_int_equal(guest_calls(tx), 0);
		assert_int_equal(a->kicks_suppressed, 1); /* it was asked for */
		assert_true(net_queue_arm(n->queues[RX0]));
	}
}

/* Little's law: what was inside over time is what those that left have waited. */
static void test_waits_add_up(void **state)
{
	const struct account *a;
	uint8_t frame[64] = {0};

	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		a = &net_queue_accounts(n->queues[TX0])->ring;
		for (unsigned round = 0; round < 50; round++) {
			for (unsigned i = 0; i < round % 40; i++)
				net_send(n, TX0, FRAME_AT + i * 128, &plain_header, frame, sizeof(frame));
			n->now += 100;
			net_serve(n, TX0);
			for (uint32_t length; guest_get(tx, &(uint16_t){0}, &length);)
				;
		}
		assert_int_equal(a->arrivals, a->departures);
		assert_int_equal(a->arrivals, net_queue_accounts(n->queues[TX0])->packets);
		assert_int_equal(a->occupancy_ticks, a->wait_ticks);
		assert_true(a->wait_ticks > 0);
	}
}

/* ---- a sender whose memory goes away ---- */

static void test_memory_taken_away(void **state)
{
	static uint8_t frame[3000];
	static struct net_guest other;
	const struct virtio_net_header h = tso(VNET_GSO_TCPV4);
	struct buffer room = {.addr = DATA, .length = 4096, .writable = true};
	uint8_t got[3000];
	uint32_t length;
	uint16_t id;

	(void)state;
	assert_int_equal(guest_memory_catch_sigbus(), 0);
	net_frame(frame, sizeof(frame), 8);
	EACH_NET_KIND(NET_ALL)
	{
		struct buffer pieces[2] = {{.addr = FRAME_AT, .length = 12 + 300}, {.addr = REGION_FAR, .length = 2700}};

		net_open(&other, &guest_kinds[kind_], NET_ALL);
		n->forward = virtio_net_sink(other.net);
		guest_put(&other.rings[RX0], &room, 1);
		net_write(tx, FRAME_AT, &h, sizeof(h));
		net_write(tx, FRAME_AT + 12, frame, 300);
		guest_put(tx, pieces, 2);
		assert_int_equal(ftruncate(tx->fds[2], 0), 0);
		assert_int_equal(net_serve(n, TX0), 1);
		/* The receiver gets what was in private memory, and zeroes. */
		assert_int_equal(n->forwarded, 1);
		assert_true(guest_get(&other.rings[RX0], &id, &length));
		assert_int_equal(length, 12 + sizeof(frame));
		net_read(&other.rings[RX0], DATA + 12, got, sizeof(got));
		assert_memory_equal(got, frame, 300);
		for (unsigned i = 300; i < sizeof(got); i++)
			assert_int_equal(got[i], 0);
		assert_null(other.broken_why);
		guest_put(tx, pieces, 1);
		net_serve(n, TX0);
		assert_non_null(n->broken_why);
		assert_int_equal(n->forwarded, 1);
		net_close(&other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_cut_anywhere),
		cmocka_unit_test(test_lengths_in_one_piece_and_two),
		cmocka_unit_test(test_bytes_one_by_one),
		cmocka_unit_test(test_over_a_border),
		cmocka_unit_test(test_many_pieces),
		cmocka_unit_test(test_headers_that_are_right),
		cmocka_unit_test(test_headers_that_are_not),
		cmocka_unit_test(test_what_was_not_negotiated),
		cmocka_unit_test(test_legacy_header),
		cmocka_unit_test(test_chains_that_are_dropped),
		cmocka_unit_test(test_header_that_says_write),
		cmocka_unit_test(test_bad_between_good),
		cmocka_unit_test(test_split_rings_that_break),
		cmocka_unit_test(test_packed_rings_that_break),
		cmocka_unit_test(test_good_before_the_break),
		cmocka_unit_test(test_a_visit_is_bounded),
		cmocka_unit_test(test_a_visit_is_bounded_in_work),
		cmocka_unit_test(test_calls_and_kicks),
		cmocka_unit_test(test_waits_add_up),
		cmocka_unit_test(test_memory_taken_away),
	};

	return cmocka_run_group_tests_name("virtio-net transmit", tests, NULL, NULL);
}
