#include "../cmocka_all.h"

#include <arpa/inet.h>

#include "golden/packets.inc"
#include "packet_rig.h"
#include "vpc/parse.h"
#include "vpc/rewrite.h"
#include "vpc/tunnel.h"

static const struct mac host_mac = {{2, 0, 0, 0, 0x0a, 1}}, next_hop = {{2, 0, 0, 0, 0x0a, 2}};

enum { OUTER_IP_AT = 14, FRAME_MAX = 4096 };

static struct tunnel_template template_of(enum tunnel_kind kind, const char *from, const char *to)
{
	struct net_address source, destination;
	struct tunnel_template t;

	assert_int_equal(net_address_parse(from, &source), 0);
	assert_int_equal(net_address_parse(to, &destination), 0);
	tunnel_template_make(&t, kind, &host_mac, &next_hop, &source, &destination);
	return t;
}

static struct tunnel_template template_v4(enum tunnel_kind kind)
{
	return template_of(kind, "192.0.2.1", "192.0.2.2");
}

static struct tunnel_template template_v6(enum tunnel_kind kind)
{
	return template_of(kind, "2001:db8:a::1", "2001:db8:a::2");
}

/* Byte by byte what scapy makes. */
static void assert_encapsulated(const struct tunnel_template *t, const uint8_t *inner, uint32_t inner_size, const uint8_t *outer,
				uint32_t outer_size)
{
	uint8_t flat[FRAME_MAX];
	struct rig_packet r;

	for (unsigned head = 90; head < 300; head += 200) {
		rig_packet_make(&r, inner, inner_size, head, 9);
		assert_int_equal(packet_parse(&r.p), DROP_NONE);
		r.p.hash = GOLDEN_HASH;
		tunnel_encapsulate(t, GOLDEN_VNI, &r.p);
		assert_int_equal(rig_packet_flatten(&r.p, flat), outer_size);
		assert_memory_equal(flat, outer, outer_size);
		rig_packet_free(&r);
	}
}

#define ASSERT_ENCAPSULATED(t, inner, outer)                                                                                       \
	assert_encapsulated(&(t), golden_##inner, sizeof(golden_##inner), golden_##outer, sizeof(golden_##outer))

static void test_encapsulate(void **state)
{
	struct tunnel_template vxlan4 = template_v4(TUNNEL_VXLAN), vxlan6 = template_v6(TUNNEL_VXLAN);
	struct tunnel_template geneve4 = template_v4(TUNNEL_GENEVE), geneve6 = template_v6(TUNNEL_GENEVE);

	(void)state;
	assert_int_equal(vxlan4.bytes, TUNNEL_OUTER_V4_BYTES);
	assert_int_equal(geneve6.bytes, TUNNEL_OUTER_V6_BYTES);
	ASSERT_ENCAPSULATED(vxlan4, tcp4, vxlan4);
	ASSERT_ENCAPSULATED(vxlan4, tcp4_ect0, vxlan4_ect0);
	ASSERT_ENCAPSULATED(vxlan4, arp, vxlan4_arp);
	ASSERT_ENCAPSULATED(vxlan6, tcp6_ect1, vxlan6);
	ASSERT_ENCAPSULATED(geneve4, tcp4, geneve4);
	ASSERT_ENCAPSULATED(geneve6, tcp6, geneve6);
}

/* Whatever the length: the header's checksum is made of the template's. */
static void test_checksum_of_all_lengths(void **state)
{
	struct tunnel_template t = template_v4(TUNNEL_VXLAN);
	uint8_t *frame = calloc(1, UINT16_MAX);
	struct rig_packet r;

	(void)state;
	assert_non_null(frame);
	for (uint32_t size = 14; size < UINT16_MAX - 36; size += 97) {
		rig_packet_make(&r, frame, size, PACKET_HEAD_MIN_BYTES, 0);
		tunnel_encapsulate(&t, 1, &r.p);
		assert_int_equal(get_be16(r.p.head + OUTER_IP_AT + 2), size + 36);
		assert_true(rig_ipv4_right(r.p.head + OUTER_IP_AT));
		rig_packet_free(&r);
	}
	free(frame);
}

static void test_source_port(void **state)
{
	static const struct {
		uint32_t hash;
		uint16_t port;
	} cases[] = {{0, 49152}, {UINT32_MAX, 65535}, {0x4001, 49153}};
	struct tunnel_template t = template_v4(TUNNEL_GENEVE);

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig_packet r;

		rig_packet_make(&r, golden_tcp4, sizeof(golden_tcp4), UINT16_MAX, 0);
		assert_int_equal(packet_parse(&r.p), DROP_NONE);
		r.p.hash = cases[i].hash;
		r.p.csum_start = 34;
		tunnel_encapsulate(&t, 1, &r.p);
		assert_int_equal(get_be16(r.p.head + 34), cases[i].port);
		assert_int_equal(r.p.csum_start, 34 + TUNNEL_OUTER_V4_BYTES);
		rig_packet_free(&r);
	}
}

struct opened {
	enum drop_reason drop;
	struct tunnel_inner inner;
	struct packet_layers layers;
	uint8_t frame[FRAME_MAX];
	uint32_t size;
	uint8_t flags;
};

/* `head_bytes` of the frame in the head. */
static void open_frame(struct opened *o, const uint8_t *frame, uint32_t size, uint32_t head_bytes, uint8_t flags)
{
	struct rig_packet r;

	rig_packet_make(&r, frame, size, head_bytes, 33);
	r.p.flags = flags;
	if ((flags & PACKET_NEEDS_CSUM) != 0) {
		r.p.csum_start = 34;
		r.p.csum_offset = UDP_CHECKSUM_AT;
	}
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	o->drop = tunnel_decapsulate(&r.p, &o->inner);
	o->layers = r.p.layers;
	o->flags = r.p.flags;
	o->size = rig_packet_flatten(&r.p, o->frame);
	rig_packet_free(&r);
}

static void assert_opens(const uint8_t *outer, uint32_t outer_size, const uint8_t *inner, uint32_t inner_size, uint8_t kind)
{
	struct opened o;

	for (unsigned head = 160; head <= UINT16_MAX; head += UINT16_MAX - 160) {
		open_frame(&o, outer, outer_size, head, 0);
		assert_int_equal(o.drop, DROP_NONE);
		assert_int_equal(o.inner.vni, GOLDEN_VNI);
		assert_int_equal(o.inner.kind, kind);
		assert_int_equal(o.size, inner_size);
		assert_memory_equal(o.frame, inner, inner_size);
		assert_int_equal(o.layers.l3_offset, 14);
	}
}

#define ASSERT_OPENS(outer, inner, kind)                                                                                           \
	assert_opens(golden_##outer, sizeof(golden_##outer), golden_##inner, sizeof(golden_##inner), kind)

static void test_decapsulate(void **state)
{
	char text[NET_ADDRESS_TEXT_SIZE];
	struct opened o;

	(void)state;
	ASSERT_OPENS(vxlan4, tcp4, TUNNEL_VXLAN);
	ASSERT_OPENS(vxlan4_checksum, tcp4, TUNNEL_VXLAN);
	ASSERT_OPENS(vxlan4_arp, arp, TUNNEL_VXLAN);
	ASSERT_OPENS(vxlan6, tcp6_ect1, TUNNEL_VXLAN);
	ASSERT_OPENS(geneve4, tcp4, TUNNEL_GENEVE);
	ASSERT_OPENS(geneve4_options, tcp4, TUNNEL_GENEVE);
	ASSERT_OPENS(geneve6, tcp6, TUNNEL_GENEVE);
	ASSERT_OPENS(geneve6_checksum, tcp6, TUNNEL_GENEVE);
	open_frame(&o, golden_vxlan6, sizeof(golden_vxlan6), UINT16_MAX, PACKET_CSUM_VALID);
	net_address_format(&o.inner.outer_source, text);
	assert_string_equal(text, "2001:db8:a::1");
	assert_int_equal(o.flags, 0); /* said of the outer checksum */
}

/* RFC 6040 4.2, and RFC 7348's own layers unharmed: all sixteen combinations, over both families. */
static void test_ecn(void **state)
{
	static const int combined[4][4] = {{0, 0, 0, -1}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
	struct tunnel_template t4 = template_v4(TUNNEL_VXLAN), t6 = template_v6(TUNNEL_GENEVE);

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		unsigned inner = i & 3, outer = i >> 2 & 3;
		bool inner_v4 = (i & 16) != 0, outer_v4 = (i & 32) != 0;
		struct rig_packet r;
		struct opened o;
		uint8_t flat[FRAME_MAX];
		uint32_t size;

		rig_packet_make(&r, inner_v4 ? golden_tcp4 : golden_tcp6, inner_v4 ? sizeof(golden_tcp4) : sizeof(golden_tcp6),
				UINT16_MAX, 0);
		r.p.head[15] |= (uint8_t)(inner_v4 ? 0x20 | inner : inner << 4); /* IPv4 with a DSCP, which must stay */
		r.p.flags = PACKET_CSUM_VALID;
		if (inner_v4) {
			put_be16(r.p.head + 24, 0);
			put_be16(r.p.head + 24, (uint16_t)~rig_sum(0, r.p.head + 14, 20));
		}
		assert_int_equal(packet_parse(&r.p), DROP_NONE);
		tunnel_encapsulate(outer_v4 ? &t4 : &t6, 7, &r.p);
		assert_int_equal(r.p.head[15], outer_v4 ? inner : inner << 4);
		r.p.head[15] = (uint8_t)(outer_v4 ? outer : outer << 4);
		size = rig_packet_flatten(&r.p, flat);
		rig_packet_free(&r);
		open_frame(&o, flat, size, UINT16_MAX, PACKET_CSUM_VALID);
		if (combined[inner][outer] < 0) {
			assert_int_equal(o.drop, DROP_MALFORMED);
			continue;
		}
		assert_int_equal(o.drop, DROP_NONE);
		assert_int_equal(o.frame[15], inner_v4 ? 0x20 | combined[inner][outer] : combined[inner][outer] << 4);
		assert_true(!inner_v4 || rig_ipv4_right(o.frame + 14));
	}
}

static void test_ecn_as_scapy(void **state)
{
	struct opened o;

	(void)state;
	open_frame(&o, golden_vxlan4_ce_on_ect0, sizeof(golden_vxlan4_ce_on_ect0), UINT16_MAX, 0);
	assert_int_equal(o.drop, DROP_NONE);
	assert_memory_equal(o.frame, golden_tcp4_ce, sizeof(golden_tcp4_ce));
	open_frame(&o, golden_vxlan6_ce_on_ect1, sizeof(golden_vxlan6_ce_on_ect1), UINT16_MAX, 0);
	assert_memory_equal(o.frame, golden_tcp6_ce, sizeof(golden_tcp6_ce));
	open_frame(&o, golden_vxlan4_ce_on_not_ect, sizeof(golden_vxlan4_ce_on_not_ect), UINT16_MAX, 0);
	assert_int_equal(o.drop, DROP_MALFORMED);
}

/* One byte of the shim changed: VXLAN begins at 42. */
static void assert_shim(const uint8_t *frame, uint32_t size, unsigned at, uint8_t value, enum drop_reason drop)
{
	uint8_t spoiled[FRAME_MAX];
	struct opened o;

	memcpy(spoiled, frame, size);
	spoiled[at] = value;
	open_frame(&o, spoiled, size, UINT16_MAX, 0);
	assert_int_equal(o.drop, drop);
}

static void test_refused_shims(void **state)
{
	const uint8_t *vxlan = golden_vxlan4, *geneve = golden_geneve4;
	enum { VXLAN_SIZE = sizeof(golden_vxlan4), GENEVE_SIZE = sizeof(golden_geneve4) };

	(void)state;
	assert_shim(vxlan, VXLAN_SIZE, 42, 0x00, DROP_MALFORMED); /* no VNI */
	assert_shim(vxlan, VXLAN_SIZE, 42, 0xf7, DROP_MALFORMED);
	assert_shim(vxlan, VXLAN_SIZE, 42, 0xff, DROP_NONE); /* reserved: "ignored on receipt" */
	assert_shim(vxlan, VXLAN_SIZE, 49, 0xff, DROP_NONE);
	assert_shim(geneve, GENEVE_SIZE, 42, 0x40, DROP_MALFORMED); /* version 1 */
	assert_shim(geneve, GENEVE_SIZE, 43, 0x40, DROP_MALFORMED); /* critical options */
	assert_shim(geneve, GENEVE_SIZE, 43, 0x80, DROP_MALFORMED); /* a control message */
	assert_shim(geneve, GENEVE_SIZE, 43, 0x3f, DROP_NONE);
	assert_shim(geneve, GENEVE_SIZE, 44, 0x08, DROP_MALFORMED); /* not Ethernet */
	assert_shim(geneve, GENEVE_SIZE, 42, 0x3f, DROP_MALFORMED); /* options beyond the frame */
}

/* The UDP length ends in the shim, or cuts the inner frame. */
static void test_udp_length(void **state)
{
	uint8_t frame[sizeof(golden_vxlan4) + 40];
	uint32_t size = sizeof(golden_vxlan4);
	struct opened o;

	(void)state;
	memcpy(frame, golden_vxlan4, size);
	for (unsigned udp_bytes = 8; udp_bytes < size - 34; udp_bytes++) {
		put_be16(frame + 38, (uint16_t)udp_bytes);
		open_frame(&o, frame, size, UINT16_MAX, 0);
		assert_int_equal(o.drop, DROP_MALFORMED);
	}
	put_be16(frame + 38, (uint16_t)(size - 34));
	memset(frame + size, 0xee, 40);
	open_frame(&o, frame, size + 40, UINT16_MAX, 0); /* padding behind it is not the inner frame's */
	assert_int_equal(o.drop, DROP_NONE);
	assert_int_equal(o.size, sizeof(golden_tcp4));
	open_frame(&o, frame, size, 45, PACKET_CSUM_VALID); /* the shim lies beyond the head */
	assert_int_equal(o.drop, DROP_MALFORMED);
}

static void test_outer_checksum(void **state)
{
	uint8_t frame[sizeof(golden_vxlan4_checksum)];
	struct opened o;

	(void)state;
	memcpy(frame, golden_vxlan4_checksum, sizeof(frame));
	frame[sizeof(frame) - 1] ^= 1;
	open_frame(&o, frame, sizeof(frame), 160, 0);
	assert_int_equal(o.drop, DROP_MALFORMED);
	open_frame(&o, frame, sizeof(frame), 160, PACKET_CSUM_VALID); /* a NIC looked at it */
	assert_int_equal(o.drop, DROP_NONE);
	open_frame(&o, frame, sizeof(frame), 160, PACKET_NEEDS_CSUM); /* it never was on a wire */
	assert_int_equal(o.drop, DROP_NONE);
	assert_int_equal(o.flags, 0);
}

static void test_refused_carriers(void **state)
{
	struct tunnel_inner inner;
	struct rig_packet r;

	(void)state;
	rig_packet_make(&r, golden_vxlan4, sizeof(golden_vxlan4), UINT16_MAX, 0);
	r.p.flags = PACKET_CSUM_VALID;
	put_be16(r.p.head + OUTER_IP_AT + 6, 0x2000); /* a first fragment, of whole units */
	put_be16(r.p.head + OUTER_IP_AT + 2, (uint16_t)(20 + (r.p.head_bytes - 34) / 8 * 8));
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	assert_int_equal(r.p.layers.fragment, FRAGMENT_FIRST);
	assert_int_equal(tunnel_decapsulate(&r.p, &inner), DROP_MALFORMED);
	rig_packet_free(&r);

	rig_packet_make(&r, golden_vxlan4, sizeof(golden_vxlan4), UINT16_MAX, 0); /* several datagrams in one, cut anywhere */
	r.p.flags = PACKET_NEEDS_CSUM;
	r.p.gso = PACKET_GSO_UDP;
	r.p.gso_size = 100;
	r.p.csum_start = 34;
	r.p.csum_offset = UDP_CHECKSUM_AT;
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	assert_int_equal(tunnel_decapsulate(&r.p, &inner), DROP_MALFORMED);
	rig_packet_free(&r);
}

/* What is inside is judged by the parser, with what it finds. */
static void test_refused_inner(void **state)
{
	const uint8_t *frame = golden_vxlan4;

	(void)state;
	assert_shim(frame, sizeof(golden_vxlan4), 50 + 12, 0x99, DROP_ETHERTYPE);
	assert_shim(frame, sizeof(golden_vxlan4), 50 + 14, 0x55, DROP_MALFORMED);
	assert_shim(frame, sizeof(golden_vxlan4), 50 + 24, 0x00, DROP_MALFORMED); /* the inner checksum */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encapsulate),
		cmocka_unit_test(test_checksum_of_all_lengths),
		cmocka_unit_test(test_source_port),
		cmocka_unit_test(test_decapsulate),
		cmocka_unit_test(test_ecn),
		cmocka_unit_test(test_ecn_as_scapy),
		cmocka_unit_test(test_refused_shims),
		cmocka_unit_test(test_udp_length),
		cmocka_unit_test(test_outer_checksum),
		cmocka_unit_test(test_refused_carriers),
		cmocka_unit_test(test_refused_inner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
