/*
 * A frame from a guest to what the card answers itself.
 *
 *	byte 0		flags: which facts (no IPv6, no IPv4), a split into head and tail
 *	the rest	the frame
 *
 * Every answer must be a frame that our own parser takes, of right checksums, not longer than its buffer.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "vpc/parse.h"
#include "vpc/responder.h"
#include "vpc/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLAG_NO_V6 = 1, FLAG_NO_V4 = 2, FLAG_SPLIT = 4, FRAME_MAX = 2048 };

static bool neighbour(void *context, const struct net_address *address, struct mac *mac)
{
	(void)context;
	*mac = (struct mac){{2, 0, 0, 0, 0, address->bytes[15]}};
	return address->bytes[15] % 2 == 0;
}

static bool resolve(void *context, const char *name, uint8_t family, struct net_address *out)
{
	(void)context;
	assert(strlen(name) < 64);
	*out = net_address_v4(htonl(0x0a000105));
	return strcmp(name, "web") == 0 && family == 4;
}

static bool reverse(void *context, const struct net_address *address, char name[64])
{
	(void)context;
	memset(name, 'n', 63);
	name[63] = '\0';
	return address->bytes[15] == 5;
}

static void set_facts(struct responder_facts *f, struct net_address addresses[2], uint8_t flags)
{
	*f = (struct responder_facts){
		.mac = {{2, 0, 0, 0, 0, 5}},
		.gateway_mac = {{0x0e, 0, 0, 0, 0, 1}},
		.addresses = addresses,
		.mtu = 1450,
		.name = "web",
		.instance_id = "3f1c0000-0000-4000-8000-000000000001",
		.domain = "internal",
		.neighbour = neighbour,
		.resolve = resolve,
		.reverse = reverse,
		.cookie_key = {1, 2},
	};
	if ((flags & FLAG_NO_V4) == 0) {
		net_prefix_parse("10.0.1.0/24", &f->subnet4);
		net_prefix_parse("10.0.0.0/16", &f->vpc4);
		f->gateway4 = net_prefix_nth(&f->subnet4, 1);
		net_address_parse("10.0.1.5", &addresses[f->address_count++]);
	}
	if ((flags & FLAG_NO_V6) == 0) {
		net_prefix_parse("fd00:1::/64", &f->subnet6);
		f->gateway6 = net_prefix_nth(&f->subnet6, 1);
		net_address_parse("fd00:1::5", &addresses[f->address_count++]);
	}
}

static void check_answer(struct packet *out)
{
	struct packet_layers *l = &out->layers;
	uint32_t bytes;
	uint16_t sum;

	assert(out->head_bytes >= 42 && out->tail_bytes == 0);
	out->flags = 0; /* the parser checks what it is not told to be good */
	assert(packet_parse(out) == DROP_NONE);
	if (l->family == 0)
		return;
	assert(l->l3_offset + l->ip_bytes == out->head_bytes);
	bytes = out->head_bytes - l->l4_offset;
	sum = checksum_of(out->head + l->l4_offset, bytes);
	if (l->protocol != IPPROTO_ICMP) {
		uint32_t both = (uint32_t)sum + checksum_pseudo(&l->source, &l->destination, l->protocol, bytes);

		sum = (uint16_t)((both & 0xffff) + (both >> 16));
	}
	assert(sum == 0xffff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *buffer, *head, *tail, answer[RESPONDER_BUFFER_BYTES];
	struct packet out = {.head = answer + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};
	struct net_address addresses[2];
	struct responder_facts facts;
	struct packet p = {0};
	struct iovec iov;

	if (size < 15 || size > FRAME_MAX)
		return 0;
	set_facts(&facts, addresses, data[0]);
	p.head_bytes = (uint16_t)(size - 1);
	if ((data[0] & FLAG_SPLIT) != 0 && p.head_bytes > PACKET_HEAD_MIN_BYTES)
		p.head_bytes = PACKET_HEAD_MIN_BYTES;
	p.tail_bytes = (uint32_t)(size - 1 - p.head_bytes);
	/* Allocations of their own: a byte too far is seen. */
	buffer = malloc(PACKET_HEADROOM_BYTES + p.head_bytes);
	tail = malloc(p.tail_bytes + 1);
	assert(buffer != NULL && tail != NULL);
	head = buffer + PACKET_HEADROOM_BYTES;
	memcpy(head, data + 1, p.head_bytes);
	memcpy(tail, data + 1 + p.head_bytes, p.tail_bytes);
	p.head = head;
	p.headroom_bytes = PACKET_HEADROOM_BYTES;
	iov = (struct iovec){tail, p.tail_bytes};
	p.tail = &iov;
	p.tail_count = p.tail_bytes > 0;
	if (packet_parse(&p) == DROP_NONE && responder_answer(&facts, &p, 1, &out) == RESPONDER_ANSWER)
		check_answer(&out);
	free(tail);
	free(buffer);
	return 0;
}
