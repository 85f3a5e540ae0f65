/* The device: what it offers and shows, its queues' life, several of them, and which flow goes where. */
#include "../cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "net_guest.h"
#include "virtio/net_steer.h"

static struct net_guest net, *const n = &net;
static struct net_packet packet, *const p = &packet;

#define EACH_NET_KIND(features)                                                                                                    \
	for (unsigned kind_ = 0; kind_ < guest_kinds_count && (net_open(n, &guest_kinds[kind_], (features)), true);                \
	     net_close(n), kind_++)

static void give(unsigned queue, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct buffer b = {.addr = DATA + i * UINT64_C(2048), .length = 2048, .writable = true};

		guest_put(&n->rings[queue], &b, 1);
	}
}

static unsigned taken(unsigned queue)
{
	unsigned count = 0;
	uint32_t length;
	uint16_t id;

	while (guest_get(&n->rings[queue], &id, &length))
		count++;
	return count;
}

/* ---- features and config space ---- */

static void test_features(void **state)
{
	struct virtio_net_config config = {.mtu = 9001, .pairs_max = 1};
	struct virtio_net *device;
	uint64_t one, many;

	(void)state;
	assert_int_equal(virtio_net_create(&device, &config), 0);
	one = virtio_net_features(device);
	virtio_net_free(device);
	config.pairs_max = VIRTIO_NET_PAIRS_MAX;
	config.packed_allowed = true;
	assert_int_equal(virtio_net_create(&device, &config), 0);
	many = virtio_net_features(device);
	virtio_net_free(device);
	assert_int_equal(many & ~one, BIT64(VNET_F_MQ) | BIT64(VIRTIO_F_RING_PACKED));
	assert_int_equal(one & ~many, 0);
	/* 5.1.3.1: what needs what */
	assert_true((one & BIT64(VNET_F_CSUM)) != 0 && (one & BIT64(VNET_F_GUEST_CSUM)) != 0 && (one & BIT64(VNET_F_CTRL_VQ)) != 0);
	for (config.pairs_max = 0; config.pairs_max <= 100; config.pairs_max += VIRTIO_NET_PAIRS_MAX + 1)
		assert_int_equal(virtio_net_create(&device, &config), -EINVAL);
	virtio_net_free(NULL);
}

static void test_config_space(void **state)
{
	uint8_t config[VIRTIO_NET_CONFIG_BYTES], part[4];
	struct device_state nothing = {0};

	(void)state;
	net_open(n, &guest_kinds[0], NET_ALL);
	assert_int_equal(virtio_net_config_read(n->net, &nothing, 0, config, sizeof(config)), 0);
	assert_memory_equal(config, "\x02\x01\x02\x03\x04\x05", 6);
	assert_int_equal(get_le16(config + VNET_CONFIG_STATUS), VNET_S_LINK_UP);
	assert_int_equal(get_le16(config + VNET_CONFIG_MAX_PAIRS), NET_PAIRS);
	assert_int_equal(get_le16(config + VNET_CONFIG_MTU), NET_MTU);
	virtio_net_set_link(n->net, false);
	assert_int_equal(virtio_net_config_read(n->net, &nothing, VNET_CONFIG_STATUS, part, 4), 0);
	assert_int_equal(get_le16(part), 0);
	assert_memory_equal(part + 2, config + VNET_CONFIG_MAX_PAIRS, 2);
	virtio_net_set_link(n->net, true);
	assert_int_equal(virtio_net_config_read(n->net, &nothing, VNET_CONFIG_STATUS, part, 2), 0);
	assert_int_equal(get_le16(part), VNET_S_LINK_UP);
	assert_int_equal(virtio_net_config_read(n->net, &nothing, 23, part, 1), 0);
	assert_int_equal(virtio_net_config_read(n->net, &nothing, 23, part, 2), -EINVAL);
	assert_int_equal(virtio_net_config_read(n->net, &nothing, 25, part, 0), -EINVAL);
	assert_int_equal(virtio_net_config_read(n->net, &nothing, UINT32_MAX, part, 2), -EINVAL);
	assert_int_equal(virtio_net_config_write(n->net, &nothing, 0, part, 1), -EINVAL);
	net_close(n);
}

/* ---- life ---- */

static void test_queues_that_cannot_start(void **state)
{
	const struct guest_kind kind = {.size = 64};
	struct virtqueue_state good, *q;
	struct net_queue *queue;
	struct guest *g;

	(void)state;
	net_open(n, &kind, NET_ALL);
	g = &n->rings[RX1];
	q = &g->state.queues[RX1];
	good = *q;
	assert_int_equal(virtio_net_queue_start(n->net, n->worker, NET_QUEUES, &g->state, &g->memory, -1, 0, &queue), -EINVAL);
	q->size = 63;
	assert_int_equal(virtio_net_queue_start(n->net, n->worker, RX1, &g->state, &g->memory, -1, 0, &queue), -EINVAL);
	*q = good;
	q->device_user_addr = 64;
	assert_int_equal(virtio_net_queue_start(n->net, n->worker, RX1, &g->state, &g->memory, -1, 0, &queue), -EFAULT);
	*q = good;
	net_start(n, RX1);
	net_close(n);
}

/* What a queue leaves is where another goes on, in the middle of a lap, over many laps. */
static void test_stop_and_start(void **state)
{
	const struct virtio_net_header h = {0};
	uint8_t frame[200];

	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		unsigned frames = 0;

		give(RX0, 40);
		for (unsigned round = 0; round < 60; round++) {
			unsigned count = round % 7 + 1;

			for (unsigned i = 0; i < count; i++) {
				net_frame(frame, sizeof(frame), frames);
				net_send(n, TX0, DATA + i * UINT64_C(4096), &h, frame, sizeof(frame));
				frames++;
			}
			/* Some are left in the ring by the first of the two. */
			if (round % 3 == 0) {
				net_stop(n, TX0);
				net_start(n, TX0);
			}
			n->seen_count = 0;
			assert_int_equal(net_serve(n, TX0), count);
			assert_int_equal(n->seen_count, count);
			assert_memory_equal(n->seen[count - 1].bytes, frame, sizeof(frame));
			assert_int_equal(taken(TX0), count);
			for (unsigned i = 0; i < count; i++) {
				net_packet(p, 100, i, 1);
				assert_true(net_put(n, &p->packet));
			}
			if (round % 4 != 1)
				net_flush(n);
			if (round % 2 == 1) {
				net_stop(n, RX0); /* what was put is not lost */
				assert_int_equal(taken(RX0), count);
				net_start(n, RX0);
				give(RX0, count);
			} else {
				assert_int_equal(taken(RX0), count);
				give(RX0, count);
			}
		}
		assert_null(n->broken_why);
	}
}

/* A device that died gave nothing back: its successor begins where the used index stands, and sends again. */
static void test_successor(void **state)
{
	const struct virtio_net_header h = {0};
	const struct guest_kind kinds[] = {{.size = 64}, {.size = 64, .event_idx = true, .indirect = true}};
	uint8_t frame[100];

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct virtqueue_state *q;

		net_open(n, &kinds[k], NET_ALL);
		for (unsigned i = 0; i < 10; i++)
			net_send(n, TX0, DATA + i * UINT64_C(4096), &h, frame, sizeof(frame));
		assert_int_equal(net_serve(n, TX0), 10);
		for (unsigned i = 0; i < 5; i++)
			net_send(n, TX0, DATA + i * UINT64_C(4096), &h, frame, sizeof(frame));
		q = &n->rings[TX0].state.queues[TX0];
		net_stop(n, TX0);
		q->next_avail = 77; /* what a VMM says that does not know better */
		q->next_used = 77;
		net_start(n, TX0);
		assert_int_equal(net_serve(n, TX0), 5);
		assert_int_equal(n->seen_count, 15);
		assert_int_equal(taken(TX0), 15);
		net_close(n);
	}
}

/* ---- several queues ---- */

static void set_flow(uint8_t *frame, unsigned flow, bool back)
{
	static const uint8_t here[4] = {10, 0, 0, 1};
	uint8_t there[4] = {10, 0, (uint8_t)(flow >> 8), (uint8_t)flow};

	memset(frame, 0, 100);
	put_be16(frame + 12, 0x0800);
	frame[14] = 0x45;
	frame[23] = 6;
	memcpy(frame + 26, back ? there : here, 4);
	memcpy(frame + 30, back ? here : there, 4);
	put_be16(frame + 34, back ? 80 : (uint16_t)(1000 + flow));
	put_be16(frame + 36, back ? (uint16_t)(1000 + flow) : 80);
}

static void put_flow(unsigned flow, uint32_t hash)
{
	net_packet(p, 100, 1, 1);
	set_flow(p->packet.head, flow, true);
	p->packet.hash = hash;
	assert_true(net_put(n, &p->packet));
	net_flush(n);
}

static void test_spread_by_hash(void **state)
{
	(void)state;
	EACH_NET_KIND(NET_ALL)
	{
		net_start(n, RX1);
		for (unsigned i = 0; i < 3; i++) { /* the third is not served */
			give(RX0, 2);
			give(RX1, 2);
			put_flow(1, 4);
			put_flow(2, 6);
			put_flow(3, 7);
			assert_int_equal(taken(RX0), 2);
			assert_int_equal(taken(RX1), 1);
			put_flow(3, 7);
			assert_int_equal(taken(RX1), 1);
		}
		net_start(n, RX2); /* SET_VRING_ENABLE while the others are served */
		give(RX2, 1);
		put_flow(1, 5);
		assert_int_equal(taken(RX2), 1);
		net_stop(n, RX0);
		give(RX1, 1);
		put_flow(1, 4);
		assert_int_equal(taken(RX1), 1);
		net_stop(n, RX1);
		net_stop(n, RX2);
		assert_false(net_put(n, &p->packet));
	}
}

/* 5.1.6.5.6.1 */
static void test_flows_come_back_to_their_queue(void **state)
{
	const struct virtio_net_header h = {0};
	uint8_t frame[100];
	unsigned at_home = 0;

	(void)state;
	net_open(n, &guest_kinds[0], NET_ALL);
	net_start(n, RX1);
	net_start(n, TX1);
	net_start(n, RX2);
	net_start(n, TX2);
	for (unsigned flow = 0; flow < 120; flow++) {
		set_flow(frame, flow, false);
		net_send(n, TX0 + 2 * (flow % 3), DATA, &h, frame, sizeof(frame));
		net_serve(n, TX0 + 2 * (flow % 3));
		taken(TX0 + 2 * (flow % 3));
	}
	for (unsigned flow = 0; flow < 120; flow++) {
		for (unsigned pair = 0; pair < 3; pair++)
			give(RX0 + 2 * pair, 1);
		put_flow(flow, flow + 1); /* the hash would take it elsewhere */
		at_home += taken(RX0 + 2 * (flow % 3));
		for (unsigned pair = 0; pair < 3; pair++) {
			taken(RX0 + 2 * pair);
			net_stop(n, RX0 + 2 * pair);
			guest_reset_ring(&n->rings[RX0 + 2 * pair]);
			n->rings[RX0 + 2 * pair].state.queues[RX0 + 2 * pair] = n->rings[RX0 + 2 * pair].state.queues[0];
			net_start(n, RX0 + 2 * pair);
		}
	}
	assert_true(at_home >= 110); /* a few share a place in the table */
	/* It moves where the guest moves it, and is spread when that queue is gone. */
	set_flow(frame, 7, false);
	net_send(n, TX2, DATA, &h, frame, sizeof(frame));
	net_serve(n, TX2);
	for (unsigned pair = 0; pair < 3; pair++)
		give(RX0 + 2 * pair, 2);
	put_flow(7, 0);
	assert_int_equal(taken(RX2), 1);
	net_stop(n, RX2);
	put_flow(7, 1);
	assert_int_equal(taken(RX1), 1);
	net_close(n);
}

static void test_keys(void **state)
{
	uint8_t out[100], back[100], ip6[100];

	(void)state;
	for (unsigned flow = 0; flow < 1000; flow++) {
		set_flow(out, flow, false);
		set_flow(back, flow, true);
		assert_int_equal(net_steer_key(out, 100), net_steer_key(back, 100));
		set_flow(back, flow + 1, true);
		assert_int_not_equal(net_steer_key(out, 100), net_steer_key(back, 100));
	}
	out[23] = back[23] = 1; /* no ports */
	set_flow(back, 999, true);
	back[23] = 1;
	assert_int_equal(net_steer_key(out, 100), net_steer_key(back, 100));
	set_flow(out, 1, false);
	set_flow(back, 1, false);
	back[20] = 0x20; /* first fragment: as the later ones, which have no ports */
	assert_int_not_equal(net_steer_key(out, 100), net_steer_key(back, 100));
	put_be16(back + 36, 81);
	out[21] = 5;
	assert_int_equal(net_steer_key(out, 100), net_steer_key(back, 100));
	memset(ip6, 0, sizeof(ip6));
	put_be16(ip6 + 12, 0x86dd);
	ip6[20] = 17;
	ip6[22] = 0xfd;
	ip6[38] = 0xfe;
	put_be16(ip6 + 54, 53);
	memcpy(back, ip6, sizeof(back));
	memcpy(back + 22, ip6 + 38, 16);
	memcpy(back + 38, ip6 + 22, 16);
	put_be16(back + 54, 0);
	put_be16(back + 56, 53);
	assert_int_equal(net_steer_key(ip6, 100), net_steer_key(back, 100));
	put_be16(back + 56, 54);
	assert_int_not_equal(net_steer_key(ip6, 100), net_steer_key(back, 100));
	/* What is cut off is not read: the frame ends with its allocation. */
	for (unsigned bytes = 14; bytes < 60; bytes++) {
		uint8_t *exact = malloc(bytes);

		assert_non_null(exact);
		memcpy(exact, ip6, bytes);
		assert_int_equal(net_steer_key(exact, bytes) != 0, bytes >= 54);
		set_flow(out, 1, false);
		memcpy(exact, out, bytes);
		exact[bytes > 14 ? 14 : 0] |= 0x0f; /* a header longer than the frame */
		assert_int_equal(net_steer_key(exact, bytes) != 0, bytes >= 34);
		free(exact);
	}
	put_be16(out + 12, 0x0806);
	assert_int_equal(net_steer_key(out, 100), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_config_space),
		cmocka_unit_test(test_queues_that_cannot_start),
		cmocka_unit_test(test_stop_and_start),
		cmocka_unit_test(test_successor),
		cmocka_unit_test(test_spread_by_hash),
		cmocka_unit_test(test_flows_come_back_to_their_queue),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests_name("virtio-net device", tests, NULL, NULL);
}
