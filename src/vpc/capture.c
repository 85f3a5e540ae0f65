/*
 * Captures: what an endpoint sends and is given, as pcapng (draft-ietf-opsawg-pcapng) in a ring of bytes that whoever started the
 * capture reads. Interface 0 is the guest's side of the card; interface 1, where drops were asked for, has each dropped frame with
 * the reason as its comment. A frame that finds no room is counted, and nothing is written in half.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "vpc/pipeline.h"

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	LINK_ETHERNET = 1,
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	OPTION_IF_NAME = 2,
	OPTION_IF_TSRESOL = 9,
	OPTION_PACKET_FLAGS = 2,
	FLAG_INBOUND = 1, /* as the guest sees it */
	FLAG_OUTBOUND = 2,
	PACKET_HEADER_BYTES = 28,
	OPTIONS_BYTES_MAX = 192,
	BUFFER_BYTES_MIN = 65536,
	SNAP_BYTES_MAX = 65535 + 64,
	IF_DROPS = 1,
};

struct capture {
	struct list link; /* of its endpoint */
	struct endpoint *endpoint;
	struct capture_config config;
	uint64_t lost;
	uint64_t head, tail; /* bytes ever written, read */
	uint8_t *ring;
};

/* ---- the ring ---- */

static void ring_write(struct capture *c, const void *data, size_t bytes)
{
	size_t at = (size_t)(c->head % c->config.buffer_bytes), whole = c->config.buffer_bytes - at;
	size_t first = bytes < whole ? bytes : whole;

	memcpy(c->ring + at, data, first);
	memcpy(c->ring, (const uint8_t *)data + first, bytes - first);
	c->head += bytes;
}

static size_t ring_room(const struct capture *c)
{
	return c->config.buffer_bytes - (size_t)(c->head - c->tail);
}

static uint32_t padded(uint32_t bytes)
{
	return (bytes + 3) & ~3u;
}

/* ---- blocks ---- */

struct options {
	uint8_t bytes[OPTIONS_BYTES_MAX];
	uint32_t used;
};

static void option_add(struct options *o, uint16_t code, const void *value, uint16_t bytes)
{
	if (o->used + 4 + padded(bytes) + 4 > sizeof(o->bytes))
		bytes = (uint16_t)(sizeof(o->bytes) - o->used - 8);
	memset(o->bytes + o->used, 0, 4 + padded(bytes));
	put_le16(o->bytes + o->used, code);
	put_le16(o->bytes + o->used + 2, bytes);
	memcpy(o->bytes + o->used + 4, value, bytes);
	o->used += 4 + padded(bytes);
}

static void options_end(struct options *o)
{
	put_le32(o->bytes + o->used, OPTION_END);
	o->used += 4;
}

static void write_interface(struct capture *c, const char *name)
{
	static const uint8_t nanoseconds = 9;
	struct options o = {.used = 0};
	uint8_t header[16], total[4];

	option_add(&o, OPTION_IF_NAME, name, (uint16_t)strlen(name));
	option_add(&o, OPTION_IF_TSRESOL, &nanoseconds, 1);
	options_end(&o);
	put_le32(header, BLOCK_INTERFACE);
	put_le32(header + 4, 16 + o.used + 4);
	put_le32(header + 8, LINK_ETHERNET);
	put_le32(header + 12, c->config.snap_bytes);
	put_le32(total, 16 + o.used + 4);
	ring_write(c, header, sizeof(header));
	ring_write(c, o.bytes, o.used);
	ring_write(c, total, sizeof(total));
}

static void write_section(struct capture *c)
{
	const char *name = c->endpoint->policy != NULL ? c->endpoint->policy->name : "eni";
	char drops[NET_NAME_SIZE + 16];
	uint8_t section[28];

	put_le32(section, BLOCK_SECTION);
	put_le32(section + 4, sizeof(section));
	put_le32(section + 8, BYTE_ORDER_MAGIC);
	put_le16(section + 12, 1); /* version 1.0 */
	put_le16(section + 14, 0);
	put_le64(section + 16, UINT64_MAX); /* length of the section: not known */
	put_le32(section + 24, sizeof(section));
	ring_write(c, section, sizeof(section));
	write_interface(c, name);
	snprintf(drops, sizeof(drops), "%s dropped", name);
	if (c->config.drops)
		write_interface(c, drops);
}

static void write_frame(struct capture *c, const struct packet *p, uint32_t bytes)
{
	uint32_t from_head = bytes < p->head_bytes ? bytes : p->head_bytes, left = bytes - from_head;

	ring_write(c, p->head, from_head);
	for (unsigned i = 0; i < p->tail_count && left > 0; i++) {
		size_t part = p->tail[i].iov_len < left ? p->tail[i].iov_len : left;

		ring_write(c, p->tail[i].iov_base, part);
		left -= (uint32_t)part;
	}
}

static void write_packet(struct capture *c, const struct packet *p, enum flow_direction direction, enum drop_reason reason)
{
	static const uint8_t zeroes[4];
	uint32_t bytes = packet_bytes(p), captured = bytes < c->config.snap_bytes ? bytes : c->config.snap_bytes, total;
	uint64_t ns = vpc_now_ns(c->endpoint->vpc) + c->endpoint->vpc->config.wall_clock_offset_ns;
	struct options o = {.used = 0};
	uint8_t header[PACKET_HEADER_BYTES], word[4];

	put_le32(word, direction == FLOW_OUT ? FLAG_OUTBOUND : FLAG_INBOUND);
	option_add(&o, OPTION_PACKET_FLAGS, word, sizeof(word));
	if (reason != DROP_NONE) {
		char comment[OPTIONS_BYTES_MAX / 2 + 32];
		int length = snprintf(comment, sizeof(comment), "dropped: %s", drop_sentence(reason));

		option_add(&o, OPTION_COMMENT, comment,
			   (uint16_t)(length < (int)sizeof(comment) ? length : (int)sizeof(comment) - 1));
	}
	options_end(&o);
	total = PACKET_HEADER_BYTES + padded(captured) + o.used + 4;
	if (ring_room(c) < total) {
		c->lost++;
		return;
	}
	put_le32(header, BLOCK_PACKET);
	put_le32(header + 4, total);
	put_le32(header + 8, reason != DROP_NONE ? IF_DROPS : 0);
	put_le32(header + 12, (uint32_t)(ns >> 32));
	put_le32(header + 16, (uint32_t)ns);
	put_le32(header + 20, captured);
	put_le32(header + 24, bytes);
	put_le32(word, total);
	ring_write(c, header, sizeof(header));
	write_frame(c, p, captured);
	ring_write(c, zeroes, padded(captured) - captured);
	ring_write(c, o.bytes, o.used);
	ring_write(c, word, sizeof(word));
}

/* ---- life ---- */

int vpc_capture_start(struct vpc *vpc, const struct capture_config *config, struct capture **out)
{
	struct endpoint *e = vpc_endpoint(vpc, config->slot);
	struct capture *c;

	if (e == NULL)
		return -ENOENT;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	c->config = *config;
	if (c->config.buffer_bytes < BUFFER_BYTES_MIN)
		c->config.buffer_bytes = BUFFER_BYTES_MIN;
	if (c->config.snap_bytes == 0 || c->config.snap_bytes > SNAP_BYTES_MAX)
		c->config.snap_bytes = SNAP_BYTES_MAX;
	c->ring = malloc(c->config.buffer_bytes);
	if (c->ring == NULL) {
		free(c);
		return -ENOMEM;
	}
	endpoint_refresh(e);
	c->endpoint = e;
	write_section(c);
	list_add_tail(&e->captures, &c->link);
	vpc->captures++;
	vpc->offload.round_tsc = 0; /* what a device carries of it comes back to us */
	*out = c;
	return 0;
}

void vpc_capture_stop(struct vpc *vpc, struct capture *capture)
{
	list_del(&capture->link);
	vpc->captures--;
	free(capture->ring);
	free(capture);
}

size_t vpc_capture_read(struct capture *c, void *data, size_t size, uint64_t *lost)
{
	size_t there = (size_t)(c->head - c->tail), bytes = there < size ? there : size;
	size_t at = (size_t)(c->tail % c->config.buffer_bytes), whole = c->config.buffer_bytes - at;
	size_t first = bytes < whole ? bytes : whole;

	memcpy(data, c->ring + at, first);
	memcpy((uint8_t *)data + first, c->ring, bytes - first);
	c->tail += bytes;
	*lost = c->lost;
	c->lost = 0;
	return bytes;
}

void capture_frame(struct endpoint *e, const struct packet *p, enum flow_direction direction, enum drop_reason reason)
{
	list_for_each_safe (it, after, &e->captures) {
		struct capture *c = list_entry(it, struct capture, link);

		if (reason == DROP_NONE || c->config.drops)
			write_packet(c, p, direction, reason);
	}
}
