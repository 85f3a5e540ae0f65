#include "card/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/account.h"
#include "card/tap_opener.h"
#include "virtio/virtio_net_proto.h"

enum { FRAME_MIN_BYTES = 14, TAIL_BYTES = PACKET_FRAME_MAX_BYTES + 1 - PACKET_HEAD_MIN_BYTES };

/* One frame: its header, its head with room before it, and its tail. */
struct slot {
	struct virtio_net_header header;
	struct packet packet;
	struct iovec tail;
	uint8_t head[PACKET_HEAD_BYTES];
	uint8_t rest[TAIL_BYTES]; /* pages that no frame reached are not there */
};

struct tap_room {
	struct slot slots[PACKET_BATCH_MAX];
};

int tap_room_create(struct tap_room **out)
{
	*out = malloc(sizeof(**out));
	return *out == NULL ? -ENOMEM : 0;
}

void tap_room_free(struct tap_room *room)
{
	free(room);
}

#define COUNT(field, n) ACCOUNT_SET(field, (field) + (n))

/* ---- from the namespace ---- */

/* enum packet_gso; -1: there is no such type. */
static int gso_of(uint8_t type)
{
	switch (type & ~VNET_GSO_ECN) {
	case VNET_GSO_NONE:
		return PACKET_GSO_NONE;
	case VNET_GSO_TCPV4:
		return PACKET_GSO_TCP4;
	case VNET_GSO_TCPV6:
		return PACKET_GSO_TCP6;
	case VNET_GSO_UDP_L4:
		return PACKET_GSO_UDP;
	default:
		return -1;
	}
}

static bool judge(const struct virtio_net_header *h, struct packet *p)
{
	int gso = gso_of(h->gso_type);

	if ((h->flags & VNET_HEADER_NEEDS_CSUM) != 0) {
		if ((uint32_t)h->csum_start + h->csum_offset + 2 > packet_bytes(p))
			return false;
		p->flags = PACKET_NEEDS_CSUM;
		p->csum_start = h->csum_start;
		p->csum_offset = h->csum_offset;
	} else if ((h->flags & VNET_HEADER_DATA_VALID) != 0) {
		p->flags = PACKET_CSUM_VALID;
	}
	if (gso < 0 || (gso != PACKET_GSO_NONE && (h->gso_size == 0 || p->flags != PACKET_NEEDS_CSUM)))
		return false;
	p->gso = (uint8_t)gso;
	p->gso_size = gso == PACKET_GSO_NONE ? 0 : h->gso_size;
	return true;
}

/* The packet of a frame that was read into the slot; NULL: malformed. */
static struct packet *packet_of(struct slot *s, uint32_t frame_bytes)
{
	struct packet *p = &s->packet;

	if (frame_bytes < FRAME_MIN_BYTES || frame_bytes > PACKET_FRAME_MAX_BYTES)
		return NULL;
	memset(p, 0, offsetof(struct packet, layers));
	p->head = s->head + PACKET_HEADROOM_BYTES;
	p->headroom_bytes = PACKET_HEADROOM_BYTES;
	p->head_bytes = (uint16_t)(frame_bytes < PACKET_HEAD_MIN_BYTES ? frame_bytes : PACKET_HEAD_MIN_BYTES);
	p->tail_bytes = frame_bytes - p->head_bytes;
	s->tail = (struct iovec){.iov_base = s->rest, .iov_len = p->tail_bytes};
	p->tail = &s->tail;
	p->tail_count = p->tail_bytes > 0;
	return judge(&s->header, p) ? p : NULL;
}

static ssize_t read_frame(int fd, struct slot *s)
{
	struct iovec iov[] = {{&s->header, sizeof(s->header)},
			      {s->head + PACKET_HEADROOM_BYTES, PACKET_HEAD_MIN_BYTES},
			      {s->rest, sizeof(s->rest)}};

	return readv(fd, iov, 3);
}

static struct visit visit(struct source *source, uint64_t now_tsc)
{
	struct tap *t = container_of(source, struct tap, source);
	struct packet *packets[PACKET_BATCH_MAX];
	unsigned taken, count = 0;
	uint64_t bytes = 0, good_bytes = 0, segments = 0;

	for (taken = 0; taken < PACKET_BATCH_MAX && bytes < TAP_VISIT_BYTES_MAX && segments < TAP_VISIT_SEGMENTS_MAX; taken++) {
		struct slot *s = &t->room->slots[count];
		ssize_t length = read_frame(t->fd, s);

		if (length < 0) {
			if (errno != EAGAIN && errno != EINTR)
				source_broken(source, "the interface is gone, or its namespace");
			break;
		}
		bytes += (uint64_t)length;
		packets[count] = length < TAP_HEADER_BYTES ? NULL : packet_of(s, (uint32_t)length - TAP_HEADER_BYTES);
		if (packets[count] == NULL) {
			COUNT(t->counters.malformed, 1);
			continue;
		}
		good_bytes += packet_bytes(packets[count]);
		segments +=
			packets[count]->gso == PACKET_GSO_NONE ? 1 : packet_bytes(packets[count]) / packets[count]->gso_size + 1;
		count++;
	}
	COUNT(t->counters.packets_in, count);
	COUNT(t->counters.bytes_in, good_bytes);
	if (count > 0)
		t->input->receive(t->input, packets, count, now_tsc);
	return (struct visit){.started = taken,
			      .more = taken == PACKET_BATCH_MAX || bytes >= TAP_VISIT_BYTES_MAX ||
				      segments >= TAP_VISIT_SEGMENTS_MAX};
}

static const struct source_ops source_ops = {.visit = visit};

/* ---- to the namespace ---- */

/* Headers of a GSO frame, which the kernel keeps in one piece. */
static uint16_t header_bytes(const struct packet *p)
{
	unsigned at = p->csum_start;

	if (p->gso == PACKET_GSO_UDP)
		return (uint16_t)(at + 8);
	return (uint16_t)(at + (at + 13 <= p->head_bytes ? (p->head[at + 12] >> 4) * 4u : 20));
}

static struct virtio_net_header header_for(const struct packet *p)
{
	static const uint8_t types[] = {VNET_GSO_NONE, VNET_GSO_TCPV4, VNET_GSO_TCPV6, VNET_GSO_UDP_L4};
	struct virtio_net_header h = {.gso_type = types[p->gso]};

	if ((p->flags & PACKET_NEEDS_CSUM) != 0) {
		h.flags = VNET_HEADER_NEEDS_CSUM;
		h.csum_start = p->csum_start;
		h.csum_offset = p->csum_offset;
	} else if ((p->flags & PACKET_CSUM_VALID) != 0) {
		h.flags = VNET_HEADER_DATA_VALID;
	}
	if (p->gso != PACKET_GSO_NONE) {
		h.gso_size = p->gso_size;
		h.hdr_len = header_bytes(p);
		if (p->gso != PACKET_GSO_UDP && p->csum_start + 14u <= p->head_bytes && (p->head[p->csum_start + 13] & 0x80) != 0)
			h.gso_type |= VNET_GSO_ECN; /* CWR is for the first segment only */
	}
	return h;
}

static bool put(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc)
{
	struct tap *t = container_of(sink, struct tap, sink);
	struct virtio_net_header h = header_for(p);
	struct iovec iov[2 + PACKET_TAIL_MAX] = {{&h, sizeof(h)}, {p->head, p->head_bytes}};
	ssize_t written;

	(void)now_tsc;
	if (p->tail_count > 0)
		memcpy(&iov[2], p->tail, p->tail_count * sizeof(iov[0]));
	written = writev(t->fd, iov, 2 + p->tail_count);
	if (written != (ssize_t)(sizeof(h) + packet_bytes(p))) {
		COUNT(t->counters.refused, 1);
		return false;
	}
	COUNT(t->counters.packets_out, 1);
	COUNT(t->counters.bytes_out, packet_bytes(p));
	return true;
}

static void flush(struct packet_sink *sink, uint64_t now_tsc)
{
	(void)sink; /* each frame is the kernel's once it was written */
	(void)now_tsc;
}

static const struct packet_sink_ops sink_ops = {.put = put, .flush = flush};

void tap_init(struct tap *t, int fd, uint32_t offloads, uint16_t mtu, struct packet_input *input, struct tap_room *room)
{
	memset(t, 0, sizeof(*t));
	t->source.ops = &source_ops;
	t->source.kick_fd = fd;
	t->source.call_fd = t->source.err_fd = -1;
	t->sink = (struct packet_sink){.ops = &sink_ops, .offloads = offloads, .frame_bytes_max = mtu + 14u};
	t->input = input;
	t->room = room;
	t->fd = fd;
}
