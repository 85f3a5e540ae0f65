/*
 * Theory of operation. A frame is cut into pieces that share one copy of its headers: the copy is edited for a piece, the piece is
 * put, and since a sink has copied it when put() returns, the copy is edited again for the next. Payload is never copied: a piece's
 * tail are slices of the frame's own head and tail, which a cursor walks once.
 *
 *	frame	| encapsulation | Ethernet, IP, TCP/UDP | payload in the head | tail[0] | tail[1] ...
 *	piece	| the copy, edited -------------------- | slices of all that
 *
 * What differs between pieces of a GSO frame (TCP: RFC 9293 3.1, flags as RFC 3168 6.1.2 asks; UDP: a datagram each):
 *
 *	lengths, IPv4 identification (one more each), TCP sequence; FIN and PSH only in the last, CWR only in the first; checksums
 *
 * and of IPv4 fragments (RFC 791 3.2): length, offset, MF; options that are not copied are no-operations in all but the first.
 *
 * A sink that refuses one is not asked again for that frame: what is left of it is refused with it.
 */
#include "vpc/segment.h"

#include <assert.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include "base/codec.h"
#include "vpc/checksum.h"
#include "vpc/parse.h"
#include "vpc/rewrite.h"

enum {
	IPV4_MTU_MIN = 68, /* RFC 791 3.2 */
	FRAGMENT_UNIT = 8,
	TCP_SEQUENCE_AT = 4,
	TCP_FLAGS_AT = 13,
	TCP_FLAG_CWR = 0x80,
};

/* Where in the payload the next piece begins. */
struct cursor {
	const uint8_t *at;
	uint32_t left;		  /* at `at` */
	const struct iovec *next; /* what comes behind */
};

struct cutter {
	struct packet_sink *sink;
	const struct packet *whole;
	const struct packet_layers *layers;
	uint64_t now_tsc;
	uint32_t payload_left;
	uint16_t encapsulation_bytes;
	uint16_t identification; /* outer's and inner's of the whole: host order */
	uint16_t outer_identification;
	bool checksums; /* the sink does not complete them */
	struct cursor cursor;
	struct segment_result result;

	struct packet piece;
	struct iovec slices[PACKET_TAIL_MAX];
	uint8_t headers[PACKET_HEAD_BYTES];
};

/* ---- pieces ---- */

/* Headers are those of `whole` up to `header_bytes`. False: they are longer than what a head is sure to hold, or the frame is in too
 * many parts. */
static bool cutter_begin(struct cutter *c, struct packet_sink *sink, const struct packet *whole, uint16_t encapsulation_bytes,
			 uint32_t header_bytes, uint64_t now_tsc)
{
	const struct packet_layers *l = &whole->layers;

	/* A piece may be all of it: the rest of the head and every element. */
	if (header_bytes > sizeof(c->headers) || header_bytes > whole->head_bytes || whole->tail_count >= PACKET_TAIL_MAX)
		return false;
	c->sink = sink;
	c->whole = whole;
	c->layers = l;
	c->now_tsc = now_tsc;
	c->encapsulation_bytes = encapsulation_bytes;
	c->payload_left = encapsulation_bytes + l->l3_offset + l->ip_bytes - header_bytes;
	c->identification = l->family == 4 ? get_be16(whole->head + encapsulation_bytes + l->l3_offset + 4) : 0;
	c->outer_identification = encapsulation_bytes > 0 ? get_be16(whole->head + ETHER_BYTES + 4) : 0;
	c->checksums = (sink->offloads & SINK_CSUM) == 0;
	c->cursor = (struct cursor){whole->head + header_bytes, whole->head_bytes - header_bytes, whole->tail};
	c->result = (struct segment_result){0};
	memcpy(c->headers, whole->head, header_bytes);
	c->piece = *whole;
	c->piece.head = c->headers;
	c->piece.headroom_bytes = 0;
	c->piece.head_bytes = (uint16_t)header_bytes;
	c->piece.tail = c->slices;
	c->piece.gso = PACKET_GSO_NONE;
	c->piece.gso_size = 0;
	return true;
}

/* Takes the next `bytes` of payload as the piece's tail. Returns their sum, if anybody needs it. */
static uint16_t cutter_take(struct cutter *c, uint32_t bytes)
{
	struct cursor *from = &c->cursor;
	uint32_t done = 0, part;
	uint64_t sum = 0;

	c->piece.tail_count = 0;
	c->piece.tail_bytes = bytes;
	c->payload_left -= bytes;
	while (done < bytes) {
		if (from->left == 0) {
			assert(from->next < c->whole->tail + c->whole->tail_count);
			from->at = from->next->iov_base;
			from->left = (uint32_t)from->next->iov_len;
			from->next++;
			continue;
		}
		part = from->left < bytes - done ? from->left : bytes - done;
		c->slices[c->piece.tail_count++] = (struct iovec){(void *)from->at, part};
		if (c->checksums)
			sum += checksum_placed(checksum_of(from->at, part), done);
		from->at += part;
		from->left -= part;
		done += part;
	}
	return checksum_fold(sum);
}

static bool cutter_put(struct cutter *c)
{
	if (!c->sink->ops->put(c->sink, &c->piece, c->now_tsc))
		return false;
	c->result.put++;
	return true;
}

static void refuse_rest(struct cutter *c, uint32_t piece_bytes)
{
	c->result.refused += 1 + (c->payload_left + piece_bytes - 1) / piece_bytes;
}

/* ---- headers ---- */

static void ipv4_finish(uint8_t *ip, uint32_t header_bytes)
{
	checksum_store(ip + IPV4_CHECKSUM_AT, 0);
	checksum_store(ip + IPV4_CHECKSUM_AT, (uint16_t)~checksum_of(ip, header_bytes));
}

/* The outer headers around a piece, as tunnel_encapsulate() would make them. */
static void edit_encapsulation(struct cutter *c, uint32_t index)
{
	uint8_t *ip = c->headers + ETHER_BYTES;
	uint32_t ip_bytes = packet_bytes(&c->piece) - ETHER_BYTES;

	if (c->encapsulation_bytes == 0)
		return;
	if (ip[0] >> 4 == 4) {
		put_be16(ip + 2, (uint16_t)ip_bytes);
		put_be16(ip + 4, (uint16_t)(c->outer_identification + index));
		ipv4_finish(ip, IPV4_BYTES);
		put_be16(ip + IPV4_BYTES + 4, (uint16_t)(ip_bytes - IPV4_BYTES));
	} else {
		put_be16(ip + 4, (uint16_t)(ip_bytes - IPV6_BYTES));
		put_be16(ip + IPV6_BYTES + 4, (uint16_t)(ip_bytes - IPV6_BYTES));
	}
}

static void edit_ip(struct cutter *c, uint32_t index)
{
	const struct packet_layers *l = c->layers;
	uint8_t *ip = c->headers + c->encapsulation_bytes + l->l3_offset;
	uint32_t ip_bytes = packet_bytes(&c->piece) - c->encapsulation_bytes - l->l3_offset;

	c->piece.layers.ip_bytes = ip_bytes;
	if (l->family == 4) {
		put_be16(ip + 2, (uint16_t)ip_bytes);
		put_be16(ip + 4, (uint16_t)(c->identification + index));
		ipv4_finish(ip, (uint32_t)l->l4_offset - l->l3_offset);
	} else {
		put_be16(ip + 4, (uint16_t)(ip_bytes - IPV6_BYTES));
	}
}

static void edit_tcp(struct cutter *c, uint8_t *tcp, uint32_t index, bool last)
{
	uint8_t flags = c->layers->tcp_flags;

	if (!last)
		flags &= (uint8_t) ~(TH_FIN | TH_PUSH);
	if (index > 0)
		flags &= (uint8_t)~TCP_FLAG_CWR;
	c->piece.layers.tcp_seq = c->layers->tcp_seq + index * c->whole->gso_size;
	c->piece.layers.tcp_flags = flags;
	put_be32(tcp + TCP_SEQUENCE_AT, c->piece.layers.tcp_seq);
	tcp[TCP_FLAGS_AT] = flags;
}

/* Completely, or for the sink to complete. */
static void edit_checksum(struct cutter *c, uint8_t *upper, uint32_t field_at, uint16_t payload_sum)
{
	const struct packet_layers *l = c->layers;
	uint32_t upper_bytes = l->l4_header_bytes + c->piece.tail_bytes;
	uint64_t sum = checksum_pseudo(&l->source, &l->destination, l->protocol, upper_bytes);
	uint16_t complete;

	if (!c->checksums) {
		checksum_store(upper + field_at, (uint16_t)sum);
		c->piece.flags |= PACKET_NEEDS_CSUM;
		c->piece.csum_start = (uint16_t)(c->encapsulation_bytes + l->l4_offset);
		c->piece.csum_offset = (uint16_t)field_at;
		return;
	}
	checksum_store(upper + field_at, 0);
	complete = (uint16_t)~checksum_fold(sum + checksum_of(upper, l->l4_header_bytes) + payload_sum);
	checksum_store(upper + field_at, complete != 0 ? complete : UINT16_MAX);
	c->piece.flags = (uint8_t)(c->piece.flags & ~PACKET_NEEDS_CSUM);
}

/* ---- GSO ---- */

static bool sink_takes(const struct packet_sink *sink, const struct packet *p)
{
	static const uint32_t needed[] = {
		[PACKET_GSO_TCP4] = SINK_CSUM | SINK_TSO4,
		[PACKET_GSO_TCP6] = SINK_CSUM | SINK_TSO6,
		[PACKET_GSO_UDP] = SINK_CSUM | SINK_USO,
	};

	return (sink->offloads & needed[p->gso]) == needed[p->gso];
}

static struct segment_result gso_put(struct packet_sink *sink, const struct packet *p, uint16_t encapsulation_bytes,
				     uint64_t now_tsc)
{
	const struct packet_layers *l = &p->layers;
	uint32_t upper_at = (uint32_t)encapsulation_bytes + l->l4_offset, index = 0;
	bool tcp = l->protocol == IPPROTO_TCP;
	struct cutter c;
	uint8_t *upper;

	if (!cutter_begin(&c, sink, p, encapsulation_bytes, upper_at + l->l4_header_bytes, now_tsc))
		return (struct segment_result){.refused = 1};
	upper = c.headers + upper_at;
	do {
		bool last = c.payload_left <= p->gso_size;
		uint16_t payload_sum = cutter_take(&c, last ? c.payload_left : p->gso_size);

		edit_encapsulation(&c, index);
		edit_ip(&c, index);
		if (tcp)
			edit_tcp(&c, upper, index, last);
		else
			put_be16(upper + 4, (uint16_t)(UDP_BYTES + c.piece.tail_bytes));
		edit_checksum(&c, upper, tcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT, payload_sum);
		if (!cutter_put(&c)) {
			refuse_rest(&c, p->gso_size);
			break;
		}
		index++;
	} while (c.payload_left > 0);
	return c.result;
}

/* ---- fragments ---- */

/* RFC 791 3.1: only options with the copied flag belong in later fragments. The parser has seen that each ends inside. */
static void blank_uncopied_options(uint8_t *options, uint32_t bytes)
{
	for (uint32_t at = 0; at < bytes && options[at] != IPOPT_EOL;) {
		uint32_t length = options[at] == IPOPT_NOP ? 1 : options[at + 1];

		if (!IPOPT_COPIED(options[at]))
			memset(options + at, IPOPT_NOP, length);
		at += length;
	}
}

static void edit_fragment(struct cutter *c, uint8_t *ip, uint32_t header_bytes, uint32_t offset, bool more)
{
	uint32_t ip_bytes = header_bytes + c->piece.tail_bytes;

	put_be16(ip + 2, (uint16_t)ip_bytes);
	put_be16(ip + 6, (uint16_t)(offset / FRAGMENT_UNIT | (more ? IP_MF : 0)));
	ipv4_finish(ip, header_bytes);
	c->piece.layers.ip_bytes = ip_bytes;
	c->piece.layers.fragment = offset > 0 ? FRAGMENT_LATER : FRAGMENT_FIRST;
}

struct segment_result fragment_put(struct packet_sink *sink, struct packet *p, uint16_t encapsulation_bytes, uint32_t mtu,
				   uint64_t now_tsc)
{
	const struct packet_layers *l = &p->layers;
	uint32_t ip_at = (uint32_t)encapsulation_bytes + l->l3_offset, header_bytes = (uint32_t)l->l4_offset - l->l3_offset;
	uint32_t piece_bytes, offset, index = 0;
	bool more_after;
	struct cutter c;
	uint8_t *ip;

	if (l->family != 4 || l->dont_fragment || p->gso != PACKET_GSO_NONE || mtu < IPV4_MTU_MIN)
		return (struct segment_result){.refused = 1};
	packet_checksum_complete(p); /* nobody could once it is cut */
	if (!cutter_begin(&c, sink, p, encapsulation_bytes, ip_at + header_bytes, now_tsc))
		return (struct segment_result){.refused = 1};
	c.checksums = false;
	ip = c.headers + ip_at;
	offset = (get_be16(ip + 6) & IP_OFFMASK) * FRAGMENT_UNIT; /* it may be a fragment already */
	more_after = (get_be16(ip + 6) & IP_MF) != 0;
	piece_bytes = (mtu - header_bytes) / FRAGMENT_UNIT * FRAGMENT_UNIT;
	do {
		bool last = header_bytes + c.payload_left <= mtu;

		cutter_take(&c, last ? c.payload_left : piece_bytes);
		edit_fragment(&c, ip, header_bytes, offset, !last || more_after);
		edit_encapsulation(&c, index);
		if (!cutter_put(&c)) {
			refuse_rest(&c, piece_bytes);
			break;
		}
		if (index++ == 0)
			blank_uncopied_options(ip + IPV4_BYTES, header_bytes - IPV4_BYTES);
		offset += c.piece.tail_bytes;
	} while (c.payload_left > 0);
	return c.result;
}

/* ---- any frame ---- */

struct segment_result segment_put(struct packet_sink *sink, struct packet *p, uint16_t encapsulation_bytes, uint64_t now_tsc)
{
	const struct packet_layers *l = &p->layers;

	if (p->gso != PACKET_GSO_NONE && !sink_takes(sink, p))
		return gso_put(sink, p, encapsulation_bytes, now_tsc);
	if (p->gso == PACKET_GSO_NONE && packet_bytes(p) > sink->frame_bytes_max) {
		uint32_t around = (uint32_t)encapsulation_bytes + l->l3_offset;

		if (sink->frame_bytes_max < around)
			return (struct segment_result){.refused = 1};
		return fragment_put(sink, p, encapsulation_bytes, sink->frame_bytes_max - around, now_tsc);
	}
	if ((sink->offloads & SINK_CSUM) == 0)
		packet_checksum_complete(p);
	if (!sink->ops->put(sink, p, now_tsc))
		return (struct segment_result){.refused = 1};
	return (struct segment_result){.put = 1};
}

uint32_t packet_ip_bytes_max(const struct packet *p)
{
	const struct packet_layers *l = &p->layers;
	uint32_t segment_bytes = (uint32_t)l->l4_offset - l->l3_offset + l->l4_header_bytes + p->gso_size;

	if (p->gso == PACKET_GSO_NONE || segment_bytes > l->ip_bytes)
		return l->ip_bytes;
	return segment_bytes;
}
