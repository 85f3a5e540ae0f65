/*
 * A virtio-blk driver (VIRTIO 1.2, section 5.2) over a vhost-user connection, made for load: every request of a queue has a fixed
 * tag with its own header, data buffer and status byte, and its descriptor chain is laid out once. To send one again costs a store
 * of the sector and one of the available ring.
 *
 * Headers and status bytes are dense arrays rather than parts of one struct a request: a back end that completes a batch in order
 * then dirties one cache line of statuses instead of one each, and the driver is never what is measured.
 *
 *	blk_driver_connect -> geometry known -> blk_driver_start -> blk_queue_lay, _aim, driver_ring_post/kick/reap, _status
 *	connection lost -> reap what is there -> blk_driver_reconnect until it works -> go on
 *
 * One thread at a time. On an error `client.error` holds a sentence for a person.
 */
#ifndef OUTBOARD_LOAD_BLK_DRIVER_H
#define OUTBOARD_LOAD_BLK_DRIVER_H

#include <linux/virtio_blk.h>

#include "load/driver_ring.h"
#include "load/vhost_user_client.h"

enum {
	BLK_SECTOR_BYTES = 512,
	BLK_QUEUES_MAX = 64,
	BLK_STATUS_PENDING = 0xff, /* no status that the specification knows */
};

struct blk_geometry {
	uint64_t capacity_bytes;
	uint32_t block_size_bytes;
	uint32_t segment_bytes_max;
	uint32_t segments_max; /* of data, in one request */
	uint16_t queues_max;
	bool read_only, flush, discard, write_zeroes;
	uint32_t discard_sectors_max, write_zeroes_sectors_max;
	bool write_zeroes_may_unmap;
};

struct blk_queue {
	struct driver_ring ring;
	struct virtio_blk_outhdr *headers; /* [depth] */
	uint8_t *statuses;		   /* [depth] */
	uint8_t *data;			   /* [depth] of data_stride_bytes */
	uint32_t data_stride_bytes;
	uint32_t segment_bytes_max;
	uint16_t depth;
};

struct blk_driver_config {
	uint16_t queue_count;
	uint16_t depth;	       /* requests in flight a queue */
	uint32_t data_bytes;   /* of the largest request */
	uint16_t segments_min; /* room for so many pieces of data in a request, for whoever lays chains by hand; 0: as few as needed
				*/
	uint16_t ring_size_min; /* 0: as small as the depth allows */
	bool packed;
	bool indirect;
};

struct blk_driver {
	struct vhost_user_client client;
	struct blk_geometry geometry;
	struct blk_driver_config config;
	uint64_t features; /* negotiated */
	char *socket_path;
	struct shared_memory memory;
	struct vhost_user_client_inflight inflight;
	struct blk_queue *queues;
	unsigned queues_created;
};

/* 0 or -errno as vhost_user_client.h. After an error, and at the end: blk_driver_close(). */
int blk_driver_connect(struct blk_driver *driver, const char *socket_path, int timeout_ms);
int blk_driver_start(struct blk_driver *driver, const struct blk_driver_config *config);
void blk_driver_close(struct blk_driver *driver);

/* To a new back end of the same device, once: whoever wants to wait for it calls again. Everything that the old one completed has
 * been reaped. With an in-flight region the new one goes on by itself; without, the rings are made anew and what was in flight is
 * posted again. *reposted (may be NULL) counts that. */
int blk_driver_reconnect(struct blk_driver *driver, unsigned *reposted);

/* The back end said that the configuration changed (client.config_changed): read the capacity again. */
int blk_driver_refresh(struct blk_driver *driver);

static inline uint8_t *blk_queue_data(const struct blk_queue *queue, uint16_t tag)
{
	return queue->data + (size_t)tag * queue->data_stride_bytes;
}

/* Makes `tag` a request of `type` (VIRTIO_BLK_T_*) with `data_bytes` of data (0: none). */
void blk_queue_lay(struct blk_queue *queue, uint16_t tag, uint32_t type, uint32_t data_bytes);

static inline void blk_queue_aim(struct blk_queue *queue, uint16_t tag, uint64_t offset_bytes)
{
	queue->headers[tag].sector = offset_bytes / BLK_SECTOR_BYTES;
}

/* For a person: "I/O error", "not supported", "no status written". */
const char *blk_status_name(uint8_t status);

#endif
