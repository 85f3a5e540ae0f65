/* Headers around an answer (responder_internal.h). */
#include <netinet/in.h>
#include <string.h>

#include "vpc/responder_internal.h"
#include "vpc/rewrite.h"

struct answer_to answer_back(const struct asked *a)
{
	struct answer_to to = {
		.source = a->layers->destination,
		.destination = a->layers->source,
		.source_port = a->layers->destination_port,
		.destination_port = a->layers->source_port,
		.hops = ANSWER_HOPS,
	};

	memcpy(to.mac.bytes, a->frame + 6, sizeof(to.mac.bytes));
	return to;
}

uint8_t *answer_payload(struct packet *out)
{
	return out->head + ANSWER_HEADERS_MAX_BYTES;
}

static void put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value)
{
	put16(to, (uint16_t)(value >> 16));
	put16(to + 2, (uint16_t)value);
}

/* Memory-order sums (rewrite.h) of two pieces that begin at even offsets, as the checksum field takes it. */
static void put_checksum(uint8_t *field, uint16_t a, uint16_t b)
{
	uint32_t sum = (uint32_t)a + b;
	uint16_t folded = (uint16_t) ~((sum & 0xffff) + (sum >> 16));

	memcpy(field, &folded, sizeof(folded));
}

static void put_ipv4(uint8_t *ip, const struct answer_to *to, uint8_t protocol, uint32_t l4_bytes)
{
	memset(ip, 0, IPV4_BYTES);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(IPV4_BYTES + l4_bytes));
	ip[6] = 0x40; /* DF: it fits */
	ip[8] = to->hops;
	ip[9] = protocol;
	memcpy(ip + 12, &to->source.word[3], 4);
	memcpy(ip + 16, &to->destination.word[3], 4);
	put_checksum(ip + 10, checksum_of(ip, IPV4_BYTES), 0);
}

static void put_ipv6(uint8_t *ip, const struct answer_to *to, uint8_t protocol, uint32_t l4_bytes)
{
	memset(ip, 0, IPV6_BYTES);
	ip[0] = 0x60;
	put16(ip + 4, (uint16_t)l4_bytes);
	ip[6] = protocol;
	ip[7] = to->hops;
	memcpy(ip + 8, to->source.bytes, 16);
	memcpy(ip + 24, to->destination.bytes, 16);
}

/* `l4` lies where its header begins, payload behind it; Ethernet and IP go before it. `checksum`: its field. */
static void finish(const struct asked *a, const struct answer_to *to, struct packet *out, uint8_t *l4, uint32_t l4_bytes,
		   uint8_t protocol, uint8_t *checksum)
{
	bool v4 = net_address_is_v4(&to->destination);
	uint8_t *ip = l4 - (v4 ? IPV4_BYTES : IPV6_BYTES), *ether = ip - ETHER_BYTES;
	uint16_t moved = (uint16_t)(ether - out->head);

	put16(checksum, 0);
	put_checksum(checksum, checksum_of(l4, l4_bytes),
		     protocol == IPPROTO_ICMP ? 0 : checksum_pseudo(&to->source, &to->destination, protocol, l4_bytes));
	if (protocol == IPPROTO_UDP && checksum[0] == 0 && checksum[1] == 0)
		put16(checksum, 0xffff); /* RFC 768: zero would mean none */
	if (v4)
		put_ipv4(ip, to, protocol, l4_bytes);
	else
		put_ipv6(ip, to, protocol, l4_bytes);
	memcpy(ether, to->mac.bytes, 6);
	memcpy(ether + 6, a->facts->gateway_mac.bytes, 6);
	put16(ether + 12, v4 ? 0x0800 : 0x86dd);
	out->head += moved;
	out->headroom_bytes = (uint16_t)(out->headroom_bytes + moved);
	out->head_bytes = (uint16_t)(l4 - ether + l4_bytes);
	out->tail_bytes = 0;
	out->tail_count = 0;
	out->flags = PACKET_CSUM_VALID;
	out->gso = PACKET_GSO_NONE;
}

void answer_udp(const struct asked *a, const struct answer_to *to, struct packet *out, uint32_t payload_bytes)
{
	uint8_t *udp = answer_payload(out) - UDP_BYTES;

	memcpy(udp, &to->source_port, 2);
	memcpy(udp + 2, &to->destination_port, 2);
	put16(udp + 4, (uint16_t)(UDP_BYTES + payload_bytes));
	finish(a, to, out, udp, UDP_BYTES + payload_bytes, IPPROTO_UDP, udp + 6);
}

void answer_tcp(const struct asked *a, const struct answer_to *to, struct packet *out, const struct answer_tcp *t,
		uint32_t payload_bytes)
{
	uint32_t options = t->mss != 0 ? 4 : 0;
	uint8_t *tcp = answer_payload(out) - TCP_BYTES;

	if (options != 0) { /* only before data that is none: a SYN */
		uint8_t *option = tcp + TCP_BYTES;

		option[0] = 2;
		option[1] = 4;
		put16(option + 2, t->mss);
	}
	memset(tcp, 0, TCP_BYTES);
	memcpy(tcp, &to->source_port, 2);
	memcpy(tcp + 2, &to->destination_port, 2);
	put32(tcp + 4, t->seq);
	put32(tcp + 8, t->ack);
	tcp[12] = (uint8_t)((TCP_BYTES + options) / 4 << 4);
	tcp[13] = t->flags;
	put16(tcp + 14, 65535);
	finish(a, to, out, tcp, TCP_BYTES + options + payload_bytes, IPPROTO_TCP, tcp + 16);
}

void answer_icmp(const struct asked *a, const struct answer_to *to, struct packet *out, uint32_t payload_bytes)
{
	uint8_t *icmp = answer_payload(out);

	finish(a, to, out, icmp, payload_bytes, a->layers->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, icmp + 2);
}

#define ROTATE(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

static void sip_rounds(uint64_t v[4], unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		v[0] += v[1];
		v[1] = ROTATE(v[1], 13) ^ v[0];
		v[0] = ROTATE(v[0], 32);
		v[2] += v[3];
		v[3] = ROTATE(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = ROTATE(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = ROTATE(v[1], 17) ^ v[2];
		v[2] = ROTATE(v[2], 32);
	}
}

uint64_t responder_hash(const uint64_t key[2], uint64_t a, uint64_t b)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
			 key[1] ^ 0x7465646279746573u};
	const uint64_t words[3] = {a, b, UINT64_C(16) << 56};

	for (unsigned i = 0; i < 3; i++) {
		v[3] ^= words[i];
		sip_rounds(v, 2);
		v[0] ^= words[i];
	}
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
