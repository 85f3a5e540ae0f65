/* A tap as a source and a sink, with a socket pair in the place of the interface: one message is one frame, as there. */
#include "../cmocka_all.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "card/tap.h"
#include "card/tap_opener.h"
#include "virtio/virtio_net_proto.h"

struct taken {
	struct packet_input input;
	unsigned calls, count;
	struct packet packets[PACKET_BATCH_MAX];
	uint8_t last[PACKET_FRAME_MAX_BYTES]; /* the last frame, whole */
};

struct rig {
	struct tap tap;
	struct tap_room *room;
	struct taken taken;
	int far; /* the namespace's end */
};

static void receive(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct taken *t = container_of(input, struct taken, input);

	(void)now_tsc;
	t->calls++;
	for (unsigned i = 0; i < count; i++) {
		const struct packet *p = packets[i];
		size_t at = p->head_bytes;

		t->packets[t->count++] = *p;
		memcpy(t->last, p->head, p->head_bytes);
		for (unsigned j = 0; j < p->tail_count; j++) {
			memcpy(t->last + at, p->tail[j].iov_base, p->tail[j].iov_len);
			at += p->tail[j].iov_len;
		}
		assert_int_equal(at, packet_bytes(p));
	}
}

static int setup(void **state)
{
	static struct rig rig;
	int pair[2], bytes = 4 << 20;

	memset(&rig, 0, sizeof(rig));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	assert_int_equal(tap_room_create(&rig.room), 0);
	rig.taken.input.receive = receive;
	rig.far = pair[1];
	tap_init(&rig.tap, pair[0], SINK_CSUM | SINK_TSO4, 1500, &rig.taken.input, rig.room);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	close(rig->tap.fd);
	close(rig->far);
	tap_room_free(rig->room);
	return 0;
}

static struct visit visit(struct rig *rig)
{
	return rig->tap.source.ops->visit(&rig->tap.source, 1);
}

static void send_frame(struct rig *rig, struct virtio_net_header header, unsigned frame_bytes)
{
	static uint8_t message[TAP_HEADER_BYTES + PACKET_FRAME_MAX_BYTES + 1];

	memcpy(message, &header, sizeof(header));
	for (unsigned i = 0; i < frame_bytes; i++)
		message[TAP_HEADER_BYTES + i] = (uint8_t)(i * 7 + frame_bytes);
	assert_int_equal(send(rig->far, message, TAP_HEADER_BYTES + frame_bytes, 0), TAP_HEADER_BYTES + frame_bytes);
}

/* ---- from the namespace ---- */

static void test_frames_of_every_length_are_handed_over_whole(void **state)
{
	static const unsigned lengths[] = {14, 60, 255, 256, 257, 1514, 65000, PACKET_FRAME_MAX_BYTES};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct visit v;

		rig->taken.count = 0;
		send_frame(rig, (struct virtio_net_header){0}, lengths[i]);
		v = visit(rig);
		assert_int_equal(v.started, 1);
		assert_false(v.more);
		assert_int_equal(rig->taken.count, 1);
		assert_int_equal(packet_bytes(&rig->taken.packets[0]), lengths[i]);
		assert_int_equal(rig->taken.packets[0].head_bytes,
				 lengths[i] < PACKET_HEAD_MIN_BYTES ? lengths[i] : PACKET_HEAD_MIN_BYTES);
		assert_int_equal(rig->taken.packets[0].headroom_bytes, PACKET_HEADROOM_BYTES);
		for (unsigned at = 0; at < lengths[i]; at++)
			assert_int_equal(rig->taken.last[at], (uint8_t)(at * 7 + lengths[i]));
	}
	assert_int_equal(rig->tap.counters.packets_in, sizeof(lengths) / sizeof(lengths[0]));
	assert_int_equal(rig->tap.counters.malformed, 0);
}

static void test_offloads_travel_as_they_are(void **state)
{
	struct rig *rig = *state;
	struct virtio_net_header h = {.flags = VNET_HEADER_NEEDS_CSUM,
				      .gso_type = VNET_GSO_TCPV4 | VNET_GSO_ECN,
				      .gso_size = 1448,
				      .csum_start = 34,
				      .csum_offset = 16};
	const struct packet *p = rig->taken.packets;

	send_frame(rig, h, 9000);
	h.gso_type = VNET_GSO_TCPV6;
	send_frame(rig, h, 9000);
	h.gso_type = VNET_GSO_UDP_L4;
	send_frame(rig, h, 9000);
	h = (struct virtio_net_header){.flags = VNET_HEADER_NEEDS_CSUM, .gso_size = 99, .csum_start = 34, .csum_offset = 16};
	send_frame(rig, h, 100);
	send_frame(rig, (struct virtio_net_header){.flags = VNET_HEADER_DATA_VALID}, 100);
	assert_int_equal(visit(rig).started, 5);
	assert_int_equal(rig->taken.calls, 1);
	assert_int_equal(rig->taken.count, 5);
	assert_int_equal(p[0].gso, PACKET_GSO_TCP4);
	assert_int_equal(p[0].gso_size, 1448);
	assert_int_equal(p[0].flags, PACKET_NEEDS_CSUM);
	assert_int_equal(p[0].csum_start, 34);
	assert_int_equal(p[0].csum_offset, 16);
	assert_int_equal(p[1].gso, PACKET_GSO_TCP6);
	assert_int_equal(p[2].gso, PACKET_GSO_UDP);
	assert_int_equal(p[3].gso, PACKET_GSO_NONE);
	assert_int_equal(p[3].gso_size, 0);
	assert_int_equal(p[3].flags, PACKET_NEEDS_CSUM);
	assert_int_equal(p[4].flags, PACKET_CSUM_VALID);
}

static void test_a_header_that_contradicts_its_frame_is_counted_and_dropped(void **state)
{
	const struct virtio_net_header wrong[] = {
		{.flags = VNET_HEADER_NEEDS_CSUM, .csum_start = 90, .csum_offset = 9}, /* 90 + 9 + 2 > 100 */
		{.flags = VNET_HEADER_NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535},
		{.gso_type = VNET_GSO_TCPV4, .gso_size = 1448}, /* segments need checksums */
		{.gso_type = VNET_GSO_TCPV4, .flags = VNET_HEADER_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16},
		{.gso_type = 3, .gso_size = 8, .flags = VNET_HEADER_NEEDS_CSUM, .csum_start = 34}, /* UFO */
		{.gso_type = 0x7f},
	};
	enum { COUNT = sizeof(wrong) / sizeof(wrong[0]) };
	struct rig *rig = *state;
	uint8_t stump[TAP_HEADER_BYTES + 13] = {0};

	for (unsigned i = 0; i < COUNT; i++)
		send_frame(rig, wrong[i], 100);
	assert_int_equal(send(rig->far, stump, sizeof(stump), 0), sizeof(stump)); /* no Ethernet header */
	assert_int_equal(send(rig->far, stump, 5, 0), 5);			  /* not even its own */
	send_frame(rig, (struct virtio_net_header){.flags = VNET_HEADER_NEEDS_CSUM, .csum_start = 90, .csum_offset = 8}, 100);
	assert_int_equal(visit(rig).started, COUNT + 3);
	assert_int_equal(rig->tap.counters.malformed, COUNT + 2);
	assert_int_equal(rig->taken.count, 1);
	assert_int_equal(rig->tap.counters.bytes_in, 100);
}

static void test_a_visit_is_bounded_by_frames(void **state)
{
	struct rig *rig = *state;
	struct visit v;

	for (unsigned i = 0; i < PACKET_BATCH_MAX + 3; i++)
		send_frame(rig, (struct virtio_net_header){0}, 60);
	v = visit(rig);
	assert_int_equal(v.started, PACKET_BATCH_MAX);
	assert_true(v.more);
	rig->taken.count = 0;
	v = visit(rig);
	assert_int_equal(v.started, 3);
	assert_false(v.more);
	v = visit(rig);
	assert_int_equal(v.started, 0);
	assert_false(v.more);
	assert_null(rig->tap.source.broken_why);
}

static void test_a_visit_is_bounded_by_bytes(void **state)
{
	struct rig *rig = *state;
	struct visit v;

	for (unsigned i = 0; i < 6; i++)
		send_frame(rig, (struct virtio_net_header){0}, 60000);
	v = visit(rig);
	assert_int_equal(v.started, 5); /* the fifth crosses 256 KiB */
	assert_true(v.more);
	rig->taken.count = 0;
	v = visit(rig);
	assert_int_equal(v.started, 1);
	assert_false(v.more);
}

static void test_a_visit_is_bounded_by_what_gso_frames_stand_for(void **state)
{
	const struct virtio_net_header h = {
		.flags = VNET_HEADER_NEEDS_CSUM, .gso_type = VNET_GSO_TCPV4, .gso_size = 1, .csum_start = 34, .csum_offset = 16};
	struct rig *rig = *state;
	struct visit v;

	for (unsigned i = 0; i < 3; i++)
		send_frame(rig, h, 800);
	v = visit(rig);
	assert_int_equal(v.started, 2); /* the second crosses TAP_VISIT_SEGMENTS_MAX */
	assert_true(v.more);
	v = visit(rig);
	assert_int_equal(v.started, 1);
	assert_false(v.more);
}

static void test_an_interface_that_is_gone_breaks_it(void **state)
{
	struct rig *rig = *state;
	struct visit v;
	int closed = rig->tap.fd;

	rig->tap.fd = open("/", O_RDONLY | O_DIRECTORY); /* reading it fails, as reading a tap without interface does */
	v = visit(rig);
	assert_int_equal(v.started, 0);
	assert_non_null(strstr(rig->tap.source.broken_why, "gone"));
	close(rig->tap.fd);
	rig->tap.fd = closed;
}

/* ---- to the namespace ---- */

static bool put(struct rig *rig, const struct packet *p)
{
	bool taken = rig->tap.sink.ops->put(&rig->tap.sink, p, 1);

	rig->tap.sink.ops->flush(&rig->tap.sink, 1);
	return taken;
}

static void test_put_gathers_head_and_tail(void **state)
{
	uint8_t head[] = "ethernet and some", tail_one[] = "more", tail_two[] = "and more", got[256];
	struct iovec tail[] = {{tail_one, 4}, {tail_two, 8}};
	struct packet p = {.head = head, .head_bytes = 17, .tail = tail, .tail_count = 2, .tail_bytes = 12};
	struct rig *rig = *state;

	assert_true(put(rig, &p));
	assert_int_equal(recv(rig->far, got, sizeof(got), 0), TAP_HEADER_BYTES + 29);
	assert_memory_equal(got, (uint8_t[TAP_HEADER_BYTES]){0}, TAP_HEADER_BYTES);
	assert_memory_equal(got + TAP_HEADER_BYTES, "ethernet and somemoreand more", 29);
	assert_int_equal(rig->tap.counters.packets_out, 1);
	assert_int_equal(rig->tap.counters.bytes_out, 29);
	assert_int_equal(rig->tap.sink.frame_bytes_max, 1514);
	assert_int_equal(rig->tap.sink.offloads, SINK_CSUM | SINK_TSO4);
}

static struct virtio_net_header header_of(struct rig *rig, const struct packet *p)
{
	struct virtio_net_header h;
	uint8_t got[512];

	assert_true(put(rig, p));
	assert_int_equal(recv(rig->far, got, sizeof(got), 0), TAP_HEADER_BYTES + packet_bytes(p));
	memcpy(&h, got, sizeof(h));
	return h;
}

static void test_put_says_what_is_to_be_done(void **state)
{
	uint8_t head[200] = {0};
	struct packet p = {.head = head, .head_bytes = 200, .flags = PACKET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	struct rig *rig = *state;
	struct virtio_net_header h = header_of(rig, &p);

	assert_int_equal(h.flags, VNET_HEADER_NEEDS_CSUM);
	assert_int_equal(h.csum_start, 34);
	assert_int_equal(h.csum_offset, 16);
	assert_int_equal(h.gso_type, VNET_GSO_NONE);
	head[34 + 12] = 8 << 4; /* 32 bytes of TCP header */
	p.gso = PACKET_GSO_TCP4;
	p.gso_size = 1448;
	h = header_of(rig, &p);
	assert_int_equal(h.gso_type, VNET_GSO_TCPV4);
	assert_int_equal(h.gso_size, 1448);
	assert_int_equal(h.hdr_len, 34 + 32);
	head[34 + 13] = 0x80; /* CWR */
	p.gso = PACKET_GSO_TCP6;
	assert_int_equal(header_of(rig, &p).gso_type, VNET_GSO_TCPV6 | VNET_GSO_ECN);
	p.gso = PACKET_GSO_UDP;
	h = header_of(rig, &p);
	assert_int_equal(h.gso_type, VNET_GSO_UDP_L4);
	assert_int_equal(h.hdr_len, 34 + 8);
	p = (struct packet){.head = head, .head_bytes = 200, .flags = PACKET_CSUM_VALID};
	assert_int_equal(header_of(rig, &p).flags, VNET_HEADER_DATA_VALID);
}

static void test_put_is_false_when_the_interface_takes_no_more(void **state)
{
	static uint8_t head[1400];
	struct packet p = {.head = head, .head_bytes = sizeof(head)};
	struct rig *rig = *state;
	unsigned taken = 0;

	while (taken < 1000000 && put(rig, &p))
		taken++;
	assert_in_range(taken, 1, 999999);
	assert_int_equal(rig->tap.counters.refused, 1);
	assert_int_equal(rig->tap.counters.packets_out, taken);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_frames_of_every_length_are_handed_over_whole),
		TEST(test_offloads_travel_as_they_are),
		TEST(test_a_header_that_contradicts_its_frame_is_counted_and_dropped),
		TEST(test_a_visit_is_bounded_by_frames),
		TEST(test_a_visit_is_bounded_by_bytes),
		TEST(test_a_visit_is_bounded_by_what_gso_frames_stand_for),
		TEST(test_an_interface_that_is_gone_breaks_it),
		TEST(test_put_gathers_head_and_tail),
		TEST(test_put_says_what_is_to_be_done),
		TEST(test_put_is_false_when_the_interface_takes_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
