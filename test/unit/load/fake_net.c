#include "fake_net.h"

#include <assert.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = sizeof(struct virtio_net_hdr_v1), STATE_NONE = 0, STATE_OPEN = 1, STATE_CLOSED = 2 };

void fake_net_start(struct fake_net *net)
{
	pthread_mutex_init(&net->lock, NULL);
	net->frames = calloc(FAKE_NET_FRAMES, sizeof(*net->frames));
	assert(net->frames != NULL);
}

void fake_net_stop(struct fake_net *net)
{
	while (net->head != net->tail)
		free(net->frames[net->head++ % FAKE_NET_FRAMES]);
	free(net->frames);
	pthread_mutex_destroy(&net->lock);
}

static unsigned waiting(struct fake_net *net)
{
	unsigned count;

	pthread_mutex_lock(&net->lock);
	count = net->tail - net->head;
	pthread_mutex_unlock(&net->lock);
	return count;
}

static void deliver(struct fake_net *to, const uint8_t *data, uint32_t bytes)
{
	struct fake_net_frame *frame = malloc(sizeof(*frame) + bytes);

	assert(frame != NULL);
	frame->bytes = bytes;
	memcpy(frame->data, data, bytes);
	pthread_mutex_lock(&to->lock);
	assert(to->tail - to->head < FAKE_NET_FRAMES); /* nobody fetches what has no room */
	to->frames[to->tail++ % FAKE_NET_FRAMES] = frame;
	pthread_mutex_unlock(&to->lock);
}

/* Only the receive side takes, so what it saw first stays first. */
static struct fake_net_frame *first(struct fake_net *net)
{
	struct fake_net_frame *frame;

	pthread_mutex_lock(&net->lock);
	frame = net->head != net->tail ? net->frames[net->head % FAKE_NET_FRAMES] : NULL;
	pthread_mutex_unlock(&net->lock);
	return frame;
}

static void remove_first(struct fake_net *net)
{
	pthread_mutex_lock(&net->lock);
	free(net->frames[net->head++ % FAKE_NET_FRAMES]);
	pthread_mutex_unlock(&net->lock);
}

/* Does TCP over IPv4 come as connections? Ports name flows. */
static void watch_tcp(struct fake_net *net, const uint8_t *frame)
{
	uint8_t *state = &net->tcp_state[frame[34] << 8 | frame[35]];
	uint8_t flags = frame[47];

	if (frame[12] != 8 || frame[13] != 0 || frame[23] != 6)
		return;
	if ((flags & 2) != 0 && (flags & 0x10) == 0) {
		net->syn++;
		*state = STATE_OPEN;
	} else if ((flags & 5) != 0 && frame[38] == 0x10) { /* the client's: by its sequence numbers */
		net->fin += flags & 1;
		net->rst += (flags & 4) >> 2;
		*state = STATE_CLOSED;
	} else if ((flags & 8) != 0) {
		net->data_before_syn += *state == STATE_NONE;
		net->data_after_fin += *state == STATE_CLOSED;
	}
}

static bool answer_arp(struct fake_net *net, const uint8_t *frame)
{
	uint8_t answer[HEADER_BYTES + 42] = {[10] = 1}, *a = answer + HEADER_BYTES;

	if (memcmp(frame + 12, "\x08\6", 2) != 0 || frame[21] != 1 || memcmp(frame + 38, "\xa\0\0\1", 4) != 0)
		return false;
	memcpy(a, frame + 6, 6);
	memcpy(a + 6, "\2\0\0\0\0\xfe", 6);
	memcpy(a + 12, frame + 12, 9);
	a[21] = 2;
	memcpy(a + 22, "\2\0\0\0\0\xfe\xa\0\0\1", 10);
	memcpy(a + 32, frame + 22, 10);
	deliver(net, answer, sizeof(answer));
	return true;
}

static bool answer_dhcp(struct fake_net *net, const uint8_t *frame, uint32_t bytes)
{
	static const uint8_t options[] = {54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1, 255};
	enum { UDP = 14 + 20, MESSAGE = UDP + 8, ANSWER = MESSAGE + 240 + 3 + sizeof(options) };
	uint8_t answer[HEADER_BYTES + ANSWER] = {[10] = 1}, *a = answer + HEADER_BYTES;

	if (bytes < MESSAGE + 243 || frame[12] != 8 || frame[23] != 17 || memcmp(frame + UDP, "\0\x44\0\x43", 4) != 0)
		return false;
	memcpy(a, frame + 6, 6);
	memcpy(a + 6, "\2\0\0\0\0\xfe\x08\0\x45\0", 10);
	a[16] = (ANSWER - 14) >> 8;
	a[17] = (ANSWER - 14) & 0xff;
	memcpy(a + 22, "\x40\x11\0\0\xa\0\0\1\xff\xff\xff\xff\0\x43\0\x44", 16);
	a[UDP + 4] = (ANSWER - UDP) >> 8;
	a[UDP + 5] = (ANSWER - UDP) & 0xff;
	memcpy(a + MESSAGE, frame + MESSAGE, 240);
	a[MESSAGE] = 2;
	memcpy(a + MESSAGE + 16, "\xa\0\0", 3);
	a[MESSAGE + 19] = (uint8_t)(100 + net->number);
	a[MESSAGE + 240] = 53;
	a[MESSAGE + 241] = 1;
	a[MESSAGE + 242] = frame[MESSAGE + 242] == 1 ? 2 : 5;
	memcpy(a + MESSAGE + 243, options, sizeof(options));
	deliver(net, answer, sizeof(answer));
	return true;
}

/* A frame that was transmitted goes on, or does not. */
static void carry(struct fake_net *net, uint8_t *data, uint32_t bytes)
{
	struct fake_net *to = net->peer != NULL ? net->peer : net;
	bool due = net->fault_every != 0 && ++net->carried % net->fault_every == 0;
	uint8_t *frame = data + HEADER_BYTES;

	watch_tcp(net, frame);
	if (net->router && (answer_arp(net, frame) || answer_dhcp(net, frame, bytes - HEADER_BYTES)))
		return;
	if (due && net->fault == FAKE_NET_LOSE) {
		net->lost++;
		return;
	}
	if (due && net->fault == FAKE_NET_DAMAGE) {
		net->damaged++;
		data[bytes - 1] ^= 1;
	}
	if (due && net->fault == FAKE_NET_RENAME) {
		net->damaged++;
		memcpy(frame + 46, "\x12\x34\x56\x78", 4);
	}
	if (due && net->fault == FAKE_NET_EXCHANGE) {
		net->exchanged++;
		net->held_bytes = bytes;
		memcpy(net->held, data, bytes);
		return;
	}
	deliver(to, data, bytes);
	if (net->held_bytes > 0)
		deliver(to, net->held, net->held_bytes);
	net->held_bytes = 0;
	if (due && net->fault == FAKE_NET_DOUBLE) {
		net->doubled++;
		deliver(to, data, bytes);
	}
}

/* For a frame, its double and an answer, on either side. */
static bool has_room(struct fake_net *net)
{
	enum { ENOUGH = FAKE_NET_FRAMES - 16 };

	return waiting(net) < ENOUGH && (net->peer == NULL || waiting(net->peer) < ENOUGH);
}

static bool take_transmitted(struct fake_net *net, struct ring_device *ring)
{
	static const struct ring_request bad = {.id = 999, .slots = 1};
	struct ring_request r;
	const char *why = NULL;

	while (net->fault != FAKE_NET_HANG && has_room(net) && ring_device_fetch(ring, &r, &why)) {
		uint32_t bytes = 0;

		for (unsigned i = 0; i < r.count; i++) {
			assert(!r.segments[i].writable && bytes + r.segments[i].length <= sizeof(net->buffer));
			memcpy(net->buffer + bytes, r.segments[i].data, r.segments[i].length);
			bytes += r.segments[i].length;
		}
		assert(bytes >= HEADER_BYTES + 42);
		carry(net, net->buffer, bytes);
		ring_device_complete(ring, net->fault == FAKE_NET_BAD_TRANSMIT_ID ? &bad : &r, 0);
		if (net->fault == FAKE_NET_DIE || net->fault == FAKE_NET_BAD_TRANSMIT_ID)
			return net->fault != FAKE_NET_DIE;
	}
	assert(why == NULL);
	return true;
}

/* What the used ring says of a buffer that `bytes` were written to. */
static uint32_t told(const struct fake_net *net, uint32_t bytes)
{
	if (net->fault == FAKE_NET_SHORT)
		return HEADER_BYTES - 1;
	return net->fault == FAKE_NET_LONG ? 1 << 20 : bytes;
}

/* Into as many buffers as it takes; they are used together, at the end. False: there are not enough now. */
static bool give(struct fake_net *net, struct ring_device *ring, struct fake_net_frame *frame, bool merge)
{
	struct virtio_net_hdr_v1 *header = (struct virtio_net_hdr_v1 *)(void *)frame->data;
	struct ring_device before = *ring;
	uint32_t at = 0, written[FAKE_NET_BUFFERS_MAX];
	const char *why = NULL;
	unsigned count = 0;

	while (at < frame->bytes && ring_device_fetch(ring, &net->requests[count], &why)) {
		uint32_t room = net->requests[count].segments[0].length, left = frame->bytes - at;

		assert(net->requests[count].count == 1 && net->requests[count].segments[0].writable);
		assert(left <= room || (merge && count + 1 < FAKE_NET_BUFFERS_MAX));
		written[count] = left < room ? left : room;
		at += written[count++];
	}
	assert(why == NULL);
	if (at < frame->bytes) {
		*ring = before;
		return false;
	}
	header->num_buffers = (uint16_t)(net->fault == FAKE_NET_NO_BUFFERS ? 0 : count + (net->fault == FAKE_NET_UNFINISHED));
	if (header->flags == VIRTIO_NET_HDR_F_NEEDS_CSUM || net->fault == FAKE_NET_CSUM)
		header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	at = 0;
	for (unsigned i = 0; i < count; i++) {
		memcpy(net->requests[i].segments[0].data, frame->data + at, written[i]);
		at += written[i];
		ring_device_complete(ring, &net->requests[i], told(net, written[i]));
	}
	return true;
}

bool fake_net_serve(struct fake_net *net, struct ring_device *receive, struct ring_device *transmit, bool merge)
{
	struct fake_net_frame *frame;

	if (!take_transmitted(net, transmit))
		return false;
	while ((frame = first(net)) != NULL && (net->fault != FAKE_NET_UNFINISHED || net->unfinished == 0)) {
		if (!give(net, receive, frame, merge))
			break;
		remove_first(net);
		net->unfinished++;
	}
	return true;
}
