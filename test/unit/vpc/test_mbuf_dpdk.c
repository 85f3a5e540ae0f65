/* Between packets and DPDK's buffers: what a device is told, and what it tells; and a flow as a rule of its switch. */
#include "../cmocka_all.h"

#include "base/list.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "vpc/mbuf_dpdk.h"
#include "vpc/offload_dpdk.h"
#include "wire_rig.h"

static struct rte_mempool *pool;

static int setup(void **state)
{
	if (rig_open(state) != 0)
		return -1;
	pool = rte_pktmbuf_pool_create("test", 255, 0, 0, RTE_PKTMBUF_HEADROOM + 2048, SOCKET_ID_ANY);
	return pool != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	rte_mempool_free(pool);
	return rig_close(state);
}

static struct rte_mbuf *received(uint32_t bytes, uint64_t flags)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *frame;

	assert_non_null(m);
	frame = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)bytes);
	for (uint32_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)i;
	frame[12] = 0x08;
	frame[13] = 0x00;
	m->ol_flags = flags;
	return m;
}

static void test_received_checksums(void **state)
{
	static const struct {
		uint64_t flags;
		uint16_t ethertype;
		bool taken;
		uint8_t says;
	} cases[] = {
		{0, 0x0800, true, 0},
		{RTE_MBUF_F_RX_IP_CKSUM_GOOD, 0x0800, true, 0},
		{RTE_MBUF_F_RX_L4_CKSUM_GOOD, 0x0800, true, 0}, /* of the IP header nothing is known */
		{RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD, 0x0800, true, PACKET_CSUM_VALID},
		{RTE_MBUF_F_RX_L4_CKSUM_GOOD, 0x86dd, true, PACKET_CSUM_VALID}, /* IPv6 has none */
		{RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD, 0x0800, true, 0},
		{RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_GOOD, 0x0800, false, 0},
	};
	struct iovec tail[MBUF_SEGMENTS_MAX];
	struct packet p;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rte_mbuf *m = received(100, cases[i].flags);
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

		frame[12] = (uint8_t)(cases[i].ethertype >> 8);
		frame[13] = (uint8_t)cases[i].ethertype;
		assert_int_equal(mbuf_to_packet(m, &p, tail), cases[i].taken);
		if (cases[i].taken) {
			assert_int_equal(p.flags, cases[i].says);
			assert_ptr_equal(p.head, frame);
			assert_int_equal(p.headroom_bytes, RTE_PKTMBUF_HEADROOM);
			assert_int_equal(packet_bytes(&p), 100);
		}
		rte_pktmbuf_free(m);
	}
}

static struct rte_mbuf *chain(const uint16_t *sizes, unsigned count)
{
	struct rte_mbuf *m = received(sizes[0], 0);

	for (unsigned i = 1; i < count; i++)
		assert_int_equal(rte_pktmbuf_chain(m, received(sizes[i], 0)), 0);
	return m;
}

/* A head holds what decisions are made on, whatever a device cut where. */
static void test_received_chains(void **state)
{
	struct iovec tail[MBUF_SEGMENTS_MAX];
	uint16_t sizes[MBUF_SEGMENTS_MAX + 2] = {300, 400, 500};
	struct rte_mbuf *m = chain(sizes, 3);
	struct packet p;

	(void)state;
	assert_true(mbuf_to_packet(m, &p, tail));
	assert_int_equal(p.head_bytes, 300);
	assert_int_equal(p.tail_bytes, 900);
	assert_int_equal(p.tail_count, 2);
	assert_int_equal(tail[1].iov_len, 500);
	rte_pktmbuf_free(m);

	sizes[0] = 20; /* pulled together */
	m = chain(sizes, 3);
	assert_true(mbuf_to_packet(m, &p, tail));
	assert_int_equal(p.head_bytes, 920);
	assert_int_equal(p.tail_count, 0);
	assert_int_equal(p.head[19], 19);
	assert_int_equal(p.head[20], 0); /* the next one's first */
	rte_pktmbuf_free(m);

	sizes[1] = 2000; /* it does not fit */
	m = chain(sizes, 3);
	assert_false(mbuf_to_packet(m, &p, tail));
	rte_pktmbuf_free(m);

	for (unsigned i = 0; i < MBUF_SEGMENTS_MAX + 2; i++)
		sizes[i] = 300;
	m = chain(sizes, MBUF_SEGMENTS_MAX + 1);
	assert_true(mbuf_to_packet(m, &p, tail));
	assert_int_equal(p.tail_count, MBUF_SEGMENTS_MAX);
	rte_pktmbuf_free(m);
	m = chain(sizes, MBUF_SEGMENTS_MAX + 2);
	assert_false(mbuf_to_packet(m, &p, tail));
	rte_pktmbuf_free(m);
}

/* A GSO frame is copied into a chain; when buffers run out in the middle of it, none is lost. */
static void test_large_copies(void **state)
{
	static uint8_t bytes[60000];
	struct iovec tail[3] = {{bytes + 300, 10000}, {bytes + 10300, 1}, {bytes + 10301, 49699}};
	struct packet p = {.head = bytes, .head_bytes = 300, .tail = tail, .tail_count = 3, .tail_bytes = 59700};
	static uint8_t copy[sizeof(bytes)];
	struct rte_mbuf *m, *all[256];
	unsigned free_before = rte_mempool_avail_count(pool), taken = 0;
	const void *whole;

	(void)state;
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	m = rte_pktmbuf_alloc(pool);
	assert_non_null(m);
	assert_true(mbuf_fill(pool, m, &p));
	assert_int_equal(m->pkt_len, sizeof(bytes));
	assert_int_equal(rte_pktmbuf_headroom(m), RTE_PKTMBUF_HEADROOM);
	rte_mbuf_sanity_check(m, 1);
	whole = rte_pktmbuf_read(m, 0, sizeof(bytes), copy);
	assert_memory_equal(whole, bytes, sizeof(bytes));
	rte_pktmbuf_free(m);
	assert_int_equal(rte_mempool_avail_count(pool), free_before);
	while (rte_mempool_avail_count(pool) > 5)
		all[taken++] = rte_pktmbuf_alloc(pool);
	m = rte_pktmbuf_alloc(pool);
	assert_false(mbuf_fill(pool, m, &p));
	rte_pktmbuf_free(m);
	assert_int_equal(rte_mempool_avail_count(pool), 5);
	rte_pktmbuf_free_bulk(all, taken);
	assert_int_equal(rte_mempool_avail_count(pool), free_before);
}

static struct packet offloaded(uint8_t *frame, uint8_t family, uint8_t protocol, uint16_t outer)
{
	struct packet p = {.head = frame, .flags = PACKET_NEEDS_CSUM};

	p.layers.family = family;
	p.layers.protocol = protocol;
	p.layers.l3_offset = 14;
	p.layers.l4_offset = family == 4 ? 34 : 54;
	p.layers.l4_header_bytes = protocol == IPPROTO_TCP ? 32 : 8;
	p.csum_start = (uint16_t)(outer + p.layers.l4_offset);
	return p;
}

static void test_offloads(void **state)
{
	uint8_t frame[200] = {0};
	struct packet p = offloaded(frame, 4, IPPROTO_UDP, 0);
	struct rte_mbuf m = {.ol_flags = 0};

	(void)state;
	p.flags = 0;
	mbuf_set_offloads(&m, &p);
	assert_int_equal(m.ol_flags, 0);

	p.flags = PACKET_NEEDS_CSUM;
	mbuf_set_offloads(&m, &p);
	assert_true(m.ol_flags == (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM));
	assert_int_equal(m.l2_len, 14);
	assert_int_equal(m.l3_len, 20);
	assert_int_equal(m.l4_len, 8);

	m = (struct rte_mbuf){.ol_flags = 0};
	p = offloaded(frame, 6, IPPROTO_TCP, 0);
	p.gso = PACKET_GSO_TCP6;
	p.gso_size = 1400;
	mbuf_set_offloads(&m, &p);
	assert_true(m.ol_flags == (RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG));
	assert_int_equal(m.l3_len, 40);
	assert_int_equal(m.l4_len, 32);
	assert_int_equal(m.tso_segsz, 1400);
}

static void test_offloads_in_tunnels(void **state)
{
	uint8_t frame[200] = {0};
	struct packet p = offloaded(frame, 4, IPPROTO_TCP, TUNNEL_OUTER_V4_BYTES);
	struct rte_mbuf m = {.ol_flags = 0};
	uint16_t port = htons(TUNNEL_VXLAN_PORT);

	(void)state;
	p.gso = PACKET_GSO_TCP4;
	p.gso_size = 1398;
	frame[12] = 0x08;
	memcpy(frame + 14 + 20 + 2, &port, 2);
	mbuf_set_offloads(&m, &p);
	assert_true(m.ol_flags == (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG |
				   RTE_MBUF_F_TX_TUNNEL_VXLAN | RTE_MBUF_F_TX_OUTER_IPV4 | RTE_MBUF_F_TX_OUTER_IP_CKSUM));
	assert_int_equal(m.outer_l2_len, 14);
	assert_int_equal(m.outer_l3_len, 20);
	assert_int_equal(m.l2_len, 8 + 8 + 14);
	assert_int_equal(m.l3_len, 20);
	assert_int_equal(m.tso_segsz, 1398);

	m = (struct rte_mbuf){.ol_flags = 0};
	p = offloaded(frame, 6, IPPROTO_UDP, TUNNEL_OUTER_V6_BYTES);
	frame[12] = 0x86;
	frame[13] = 0xdd;
	port = htons(TUNNEL_GENEVE_PORT);
	memcpy(frame + 14 + 40 + 2, &port, 2);
	mbuf_set_offloads(&m, &p);
	assert_true(m.ol_flags ==
		    (RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_TUNNEL_GENEVE | RTE_MBUF_F_TX_OUTER_IPV6));
	assert_int_equal(m.outer_l3_len, 40);
	assert_int_equal(m.l2_len, 8 + 8 + 14);
	assert_int_equal(m.l3_len, 40);
}

struct offered {
	struct flow_key key;
	struct flow_action out;
	struct tunnel_template outer;
	struct wire_offload_flow flow;
};

static void offer_make(struct offered *o, uint8_t protocol, bool v6)
{
	memset(o, 0, sizeof(*o));
	o->key = (struct flow_key){.protocol = protocol, .local_port = htons(1000), .remote_port = htons(80)};
	o->key.local = net_address_v4(htonl(0x0a000001));
	o->key.remote = net_address_v4(htonl(0x0a000002));
	if (v6)
		o->key.local.bytes[0] = o->key.remote.bytes[0] = 0xfd;
	o->out = (struct flow_action){.verdict = FLOW_TO_HOST, .vni = 0x123456, .destination_mac = {{2, 0, 0, 0, 0, 7}}};
	tunnel_template_make(&o->outer, TUNNEL_VXLAN, &(struct mac){{2, 1, 1, 1, 1, 1}}, &(struct mac){{2, 2, 2, 2, 2, 2}},
			     &(struct net_address){.word = {0, 0, htonl(0xffff), htonl(0xc0000201)}},
			     &(struct net_address){.word = {0, 0, htonl(0xffff), htonl(0xc0000202)}});
	o->flow = (struct wire_offload_flow){.key = &o->key, .out = &o->out, .outer = &o->outer, .hash = 0xabcd1234};
	o->flow.endpoint_mac = (struct mac){{2, 0, 0, 0, 0, 5}};
	o->flow.sender_mac = (struct mac){{14, 0, 0, 0, 0, 1}};
}

static void test_rule(void **state)
{
	struct offload_rule r;
	struct offered o;

	(void)state;
	offer_make(&o, IPPROTO_TCP, false);
	assert_int_equal(offload_rule_make(&r, &o.flow, 3), 0);
	assert_int_equal(r.attributes.transfer, 1);
	/* Whose frames: nothing else tells tenants apart. */
	assert_int_equal(r.pattern[0].type, RTE_FLOW_ITEM_TYPE_ETH);
	assert_memory_equal(((const struct rte_flow_item_eth *)r.pattern[0].spec)->src.addr_bytes, o.flow.endpoint_mac.bytes, 6);
	assert_memory_equal(((const struct rte_flow_item_eth *)r.pattern[0].mask)->src.addr_bytes, "\xff\xff\xff\xff\xff\xff", 6);
	assert_int_equal(r.pattern[1].type, RTE_FLOW_ITEM_TYPE_IPV4);
	assert_int_equal(r.ip.v4.hdr.src_addr, htonl(0x0a000001));
	assert_int_equal(r.ip.v4.hdr.dst_addr, htonl(0x0a000002));
	assert_int_equal(r.ip_mask.v4.hdr.src_addr, UINT32_MAX);
	assert_int_equal(r.ip_mask.v4.hdr.fragment_offset, htons(0x3fff));
	assert_int_equal(r.pattern[2].type, RTE_FLOW_ITEM_TYPE_TCP);
	assert_int_equal(r.upper.tcp.hdr.src_port, htons(1000));
	assert_int_equal(r.upper.tcp.hdr.tcp_flags, 0); /* SYN, FIN and RST are for us */
	assert_int_equal(r.upper_mask.tcp.hdr.tcp_flags, 0x07);
	assert_int_equal(r.pattern[3].type, RTE_FLOW_ITEM_TYPE_END);
	assert_memory_equal(r.destination.mac_addr, o.out.destination_mac.bytes, 6);
	assert_memory_equal(r.source.mac_addr, o.flow.sender_mac.bytes, 6);
	assert_int_equal(r.actions[3].type, RTE_FLOW_ACTION_TYPE_RAW_ENCAP);
	assert_int_equal(r.encapsulation.size, TUNNEL_OUTER_V4_BYTES);
	assert_memory_equal(r.outer + TUNNEL_OUTER_V4_BYTES - 4, "\x12\x34\x56\x00", 4);
	assert_memory_equal(r.outer + 34, "\xd2\x34\x12\xb5", 4); /* 49152 + low 14 bits of the hash; 4789 */
	assert_int_equal(r.port.port_id, 3);
	assert_int_equal(r.actions[5].type, RTE_FLOW_ACTION_TYPE_END);

	offer_make(&o, IPPROTO_UDP, true);
	assert_int_equal(offload_rule_make(&r, &o.flow, 0), 0);
	assert_int_equal(r.pattern[1].type, RTE_FLOW_ITEM_TYPE_IPV6);
	assert_memory_equal(r.ip.v6.hdr.src_addr, o.key.local.bytes, 16);
	assert_int_equal(r.pattern[2].type, RTE_FLOW_ITEM_TYPE_UDP);
	assert_int_equal(r.upper_mask.udp.hdr.dst_port, UINT16_MAX);
}

static void test_no_rule(void **state)
{
	struct offload_rule r;
	struct offered o;

	(void)state;
	offer_make(&o, IPPROTO_ICMP, false);
	assert_int_equal(offload_rule_make(&r, &o.flow, 0), -ENOTSUP);
	offer_make(&o, IPPROTO_UDP, false);
	o.out.verdict = FLOW_TO_OUTSIDE;
	assert_int_equal(offload_rule_make(&r, &o.flow, 0), -ENOTSUP);
	offer_make(&o, IPPROTO_UDP, false);
	o.outer.bytes = 0; /* the host's MAC is not known yet */
	assert_int_equal(offload_rule_make(&r, &o.flow, 0), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_received_checksums),
		cmocka_unit_test(test_received_chains),
		cmocka_unit_test(test_large_copies),
		cmocka_unit_test(test_offloads),
		cmocka_unit_test(test_offloads_in_tunnels),
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_no_rule),
	};

	return cmocka_run_group_tests_name("vpc mbuf_dpdk", tests, setup, teardown);
}
