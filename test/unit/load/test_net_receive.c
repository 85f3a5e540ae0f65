/* Frames in one buffer, in many, in pieces that come one by one; and back ends that break every rule there is for them. */
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "load/net_frame.h"
#include "load/net_receive.h"
#include "ring_device.h"

enum { BUFFERS = 16, BUFFER_BYTES = 256, HEADER_BYTES = 12 };

struct rig {
	struct shared_memory memory;
	struct net_receive receive;
	struct ring_device device;
};

static void set_up(struct rig *rig, bool packed, bool merge)
{
	const struct net_receive_config config = {
		.ring = {.chain_count = BUFFERS, .segments_max = 1, .packed = packed, .event_idx = true},
		.buffer_bytes = BUFFER_BYTES,
		.merge = merge};
	struct driver_ring_layout layout;

	memset(rig, 0, sizeof(*rig));
	assert_int_equal(shared_memory_create(&rig->memory, net_receive_memory_bytes(&config)), 0);
	assert_int_equal(net_receive_create(&rig->receive, &config, &rig->memory), 0);
	layout = driver_ring_layout(&rig->receive.ring);
	rig->device = (struct ring_device){.descriptor_area = layout.descriptor_area,
					   .driver_area = layout.driver_area,
					   .device_area = layout.device_area,
					   .memory = rig->memory.base,
					   .guest_address = SHARED_MEMORY_GUEST_ADDRESS,
					   .memory_bytes = rig->memory.size_bytes,
					   .size = rig->receive.ring.size,
					   .packed = packed,
					   .event_idx = true,
					   .avail_wrap = true,
					   .used_wrap = true};
	net_receive_post_all(&rig->receive);
}

static void tear_down(struct rig *rig)
{
	net_receive_free(&rig->receive);
	shared_memory_free(&rig->memory);
}

/* Uses the next buffer for `bytes` of data; says that it wrote `told`. */
static void use(struct rig *rig, const void *data, uint32_t bytes, uint32_t told)
{
	struct ring_request request;
	const char *why;

	assert_true(ring_device_fetch(&rig->device, &request, &why));
	assert_int_equal(request.count, 1);
	assert_true(request.segments[0].writable);
	assert_true(bytes <= request.segments[0].length);
	memcpy(request.segments[0].data, data, bytes);
	ring_device_complete(&rig->device, &request, told);
}

/* Header and frame (byte i is i) in pieces of the given sizes. */
static void deliver(struct rig *rig, struct virtio_net_hdr_v1 header, uint32_t frame_bytes, const uint32_t *pieces)
{
	uint8_t bytes[4096];
	uint32_t left = HEADER_BYTES + frame_bytes, at = 0;

	memcpy(bytes, &header, HEADER_BYTES);
	for (uint32_t i = 0; i < frame_bytes; i++)
		bytes[HEADER_BYTES + i] = (uint8_t)i;
	for (unsigned i = 0; left > 0; i++) {
		uint32_t piece = pieces[i] < left ? pieces[i] : left;

		use(rig, bytes + at, piece, piece);
		at += piece;
		left -= piece;
	}
}

static void check_content(const struct rig *rig, const struct net_received *frame)
{
	uint8_t copy[4096];

	net_receive_copy(&rig->receive, frame, copy);
	for (uint32_t i = 0; i < frame->bytes; i++)
		assert_int_equal(copy[i], (uint8_t)i);
	assert_true(frame->head_bytes >= (frame->bytes < NET_RECEIVE_HEAD_BYTES ? frame->bytes : NET_RECEIVE_HEAD_BYTES));
	for (uint32_t i = 0; i < frame->head_bytes; i++)
		assert_int_equal(frame->head[i], (uint8_t)i);
}

/* Many laps, so that every buffer is used, given back and used again. */
static void test_cuttings(void **state)
{
	static const struct {
		uint32_t bytes;
		uint16_t buffers;
		uint32_t pieces[16];
	} cuttings[] = {
		{60, 1, {BUFFER_BYTES}},
		{BUFFER_BYTES - HEADER_BYTES, 1, {BUFFER_BYTES}},
		{1514, 6, {256, 256, 256, 256, 256, 256}},
		{100, 2, {HEADER_BYTES, 256}},	       /* the header alone */
		{100, 3, {HEADER_BYTES + 7, 50, 256}}, /* a first piece too short to read */
		{1000, 7, {13, 1, 200, 30, 256, 256, 256, 256}},
	};

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig rig;

		set_up(&rig, packed != 0, true);
		for (unsigned lap = 0; lap < 60; lap++) {
			size_t k = lap % (sizeof(cuttings) / sizeof(cuttings[0]));
			struct net_received frame;

			deliver(&rig, (struct virtio_net_hdr_v1){.num_buffers = cuttings[k].buffers}, cuttings[k].bytes,
				cuttings[k].pieces);
			deliver(&rig, (struct virtio_net_hdr_v1){.num_buffers = 1}, 64, cuttings[0].pieces);
			assert_int_equal(net_receive_poll(&rig.receive), cuttings[k].buffers + 1);
			assert_true(net_receive_next(&rig.receive, &frame));
			assert_int_equal(frame.bytes, cuttings[k].bytes);
			assert_int_equal(frame.buffer_count, cuttings[k].buffers);
			check_content(&rig, &frame);
			assert_true(net_receive_next(&rig.receive, &frame));
			assert_int_equal(frame.bytes, 64);
			check_content(&rig, &frame);
			assert_false(net_receive_next(&rig.receive, &frame));
			net_receive_release(&rig.receive);
			assert_int_equal(rig.receive.ring.in_flight, BUFFERS);
			assert_null(rig.receive.ring.broken);
		}
		tear_down(&rig);
	}
}

/* The buffers of a frame become visible one by one: it is given when the last one is there, and those before it at once. */
static void test_the_rest_comes_later(void **state)
{
	static const uint32_t whole[] = {BUFFER_BYTES};
	struct virtio_net_hdr_v1 header = {.num_buffers = 3};
	uint8_t bytes[3 * BUFFER_BYTES];
	struct net_received frame;
	struct rig rig;

	(void)state;
	set_up(&rig, false, true);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i - HEADER_BYTES);
	memcpy(bytes, &header, HEADER_BYTES);
	deliver(&rig, (struct virtio_net_hdr_v1){.num_buffers = 1}, 70, whole);
	for (unsigned i = 0; i < 3; i++) {
		use(&rig, bytes + i * BUFFER_BYTES, BUFFER_BYTES, BUFFER_BYTES);
		net_receive_poll(&rig.receive);
		if (i == 0)
			assert_true(net_receive_next(&rig.receive, &frame));
		if (i < 2) {
			assert_false(net_receive_next(&rig.receive, &frame));
			net_receive_release(&rig.receive);
			assert_int_equal(rig.receive.held, i + 1);
		}
	}
	assert_true(net_receive_next(&rig.receive, &frame));
	assert_int_equal(frame.bytes, sizeof(bytes) - HEADER_BYTES);
	check_content(&rig, &frame);
	net_receive_release(&rig.receive);
	assert_int_equal(rig.receive.ring.in_flight, BUFFERS);
	tear_down(&rig);
}

/* Without MRG_RXBUF num_buffers means nothing: some back ends leave it as it was. */
static void test_without_merging(void **state)
{
	static const uint32_t whole[] = {BUFFER_BYTES};
	struct net_received frame;
	struct rig rig;

	(void)state;
	set_up(&rig, false, false);
	for (uint16_t n = 0; n < 3; n++) {
		deliver(&rig, (struct virtio_net_hdr_v1){.num_buffers = n}, 90, whole);
		net_receive_poll(&rig.receive);
		assert_true(net_receive_next(&rig.receive, &frame));
		assert_int_equal(frame.bytes, 90);
		net_receive_release(&rig.receive);
	}
	tear_down(&rig);
}

/* `told`: the lengths in the used ring. */
static void accused(bool packed, bool offloads, struct virtio_net_hdr_v1 header, uint32_t told, uint32_t told_next, const char *of)
{
	uint8_t bytes[BUFFER_BYTES] = {0};
	struct net_received frame;
	struct rig rig;

	set_up(&rig, packed, true);
	rig.receive.config.checksum = rig.receive.config.segmentation = offloads;
	memcpy(bytes, &header, HEADER_BYTES);
	use(&rig, bytes, sizeof(bytes), told);
	use(&rig, bytes, sizeof(bytes), told_next);
	net_receive_poll(&rig.receive);
	while (net_receive_next(&rig.receive, &frame))
		;
	assert_non_null(rig.receive.ring.broken);
	if (strstr(rig.receive.ring.broken, of) == NULL)
		fail_msg("'%s' instead of '%s'", rig.receive.ring.broken, of);
	assert_false(net_receive_next(&rig.receive, &frame));
	tear_down(&rig);
}

static void test_broken_rules_are_named(void **state)
{
	const struct virtio_net_hdr_v1 one = {.num_buffers = 1}, two = {.num_buffers = 2};

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		accused(packed, false, one, 11, 100, "shorter than its virtio header");
		accused(packed, false, one, 0, 100, "shorter than its virtio header");
		accused(packed, false, one, 12 + 13, 100, "shorter than an Ethernet header");
		accused(packed, false, two, 100, 0, "empty buffer");
		accused(packed, false, one, BUFFER_BYTES + 1, 100, "wrote more bytes");
		accused(packed, false, one, UINT32_MAX, 100, "wrote more bytes");
		accused(packed, false, (struct virtio_net_hdr_v1){0}, 100, 100, "num_buffers 0");
		accused(packed, false, (struct virtio_net_hdr_v1){.num_buffers = BUFFERS + 1}, 100, 100,
			"more buffers than the ring");
		accused(packed, false, (struct virtio_net_hdr_v1){.num_buffers = UINT16_MAX}, 100, 100,
			"more buffers than the ring");
		accused(packed, false, (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .num_buffers = 1}, 100, 100,
			"partial checksum");
		accused(packed, false,
			(struct virtio_net_hdr_v1){.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 9, .num_buffers = 1}, 100, 100,
			"not segmented, and GUEST_TSO");
		accused(packed, true, (struct virtio_net_hdr_v1){.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .num_buffers = 1}, 100, 100,
			"gso_size 0");
	}
}

/* More than IP can say, from buffers that are large enough for it. */
static void test_a_frame_has_an_end(void **state)
{
	const struct net_receive_config config = {
		.ring = {.chain_count = 2, .segments_max = 1}, .buffer_bytes = 40000, .merge = true};
	struct virtio_net_hdr_v1 header = {.num_buffers = 2};
	struct driver_ring_layout layout;
	struct net_received frame;
	struct rig rig = {0};

	(void)state;
	assert_int_equal(shared_memory_create(&rig.memory, net_receive_memory_bytes(&config)), 0);
	assert_int_equal(net_receive_create(&rig.receive, &config, &rig.memory), 0);
	layout = driver_ring_layout(&rig.receive.ring);
	rig.device = (struct ring_device){.descriptor_area = layout.descriptor_area,
					  .driver_area = layout.driver_area,
					  .device_area = layout.device_area,
					  .memory = rig.memory.base,
					  .guest_address = SHARED_MEMORY_GUEST_ADDRESS,
					  .memory_bytes = rig.memory.size_bytes,
					  .size = rig.receive.ring.size};
	net_receive_post_all(&rig.receive);
	use(&rig, &header, HEADER_BYTES, 40000);
	use(&rig, &header, HEADER_BYTES, 40000);
	net_receive_poll(&rig.receive);
	assert_false(net_receive_next(&rig.receive, &frame));
	assert_non_null(strstr(rig.receive.ring.broken, "larger than 64 KiB"));
	tear_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuttings),	   cmocka_unit_test(test_the_rest_comes_later),
		cmocka_unit_test(test_without_merging),	   cmocka_unit_test(test_broken_rules_are_named),
		cmocka_unit_test(test_a_frame_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
