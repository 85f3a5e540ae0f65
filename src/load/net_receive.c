#include "load/net_receive.h"

#include <errno.h>
#include <string.h>

#include "load/net_frame.h"

enum { HEADER_BYTES = sizeof(struct virtio_net_hdr_v1), LINE_BYTES = 64 };

/* An odd number of cache lines: strides of a power of two would put all buffers into a few sets of the cache. */
static uint32_t stride_of(uint32_t buffer_bytes)
{
	return (((buffer_bytes + LINE_BYTES - 1) / LINE_BYTES) | 1) * LINE_BYTES;
}

uint64_t net_receive_memory_bytes(const struct net_receive_config *config)
{
	return driver_ring_memory_bytes(&config->ring) + (uint64_t)config->ring.chain_count * stride_of(config->buffer_bytes) +
	       2 * LINE_BYTES;
}

int net_receive_create(struct net_receive *receive, const struct net_receive_config *config, struct shared_memory *memory)
{
	uint16_t count = config->ring.chain_count;
	int error;

	memset(receive, 0, sizeof(*receive));
	receive->config = *config;
	receive->stride_bytes = stride_of(config->buffer_bytes);
	error = driver_ring_create(&receive->ring, &config->ring, memory);
	if (error != 0)
		return error;
	receive->buffers = shared_memory_take(memory, (uint64_t)count * receive->stride_bytes, LINE_BYTES);
	if (receive->buffers == NULL)
		return -ENOMEM;
	for (uint16_t chain = 0; chain < count; chain++) {
		struct driver_segment segment = {receive->buffers + (size_t)chain * receive->stride_bytes, config->buffer_bytes,
						 true};

		driver_ring_lay(&receive->ring, chain, &segment, 1);
	}
	return 0;
}

void net_receive_free(struct net_receive *receive)
{
	driver_ring_free(&receive->ring);
}

void net_receive_post_all(struct net_receive *receive)
{
	uint16_t chains[DRIVER_RING_SIZE_MAX];

	for (uint16_t chain = 0; chain < receive->config.ring.chain_count; chain++)
		chains[chain] = chain;
	driver_ring_post(&receive->ring, chains, receive->config.ring.chain_count);
}

unsigned net_receive_poll(struct net_receive *receive)
{
	receive->held += driver_ring_reap_lengths(&receive->ring, receive->chains + receive->held, receive->lengths + receive->held,
						  NET_RECEIVE_BATCH);
	return receive->held;
}

static uint8_t *buffer(const struct net_receive *receive, unsigned i)
{
	return receive->buffers + (size_t)receive->chains[i] * receive->stride_bytes;
}

/* 5.1.6.4.1 and, for what was not negotiated, 5.1.6.4.2. */
static const char *fault_of_header(const struct net_receive *receive, const struct virtio_net_hdr_v1 *h)
{
	if (receive->config.merge && h->num_buffers == 0)
		return "a received frame has num_buffers 0";
	if (receive->config.merge && h->num_buffers > receive->ring.size)
		return "a received frame has more buffers than the ring";
	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 && !receive->config.checksum)
		return "a received frame has a partial checksum, and GUEST_CSUM was not negotiated";
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE && !receive->config.segmentation)
		return "a received frame is not segmented, and GUEST_TSO was not negotiated";
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE && h->gso_size == 0)
		return "a received frame is not segmented, and has gso_size 0";
	return NULL;
}

/* The frame's size, when its buffers are such as a frame may have. */
static const char *measure(const struct net_receive *receive, struct net_received *frame)
{
	frame->bytes = receive->lengths[frame->first] - HEADER_BYTES;
	for (unsigned i = 1; i < frame->buffer_count; i++) {
		if (receive->lengths[frame->first + i] == 0)
			return "a received frame has an empty buffer in it";
		frame->bytes += receive->lengths[frame->first + i];
	}
	if (frame->bytes < FRAME_ETHERNET_BYTES)
		return "a received frame is shorter than an Ethernet header";
	if (frame->bytes > FRAME_BYTES_MAX)
		return "a received frame is larger than 64 KiB";
	return NULL;
}

static void copy_bytes(const struct net_receive *receive, const struct net_received *frame, uint8_t *to, uint32_t bytes)
{
	uint32_t skip = HEADER_BYTES;

	for (unsigned i = frame->first; bytes > 0; i++) {
		uint32_t piece = receive->lengths[i] - skip;

		piece = piece < bytes ? piece : bytes;
		memcpy(to, buffer(receive, i) + skip, piece);
		to += piece;
		bytes -= piece;
		skip = 0;
	}
}

void net_receive_copy(const struct net_receive *receive, const struct net_received *frame, uint8_t *to)
{
	copy_bytes(receive, frame, to, frame->bytes);
}

bool net_receive_next(struct net_receive *receive, struct net_received *frame)
{
	const char *fault;
	uint32_t wanted;

	if (receive->given == receive->held || receive->ring.broken != NULL)
		return false;
	frame->first = receive->given;
	if (receive->lengths[frame->first] < HEADER_BYTES) {
		driver_ring_accuse(&receive->ring, "a received frame is shorter than its virtio header");
		return false;
	}
	memcpy(&frame->header, buffer(receive, frame->first), HEADER_BYTES);
	fault = fault_of_header(receive, &frame->header);
	frame->buffer_count = receive->config.merge ? frame->header.num_buffers : 1;
	if (fault == NULL && receive->held - receive->given < frame->buffer_count)
		return false; /* the rest of it is still to come */
	if (fault == NULL)
		fault = measure(receive, frame);
	if (fault != NULL) {
		driver_ring_accuse(&receive->ring, fault);
		return false;
	}
	receive->given += frame->buffer_count;
	frame->head = buffer(receive, frame->first) + HEADER_BYTES;
	frame->head_bytes = receive->lengths[frame->first] - HEADER_BYTES;
	wanted = frame->bytes < NET_RECEIVE_HEAD_BYTES ? frame->bytes : NET_RECEIVE_HEAD_BYTES;
	if (frame->head_bytes < wanted) {
		copy_bytes(receive, frame, receive->scratch, wanted);
		frame->head = receive->scratch;
		frame->head_bytes = wanted;
	}
	return true;
}

void net_receive_release(struct net_receive *receive)
{
	if (receive->given == 0)
		return;
	driver_ring_post(&receive->ring, receive->chains, receive->given);
	driver_ring_kick(&receive->ring);
	receive->held -= receive->given;
	memmove(receive->chains, receive->chains + receive->given, receive->held * sizeof(receive->chains[0]));
	memmove(receive->lengths, receive->lengths + receive->given, receive->held * sizeof(receive->lengths[0]));
	receive->given = 0;
}
