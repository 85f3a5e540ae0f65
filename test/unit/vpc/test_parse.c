#include "../cmocka_all.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/tcp.h>

#include "golden/packets.inc"
#include "packet_rig.h"
#include "vpc/parse.h"
#include "vpc/rewrite.h"

enum { FRAME_MAX = 2048, IP_AT = ETHER_BYTES };

/* A golden frame that a test may spoil before it is parsed. */
struct draft {
	uint8_t bytes[FRAME_MAX];
	uint32_t size;
	uint32_t head_bytes; /* in the packet's head */
	uint8_t flags, gso;
	uint16_t gso_size, csum_start, csum_offset;
};

#define DRAFT(name) draft_of(golden_##name, sizeof(golden_##name))

static struct draft draft_of(const uint8_t *bytes, uint32_t size)
{
	struct draft d = {.size = size, .head_bytes = UINT16_MAX};

	memcpy(d.bytes, bytes, size);
	return d;
}

/* After a change to the header that is not the one under test. */
static void mend_ipv4(struct draft *d)
{
	uint8_t *ip = d->bytes + IP_AT;

	put_be16(ip + IPV4_CHECKSUM_AT, 0);
	put_be16(ip + IPV4_CHECKSUM_AT, (uint16_t)~rig_sum(0, ip, (ip[0] & 15u) * 4));
}

static enum drop_reason parse(const struct draft *d, struct packet_layers *out)
{
	struct rig_packet r;
	enum drop_reason drop;

	rig_packet_make(&r, d->bytes, d->size, d->head_bytes, 0);
	r.p.flags = d->flags;
	r.p.gso = d->gso;
	r.p.gso_size = d->gso_size;
	r.p.csum_start = d->csum_start;
	r.p.csum_offset = d->csum_offset;
	memset(&r.p.layers, 0xa5, sizeof(r.p.layers)); /* what the last frame left */
	drop = packet_parse(&r.p);
	if (out != NULL)
		*out = r.p.layers;
	rig_packet_free(&r);
	return drop;
}

static enum drop_reason verdict(const struct draft *d)
{
	return parse(d, NULL);
}

static void assert_addresses(const struct packet_layers *l, const char *source, const char *destination)
{
	char text[NET_ADDRESS_TEXT_SIZE];

	net_address_format(&l->source, text);
	assert_string_equal(text, source);
	net_address_format(&l->destination, text);
	assert_string_equal(text, destination);
}

static void test_tcp4(void **state)
{
	struct draft d = DRAFT(tcp4);
	struct packet_layers l;

	(void)state;
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.ethertype, ETHERTYPE_IP);
	assert_int_equal(l.family, 4);
	assert_int_equal(l.l3_offset, 14);
	assert_int_equal(l.l4_offset, 34);
	assert_int_equal(l.l4_header_bytes, 32);
	assert_int_equal(l.ip_bytes, d.size - 14);
	assert_int_equal(l.protocol, IPPROTO_TCP);
	assert_int_equal(l.ttl, 17);
	assert_int_equal(l.fragment, FRAGMENT_NONE);
	assert_true(l.dont_fragment);
	assert_false(l.icmp_error);
	assert_int_equal(l.source_port, htons(40000));
	assert_int_equal(l.destination_port, htons(80));
	assert_int_equal(l.fragment_id, htons(0x1234));
	assert_int_equal(l.tcp_seq, 0xfffffff0);
	assert_int_equal(l.tcp_ack, 77);
	assert_int_equal(l.tcp_flags, TH_PUSH | TH_ACK);
	assert_int_equal(l.tcp_window, 501);
	assert_addresses(&l, "10.0.0.5", "10.0.1.7");
}

static void test_tcp6(void **state)
{
	struct draft d = DRAFT(tcp6);
	struct packet_layers l;

	(void)state;
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.family, 6);
	assert_int_equal(l.l4_offset, 54);
	assert_int_equal(l.ip_bytes, d.size - 14);
	assert_int_equal(l.ttl, 9);
	assert_int_equal(l.tcp_flags, TH_SYN);
	assert_int_equal(l.destination_port, htons(443));
	assert_true(l.dont_fragment);
	assert_addresses(&l, "fd00::5", "fd00:1::7");
}

static void test_udp_and_options(void **state)
{
	struct draft d = DRAFT(udp4_options);
	struct packet_layers l;

	(void)state;
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_true(l.l4_offset > 34);
	assert_int_equal(l.l4_header_bytes, 8);
	assert_int_equal(l.source_port, htons(5353));
	assert_int_equal(l.tcp_flags, 0);
	assert_false(l.dont_fragment);
	d.bytes[IP_AT + 21] = 131; /* loose source routing in the place of record route */
	mend_ipv4(&d);
	assert_int_equal(verdict(&d), DROP_UNSUPPORTED);
	d.bytes[IP_AT + 21] = 137;
	mend_ipv4(&d);
	assert_int_equal(verdict(&d), DROP_UNSUPPORTED);
	d.bytes[IP_AT + 21] = 7;
	for (unsigned length = 0; length < 2; length++) {
		d.bytes[IP_AT + 22] = (uint8_t)length;
		mend_ipv4(&d);
		assert_int_equal(verdict(&d), DROP_MALFORMED);
	}
	d.bytes[IP_AT + 22] = 40; /* ends beyond the header */
	mend_ipv4(&d);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
}

static void test_ipv6_extensions(void **state)
{
	struct draft d = DRAFT(udp6_extensions);
	struct packet_layers l;

	(void)state;
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.protocol, IPPROTO_UDP);
	assert_int_equal(l.l4_offset, 14 + 40 + 8 + 16);
	assert_int_equal(l.source_port, htons(1000));
	d.bytes[IP_AT + 40] = IPPROTO_HOPOPTS; /* a second one: RFC 8200 4.1 */
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = DRAFT(udp6_extensions);
	d.bytes[IP_AT + 40 + 8 + 1] = 200; /* beyond the packet */
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = DRAFT(udp6_routing_done);
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.protocol, IPPROTO_UDP);
	d = DRAFT(udp6_routing);
	assert_int_equal(verdict(&d), DROP_UNSUPPORTED);
}

/* As many as allowed, and one more. */
static void test_ipv6_extensions_bounded(void **state)
{
	(void)state;
	for (unsigned count = IPV6_EXTENSIONS_MAX; count <= IPV6_EXTENSIONS_MAX + 1; count++) {
		struct draft d = DRAFT(udp6_routing_done);
		struct packet_layers l;

		d.bytes[IP_AT + 6] = IPPROTO_DSTOPTS;
		memset(d.bytes + IP_AT + 40, 0, 8 * count + 8);
		for (unsigned i = 0; i < count; i++)
			d.bytes[IP_AT + 40 + 8 * i] = i + 1 < count ? IPPROTO_DSTOPTS : IPPROTO_UDP;
		put_be16(d.bytes + IP_AT + 40 + 8 * count + 4, 8);
		put_be16(d.bytes + IP_AT + 4, (uint16_t)(8 * count + 8));
		d.size = IP_AT + 40 + 8 * count + 8;
		assert_int_equal(parse(&d, &l), count <= IPV6_EXTENSIONS_MAX ? DROP_NONE : DROP_MALFORMED);
	}
}

static void test_upper_layers_without_ports(void **state)
{
	static const uint8_t protocols[] = {IPPROTO_ESP, IPPROTO_AH, IPPROTO_NONE, IPPROTO_SCTP, IPPROTO_GRE};
	struct packet_layers l;

	(void)state;
	for (unsigned i = 0; i < sizeof(protocols); i++) {
		struct draft four = DRAFT(udp4), six = DRAFT(tcp6);

		four.bytes[IP_AT + 9] = six.bytes[IP_AT + 6] = protocols[i];
		mend_ipv4(&four);
		assert_int_equal(parse(&four, &l), DROP_NONE);
		assert_int_equal(l.protocol, protocols[i]);
		assert_int_equal(l.l4_header_bytes, 0);
		assert_int_equal(l.source_port, 0);
		assert_int_equal(parse(&six, &l), DROP_NONE);
		assert_int_equal(l.protocol, protocols[i]);
		assert_int_equal(l.l4_offset, 54);
	}
}

static void test_icmp(void **state)
{
	struct draft d = DRAFT(echo4);
	struct packet_layers l;

	(void)state;
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.icmp_type, 8);
	assert_int_equal(l.source_port, htons(0x77));
	assert_int_equal(l.destination_port, htons(0x77));
	assert_false(l.icmp_error);
	d = DRAFT(echo6);
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.icmp_type, 128);
	assert_int_equal(l.source_port, htons(0x77));
	d = DRAFT(error6_tcp);
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_true(l.icmp_error);
	assert_int_equal(l.icmp_code, 4);
	d = DRAFT(error4_udp);
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_true(l.icmp_error);
	assert_int_equal(l.source_port, 0);
	for (unsigned type = 0; type < 256; type++) {
		static const uint8_t errors[] = {3, 4, 5, 11, 12};

		d.bytes[34] = (uint8_t)type;
		assert_int_equal(parse(&d, &l), DROP_NONE);
		assert_int_equal(l.icmp_error, memchr(errors, (int)type, sizeof(errors)) != NULL);
	}
}

static void test_arp_and_others(void **state)
{
	struct draft d = DRAFT(arp);
	struct packet_layers l;

	(void)state;
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.family, 0);
	assert_int_equal(l.ethertype, ETHERTYPE_ARP);
	d.size--;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = DRAFT(arp);
	d.flags = PACKET_NEEDS_CSUM;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	put_be16(d.bytes + 12, 0x88cc);
	assert_int_equal(verdict(&d), DROP_ETHERTYPE);
	put_be16(d.bytes + 12, 46); /* an 802.3 length */
	assert_int_equal(verdict(&d), DROP_ETHERTYPE);
	d.size = 13;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
}

static void test_vlan(void **state)
{
	struct draft d = DRAFT(vlan);
	struct packet_layers l;

	(void)state;
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.l3_offset, 18);
	assert_int_equal(l.l4_offset, 38);
	assert_int_equal(l.family, 4);
	put_be16(d.bytes + 12, 0x88a8);
	assert_int_equal(parse(&d, &l), DROP_NONE);
	put_be16(d.bytes + 16, ETHERTYPE_VLAN); /* a second tag */
	assert_int_equal(verdict(&d), DROP_ETHERTYPE);
	d.size = 17;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
}

/* Cut anywhere, a frame is refused: its IP length says that more should be there. */
static void assert_cut_is_malformed(const uint8_t *bytes, uint32_t size)
{
	struct draft d = draft_of(bytes, size);

	assert_int_equal(verdict(&d), DROP_NONE);
	while (d.size-- > 0)
		assert_int_equal(verdict(&d), DROP_MALFORMED);
}

static void test_cut_short(void **state)
{
	(void)state;
	assert_cut_is_malformed(golden_tcp4, sizeof(golden_tcp4));
	assert_cut_is_malformed(golden_tcp6, sizeof(golden_tcp6));
	assert_cut_is_malformed(golden_udp4_options, sizeof(golden_udp4_options));
	assert_cut_is_malformed(golden_udp6_extensions, sizeof(golden_udp6_extensions));
	assert_cut_is_malformed(golden_echo6, sizeof(golden_echo6));
}

/* The frame is whole, but the head ends in the middle of the headers: nothing is read beyond it. */
static void test_head_too_short(void **state)
{
	static const struct {
		const uint8_t *bytes;
		uint32_t size, headers;
	} frames[] = {
		{golden_tcp4, sizeof(golden_tcp4), 66},
		{golden_tcp6, sizeof(golden_tcp6), 74},
		{golden_udp6_extensions, sizeof(golden_udp6_extensions), 86},
		{golden_echo4, sizeof(golden_echo4), 42},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct draft d = draft_of(frames[i].bytes, frames[i].size);

		for (d.head_bytes = 0; d.head_bytes < frames[i].headers; d.head_bytes++)
			assert_int_equal(verdict(&d), DROP_MALFORMED);
		assert_int_equal(verdict(&d), DROP_NONE);
	}
}

static void test_padding(void **state)
{
	struct draft d = DRAFT(udp4_no_checksum);
	struct packet_layers l;

	(void)state;
	d.size = 60;
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.ip_bytes, 29);
	d = DRAFT(tcp4);
	d.size += 100;
	d.head_bytes = d.size - 101; /* one byte of the packet is in the tail, and what is too much behind it */
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d.head_bytes = d.size - 100;
	assert_int_equal(verdict(&d), DROP_NONE);
}

static void test_ipv4_header(void **state)
{
	struct draft d = DRAFT(tcp4);

	(void)state;
	d.bytes[IP_AT + 10] ^= 1;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d.flags = PACKET_CSUM_VALID;
	assert_int_equal(verdict(&d), DROP_NONE);
	d.bytes[IP_AT] = 0x55;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d.bytes[IP_AT] = 0x44;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d.bytes[IP_AT] = 0x45;
	put_be16(d.bytes + IP_AT + 2, 19);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	put_be16(d.bytes + IP_AT + 2, 0);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = DRAFT(udp4_options); /* a sum over options too */
	d.bytes[IP_AT + 25] ^= 1;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
}

static void test_ipv6_header(void **state)
{
	static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 5};
	struct draft d = DRAFT(tcp6);

	(void)state;
	d.bytes[IP_AT] = 0x45;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = DRAFT(tcp6);
	memcpy(d.bytes + IP_AT + 8, mapped, 16);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = DRAFT(tcp6);
	memcpy(d.bytes + IP_AT + 24, mapped, 16);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = DRAFT(tcp6);
	put_be16(d.bytes + IP_AT + 4, 0); /* a jumbogram's length: none are carried */
	assert_int_equal(verdict(&d), DROP_MALFORMED);
}

static void test_upper_headers(void **state)
{
	struct draft d = DRAFT(tcp4);

	(void)state;
	d.bytes[34 + 12] = 0x40;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d.bytes[34 + 12] = 0xf0;
	put_be16(d.bytes + IP_AT + 2, 20 + 59);
	mend_ipv4(&d);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = DRAFT(udp4);
	put_be16(d.bytes + 34 + 4, 7);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	put_be16(d.bytes + 34 + 4, 69);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	put_be16(d.bytes + 34 + 4, 67); /* shorter than its packet: a surplus (RFC 768 allows it, and UDP options live there) */
	assert_int_equal(verdict(&d), DROP_NONE);
}

static void set_fragment(struct draft *d, uint16_t field)
{
	put_be16(d->bytes + IP_AT + 6, field);
	mend_ipv4(d);
}

static void test_fragments(void **state)
{
	enum { MORE = 0x2000 };
	struct draft d = DRAFT(udp4);
	struct packet_layers l;

	(void)state;
	d.size -= 4; /* 64 bytes of payload: whole units */
	put_be16(d.bytes + IP_AT + 2, 84);
	set_fragment(&d, MORE);
	assert_int_equal(parse(&d, &l), DROP_NONE); /* its UDP length points beyond */
	assert_int_equal(l.fragment, FRAGMENT_FIRST);
	assert_int_equal(l.source_port, htons(5353));
	set_fragment(&d, MORE | 1);
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.fragment, FRAGMENT_LATER);
	assert_int_equal(l.source_port, 0);
	assert_int_equal(l.fragment_id, htons(0x4321));
	set_fragment(&d, 8177); /* 8177 * 8 + 64 + 20 = 65500 */
	assert_int_equal(verdict(&d), DROP_NONE);
	set_fragment(&d, 8182);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	set_fragment(&d, MORE);
	d.flags = PACKET_NEEDS_CSUM;
	d.csum_start = 34;
	d.csum_offset = 6;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
}

static void test_fragments_that_hide(void **state)
{
	enum { MORE = 0x2000 };
	struct draft d = DRAFT(tcp4);

	(void)state;
	set_fragment(&d, 1);
	assert_int_equal(verdict(&d), DROP_MALFORMED); /* would overwrite the flags */
	set_fragment(&d, 2);
	assert_int_equal(verdict(&d), DROP_NONE);
	set_fragment(&d, MORE); /* 133 bytes: not whole units */
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d.size = 34 + 16;
	put_be16(d.bytes + IP_AT + 2, 36);
	set_fragment(&d, MORE); /* a TCP header cut in two */
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d.size = 34;
	put_be16(d.bytes + IP_AT + 2, 20);
	set_fragment(&d, MORE | 2); /* of nothing */
	assert_int_equal(verdict(&d), DROP_MALFORMED);
}

static void test_ipv6_fragments(void **state)
{
	struct draft d = DRAFT(fragment6_first);
	struct packet_layers l;

	(void)state;
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.fragment, FRAGMENT_FIRST);
	assert_int_equal(l.protocol, IPPROTO_UDP);
	assert_int_equal(l.l4_offset, 62);
	assert_int_equal(l.destination_port, htons(2));
	assert_int_equal(l.fragment_id, htonl(7));
	d.bytes[IP_AT + 40] = IPPROTO_FRAGMENT; /* one in another */
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = DRAFT(fragment6_later);
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.fragment, FRAGMENT_LATER);
	assert_int_equal(l.protocol, IPPROTO_UDP);
	assert_int_equal(l.l4_offset, 62);
	assert_int_equal(l.source_port, 0);
	d.bytes[IP_AT + 40] = IPPROTO_DSTOPTS; /* what follows is not a header */
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.l4_offset, 62);
	d = DRAFT(fragment6_atomic);
	assert_int_equal(parse(&d, &l), DROP_NONE);
	assert_int_equal(l.fragment, FRAGMENT_NONE);
	assert_int_equal(l.source_port, htons(1));
}

static struct draft gso_draft(const uint8_t *bytes, uint32_t size, uint8_t gso, uint16_t csum_start, uint16_t csum_offset)
{
	struct draft d = draft_of(bytes, size < FRAME_MAX ? size : FRAME_MAX);

	d.flags = PACKET_NEEDS_CSUM;
	d.gso = gso;
	d.gso_size = 100;
	d.csum_start = csum_start;
	d.csum_offset = csum_offset;
	return d;
}

static void test_gso(void **state)
{
	struct draft four = gso_draft(golden_tcp4, sizeof(golden_tcp4), PACKET_GSO_TCP4, 34, 16), d = four;
	struct draft six = gso_draft(golden_tcp6, sizeof(golden_tcp6), PACKET_GSO_TCP6, 54, 16);
	struct draft udp = gso_draft(golden_uso4, sizeof(golden_uso4), PACKET_GSO_UDP, 34, 6);

	(void)state;
	assert_int_equal(verdict(&four), DROP_NONE);
	assert_int_equal(verdict(&six), DROP_NONE);
	assert_int_equal(verdict(&udp), DROP_NONE);
	for (unsigned gso = PACKET_GSO_TCP6; gso <= PACKET_GSO_UDP + 1; gso++) {
		d.gso = (uint8_t)gso;
		assert_int_equal(verdict(&d), DROP_MALFORMED);
	}
	d = four;
	d.gso_size = 0;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = four;
	d.flags = 0;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = four;
	d.size++; /* a GSO frame has no padding */
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = six;
	d.gso = PACKET_GSO_TCP4;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = udp;
	put_be16(d.bytes + 34 + 4, (uint16_t)(get_be16(d.bytes + 38) - 1));
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = udp;
	d.gso = PACKET_GSO_TCP4;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
}

/* One frame does not become tens of thousands. */
static void test_gso_segments_bounded(void **state)
{
	enum { PAYLOAD = PACKET_SEGMENTS_MAX * 8 + 1, HEADERS = 66 };
	uint8_t *frame = calloc(1, HEADERS + PAYLOAD);
	struct rig_packet r;

	(void)state;
	assert_non_null(frame);
	memcpy(frame, golden_tcp4, HEADERS);
	put_be16(frame + IP_AT + 2, HEADERS - IP_AT + PAYLOAD);
	rig_packet_make(&r, frame, HEADERS + PAYLOAD, PACKET_HEAD_MIN_BYTES, 0);
	r.p.flags = PACKET_NEEDS_CSUM | PACKET_CSUM_VALID;
	r.p.gso = PACKET_GSO_TCP4;
	r.p.csum_start = 34;
	r.p.csum_offset = 16;
	r.p.gso_size = 9;
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	r.p.gso_size = 8;
	assert_int_equal(packet_parse(&r.p), DROP_MALFORMED);
	rig_packet_free(&r);
	free(frame);
}

static void test_checksum_offsets(void **state)
{
	struct draft tcp = gso_draft(golden_tcp4, sizeof(golden_tcp4), PACKET_GSO_NONE, 34, 16), d = tcp;

	(void)state;
	assert_int_equal(verdict(&d), DROP_NONE);
	d.csum_start = 33;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = tcp;
	d.csum_offset = 6;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = tcp;
	d.csum_start = 65000;
	assert_int_equal(verdict(&d), DROP_MALFORMED);
	d = gso_draft(golden_udp4, sizeof(golden_udp4), PACKET_GSO_NONE, 34, 6);
	assert_int_equal(verdict(&d), DROP_NONE);
	d = gso_draft(golden_echo4, sizeof(golden_echo4), PACKET_GSO_NONE, 34, 2);
	assert_int_equal(verdict(&d), DROP_MALFORMED);
}

static bool parse_embedded(const struct draft *d, struct packet_layers *out)
{
	struct rig_packet r;
	bool there;

	rig_packet_make(&r, d->bytes, d->size, d->head_bytes, 0);
	r.p.flags = d->flags;
	assert_int_equal(packet_parse(&r.p), DROP_NONE);
	assert_true(r.p.layers.icmp_error);
	there = packet_parse_embedded(&r.p, out);
	rig_packet_free(&r);
	return there;
}

static void test_embedded(void **state)
{
	struct draft d = DRAFT(error4_udp);
	struct packet_layers l;

	(void)state;
	assert_true(parse_embedded(&d, &l));
	assert_int_equal(l.protocol, IPPROTO_UDP);
	assert_int_equal(l.l3_offset, 42);
	assert_int_equal(l.l4_offset, 62);
	assert_int_equal(l.source_port, htons(5353));
	assert_addresses(&l, "10.0.0.5", "10.0.1.7");
	d = DRAFT(error4_tcp_short); /* 8 bytes of it */
	assert_true(parse_embedded(&d, &l));
	assert_int_equal(l.tcp_seq, 0xfffffff0);
	assert_int_equal(l.tcp_flags, 0);
	assert_int_equal(l.source_port, htons(40000));
	assert_int_equal(l.l4_header_bytes, 0);
	d = DRAFT(error4_echo);
	assert_true(parse_embedded(&d, &l));
	assert_int_equal(l.source_port, htons(0x77));
	d = DRAFT(error6_extensions);
	assert_true(parse_embedded(&d, &l));
	assert_int_equal(l.protocol, IPPROTO_UDP);
	assert_int_equal(l.destination_port, htons(2000));
	d = DRAFT(error6_tcp);
	assert_true(parse_embedded(&d, &l));
	assert_int_equal(l.destination_port, htons(443));
	assert_addresses(&l, "fd00::5", "fd00:1::7");
}

/* The outer packet ends earlier and earlier. */
static void test_embedded_cut_short(void **state)
{
	struct draft d = DRAFT(error4_tcp_short);
	struct packet_layers l;

	(void)state;
	d.flags = PACKET_CSUM_VALID;
	for (uint32_t quoted = 27;; quoted--) {
		put_be16(d.bytes + IP_AT + 2, (uint16_t)(28 + quoted));
		d.size = 42 + quoted;
		assert_false(parse_embedded(&d, &l));
		if (quoted == 0)
			break;
	}
	d = DRAFT(error4_udp);
	d.bytes[42 + 6] = 0;
	d.bytes[42 + 7] = 9; /* quotes a later fragment: no ports, but known */
	assert_true(parse_embedded(&d, &l));
	assert_int_equal(l.fragment, FRAGMENT_LATER);
	assert_int_equal(l.source_port, 0);
	d.bytes[42] = 0x65;
	assert_false(parse_embedded(&d, &l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp4),
		cmocka_unit_test(test_tcp6),
		cmocka_unit_test(test_udp_and_options),
		cmocka_unit_test(test_ipv6_extensions),
		cmocka_unit_test(test_ipv6_extensions_bounded),
		cmocka_unit_test(test_upper_layers_without_ports),
		cmocka_unit_test(test_icmp),
		cmocka_unit_test(test_arp_and_others),
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_head_too_short),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_ipv4_header),
		cmocka_unit_test(test_ipv6_header),
		cmocka_unit_test(test_upper_headers),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_fragments_that_hide),
		cmocka_unit_test(test_ipv6_fragments),
		cmocka_unit_test(test_gso),
		cmocka_unit_test(test_gso_segments_bounded),
		cmocka_unit_test(test_checksum_offsets),
		cmocka_unit_test(test_embedded),
		cmocka_unit_test(test_embedded_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
