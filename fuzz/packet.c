/*
 * A frame from a guest or a wire, through all that src/vpc does to bytes: parse -> decapsulate -> translate -> an ICMP error about
 * it -> encapsulate -> segment, into a sink whose frames are judged.
 *
 *	byte 0		packet flags (bits 0, 1), gso (2, 3), an honest partial checksum (4), encapsulation: none, VXLAN over IPv4,
 *			Geneve over IPv6 (5, 6)
 *	byte 1		bytes in the head (0: all)
 *	byte 2		bytes a part of the tail (0: one part)
 *	byte 3		offloads of the sink (bits 0-3), frames it has room for (4-7; 15: any number)
 *	byte 4		bytes of the largest frame it takes beyond 200, in units of 8
 *	bytes 5-6	be16 gso_size
 *	bytes 7-8	be16 csum_start
 *	byte 9		csum_offset
 *	the rest	the frame
 *
 * Held: nothing is read outside head and tail (each is an allocation of its own); a checksum that was right stays right, and one
 * that was wrong wrong; payload arrives whole and in order; no segment is larger than it may be; lengths in headers are the frame's.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test/unit/vpc/packet_rig.h"
#include "vpc/icmp_error.h"
#include "vpc/parse.h"
#include "vpc/rewrite.h"
#include "vpc/segment.h"
#include "vpc/tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	PREFIX_BYTES = 10,
	FRAME_MAX = 65535,
	HONEST = 0x10,
	ENCAPSULATION_SHIFT = 5,
	ROOM_ANY = 15,
	FRAME_BYTES_MIN = 200, /* so that a first fragment holds the largest headers */
};

static struct rig_sink sink;

static struct net_address address_of(const char *text)
{
	struct net_address a;
	int err = net_address_parse(text, &a);

	assert(err == 0);
	return a;
}

/* ---- what is known of a frame before it is changed ---- */

static bool upper_right(const struct packet *p)
{
	static uint8_t flat[FRAME_MAX];
	const struct packet_layers *l = &p->layers;
	const uint8_t *ip = flat + l->l3_offset;
	uint32_t upper_at = (uint32_t)l->l4_offset - l->l3_offset, sum;

	rig_packet_flatten(p, flat);
	if (l->protocol != IPPROTO_ICMP || l->family == 6)
		return rig_upper_right(ip, l->ip_bytes, upper_at, l->protocol);
	sum = rig_sum(0, ip + upper_at, l->ip_bytes - upper_at);
	return sum == 0xffff || sum == 0; /* a message of nothing but zeroes: the same number, in its other spelling */
}

/* One whose upper layer has a checksum that translation keeps, and that is complete. */
static bool has_checksum(const struct packet *p)
{
	const struct packet_layers *l = &p->layers;

	if (l->l4_header_bytes == 0 || l->fragment != FRAGMENT_NONE || (p->flags & PACKET_NEEDS_CSUM) != 0)
		return false;
	return l->protocol != IPPROTO_UDP || checksum_load(p->head + l->l4_offset + UDP_CHECKSUM_AT) != 0;
}

static void check_layers(const struct packet *p)
{
	const struct packet_layers *l = &p->layers;

	assert(l->l3_offset == ETHER_BYTES || l->l3_offset == ETHER_BYTES + VLAN_BYTES);
	assert((l->family == 0) == (l->ethertype == 0x0806));
	if (l->family == 0)
		return;
	assert(l->l4_offset >= l->l3_offset + (l->family == 4 ? IPV4_BYTES : IPV6_BYTES));
	assert(l->l4_offset + l->l4_header_bytes <= p->head_bytes);
	assert(l->l3_offset + l->ip_bytes <= packet_bytes(p));
	assert(l->l4_offset + l->l4_header_bytes <= l->l3_offset + l->ip_bytes);
	assert(net_address_is_v4(&l->source) == (l->family == 4));
	assert(l->protocol != IPPROTO_TCP || l->fragment == FRAGMENT_LATER || l->l4_header_bytes >= TCP_BYTES);
}

static bool cut_padding(struct packet *p)
{
	bool cut;

	check_layers(p);
	if (p->layers.family == 0)
		return false;
	cut = packet_cut(p, p->layers.l3_offset + p->layers.ip_bytes);
	assert(cut && packet_bytes(p) == p->layers.l3_offset + p->layers.ip_bytes);
	return true;
}

/* ---- steps ---- */

static bool take_in(struct packet *p, bool honest)
{
	struct tunnel_inner inner;
	const struct packet_layers *l = &p->layers;
	enum drop_reason drop = packet_parse(p);

	assert(drop == DROP_NONE || drop == DROP_MALFORMED || drop == DROP_ETHERTYPE || drop == DROP_UNSUPPORTED);
	if (drop != DROP_NONE || !cut_padding(p))
		return false;
	if (l->protocol == IPPROTO_UDP &&
	    (l->destination_port == htons(TUNNEL_VXLAN_PORT) || l->destination_port == htons(TUNNEL_GENEVE_PORT))) {
		if (tunnel_decapsulate(p, &inner) != DROP_NONE || !cut_padding(p))
			return false;
		assert(inner.vni <= 0xffffff && p->flags == 0 && p->gso == PACKET_GSO_NONE);
	}
	if (honest && (p->flags & PACKET_NEEDS_CSUM) != 0)
		checksum_store(p->head + p->csum_start + p->csum_offset,
			       checksum_pseudo(&l->source, &l->destination, l->protocol, packet_bytes(p) - l->l4_offset));
	return true;
}

static void translate(struct packet *p)
{
	struct packet_layers layers, embedded;
	const struct packet_layers *l = &p->layers;
	struct net_address address = address_of(l->family == 4 ? "203.0.113.9" : "2001:db8::9");
	bool checked = has_checksum(p), right = checked && upper_right(p), ip_right, lives = l->ttl > 1;

	ip_right = l->family == 6 || rig_ipv4_right(p->head + l->l3_offset);
	if (l->icmp_error && packet_parse_embedded(p, &embedded)) {
		packet_set_embedded_source(p, &address, htons(61000));
		packet_set_embedded_destination(p, &address, htons(443));
		if (packet_parse_embedded(p, &embedded))
			assert(net_address_equal(&embedded.source, &address) && net_address_equal(&embedded.destination, &address));
	}
	packet_set_source(p, &address, htons(61000));
	packet_set_destination(p, &address, htons(443));
	assert(packet_decrement_ttl(p) == lives);
	assert(!checked || upper_right(p) == right);
	assert(l->family == 6 || rig_ipv4_right(p->head + l->l3_offset) == ip_right);
	layers = *l;
	if (packet_parse(p) == DROP_NONE)
		assert(memcmp(&layers, l, sizeof(layers)) == 0);
	else /* only if its IP checksum was wrong, and is no longer said to be right */
		assert(!ip_right);
}

static void complain(const struct packet *about, uint8_t kind)
{
	struct net_address from = address_of(about->layers.family == 4 ? "10.0.0.1" : "fd00::1");
	uint8_t *buffer = malloc(PACKET_HEAD_BYTES);
	struct packet out = {.head = buffer + (kind & PACKET_HEADROOM_BYTES), .headroom_bytes = kind & PACKET_HEADROOM_BYTES};

	assert(buffer != NULL);
	if (icmp_error_build(&out, about, kind % 4, &from, 1400)) {
		assert(out.headroom_bytes + packet_bytes(&out) <= PACKET_HEAD_BYTES && out.tail_bytes == 0);
		assert(out.layers.icmp_error && upper_right(&out));
		assert(out.layers.family == 6 || rig_ipv4_right(out.head + ETHER_BYTES));
	}
	free(buffer);
}

static uint16_t encapsulate(struct packet *p, unsigned how)
{
	static const struct mac a = {{2, 0, 0, 0, 0, 1}}, b = {{2, 0, 0, 0, 0, 2}};
	struct net_address source = address_of(how == 1 ? "192.0.2.1" : "2001:db8::1");
	struct net_address destination = address_of(how == 1 ? "192.0.2.2" : "2001:db8::2");
	struct tunnel_template t;

	if (how != 1 && how != 2)
		return 0;
	tunnel_template_make(&t, how == 1 ? TUNNEL_VXLAN : TUNNEL_GENEVE, &a, &b, &source, &destination);
	tunnel_encapsulate(&t, 4096, p);
	return t.bytes;
}

/* ---- what came out ---- */

static void check_encapsulation(const struct rig_frame *f, uint16_t encapsulation_bytes)
{
	const uint8_t *ip = f->bytes + ETHER_BYTES;

	if (encapsulation_bytes == 0 || f->meta.gso != PACKET_GSO_NONE)
		return;
	if (encapsulation_bytes == TUNNEL_OUTER_V4_BYTES) {
		assert(rig_ipv4_right(ip));
		assert(get_be16(ip + 2) == f->size - ETHER_BYTES && get_be16(ip + 24) == f->size - ETHER_BYTES - IPV4_BYTES);
	} else {
		assert(get_be16(ip + 4) == f->size - ETHER_BYTES - IPV6_BYTES);
		assert(get_be16(ip + 44) == f->size - ETHER_BYTES - IPV6_BYTES);
	}
}

/* The inner frame is one that a parser takes, with its own lengths. */
static void check_inner(const struct rig_frame *f, uint16_t encapsulation_bytes, struct packet_layers *out)
{
	struct rig_packet r;
	enum drop_reason drop;

	rig_packet_make(&r, f->bytes + encapsulation_bytes, f->size - encapsulation_bytes, FRAME_MAX, 0);
	r.p.flags = f->meta.flags;
	r.p.csum_start = (uint16_t)(f->meta.csum_start - encapsulation_bytes);
	r.p.csum_offset = f->meta.csum_offset;
	drop = packet_parse(&r.p);
	assert(drop == DROP_NONE);
	assert(r.p.layers.l3_offset + r.p.layers.ip_bytes == packet_bytes(&r.p));
	*out = r.p.layers;
	rig_packet_free(&r);
}

/* The pieces' payload, one behind the other, is the whole's. */
static void check_pieces(const struct packet *whole, uint16_t encapsulation_bytes, struct segment_result result)
{
	static uint8_t flat[FRAME_MAX + TUNNEL_OUTER_V6_BYTES];
	const struct packet_layers *l = &whole->layers;
	bool fragments = whole->gso == PACKET_GSO_NONE;
	uint32_t header_bytes = l->l4_offset + (fragments ? 0u : l->l4_header_bytes), at = encapsulation_bytes + header_bytes;
	uint32_t size = rig_packet_flatten(whole, flat);

	for (unsigned i = 0; i < sink.count; i++) {
		const struct rig_frame *f = &sink.frames[i];
		struct packet_layers inner;

		check_encapsulation(f, encapsulation_bytes);
		check_inner(f, encapsulation_bytes, &inner);
		assert(f->size >= encapsulation_bytes + header_bytes);
		assert(fragments ? f->size <= sink.sink.frame_bytes_max
				 : f->size <= encapsulation_bytes + header_bytes + whole->gso_size);
		assert(memcmp(f->bytes + encapsulation_bytes + header_bytes, flat + at,
			      f->size - encapsulation_bytes - header_bytes) == 0);
		at += f->size - encapsulation_bytes - header_bytes;
		if (!fragments) {
			assert(inner.l4_header_bytes == l->l4_header_bytes && inner.protocol == l->protocol);
			assert((f->meta.flags & PACKET_NEEDS_CSUM) != 0 ||
			       rig_upper_right(f->bytes + encapsulation_bytes + l->l3_offset, inner.ip_bytes,
					       (uint32_t)l->l4_offset - l->l3_offset, l->protocol));
		}
	}
	assert(at <= size && (result.refused > 0) == (at < size || sink.count == 0));
	assert(sink.asked <= sink.count + 1);
}

static void put(struct packet *p, const uint8_t *data, uint16_t encapsulation_bytes)
{
	unsigned room = data[3] >> 4;
	struct segment_result result;
	bool partial = (p->flags & PACKET_NEEDS_CSUM) != 0, honest = (data[0] & HONEST) != 0;
	uint32_t whole_bytes = packet_bytes(p);

	rig_sink_reset(&sink, data[3] & 15, FRAME_BYTES_MIN + data[4] * 8u, room == ROOM_ANY ? RIG_SINK_FRAMES : room);
	result = segment_put(&sink.sink, p, encapsulation_bytes, 0);
	assert(result.put == sink.count && result.put + result.refused >= 1);
	if (sink.count == 1 && sink.frames[0].size == whole_bytes && sink.frames[0].meta.gso == p->gso) {
		struct packet inner = *p;

		check_encapsulation(&sink.frames[0], encapsulation_bytes);
		packet_pull(&inner, encapsulation_bytes);
		if (partial && (inner.flags & PACKET_NEEDS_CSUM) == 0 && honest)
			assert(upper_right(&inner));
	} else if (sink.asked > 0) {
		check_pieces(p, encapsulation_bytes, result);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig_packet r;
	uint32_t bytes;

	if (size < PREFIX_BYTES || size - PREFIX_BYTES > FRAME_MAX)
		return 0;
	bytes = (uint32_t)(size - PREFIX_BYTES);
	rig_packet_make(&r, data + PREFIX_BYTES, bytes, data[1] == 0 ? FRAME_MAX : data[1], data[2]);
	r.p.flags = data[0] & (PACKET_NEEDS_CSUM | PACKET_CSUM_VALID);
	r.p.gso = data[0] >> 2 & 3;
	r.p.gso_size = get_be16(data + 5);
	r.p.csum_start = get_be16(data + 7);
	r.p.csum_offset = data[9];
	if (take_in(&r.p, (data[0] & HONEST) != 0)) {
		translate(&r.p);
		complain(&r.p, data[4]);
		put(&r.p, data, encapsulate(&r.p, data[0] >> ENCAPSULATION_SHIFT & 3));
	}
	rig_packet_free(&r);
	return 0;
}
