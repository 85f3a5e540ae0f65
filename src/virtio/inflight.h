/*
 * The in-flight region of the vhost-user protocol ("Inflight I/O tracking"), split and packed layout: which requests were read
 * from a ring and not yet completed, kept in shared memory so that a successor can resubmit them.
 *
 * The region comes from a VMM that gave it back after a reconnect, so its content is an attack until checked. inflight_recover()
 * checks and repairs it.
 */
#ifndef OUTBOARD_VIRTIO_INFLIGHT_H
#define OUTBOARD_VIRTIO_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

struct inflight_queue; /* opaque: the region of one queue with its mapped address, layout and size */

/* A region of `queue_count` queues of `queue_size` entries, mapped from a descriptor. */
struct inflight {
	uint8_t *mapping;
	uint64_t mapping_bytes;
	uint16_t queue_count;
	uint16_t queue_size;
	bool packed;
	bool lost; /* the file was truncated under us (mapping_guard.h) */
	uint32_t guard;
	struct inflight_queue *queues; /* [queue_count], freed with it */
};

uint64_t inflight_size_bytes(uint16_t queue_count, uint16_t queue_size, bool packed);
int inflight_create(struct inflight *out, uint16_t queue_count, uint16_t queue_size, bool packed, int *fd); /* new memfd, zeroed */
int inflight_map(struct inflight *out, int fd, uint64_t offset_bytes, uint64_t size_bytes, uint16_t queue_count,
		 uint16_t queue_size, bool packed); /* -EINVAL when it does not fit the file */
void inflight_unmap(struct inflight *inflight);
/* The record of one queue; valid until inflight_unmap(). `inflight` may not move meanwhile. NULL when there is no such queue. */
struct inflight_queue *inflight_queue(struct inflight *inflight, unsigned index);

#endif
