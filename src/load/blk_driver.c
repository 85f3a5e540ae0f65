#include "load/blk_driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtio/vhost_user_proto.h"

#define BIT(n) (UINT64_C(1) << (n))

enum {
	DATA_ALIGN_BYTES = 4096,
	TABLE_ALIGN_BYTES = 128,
	/* Up to and without secure erase: the part of the config space that every back end has. */
	CONFIG_BYTES = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
	CONFIG_BYTES_MIN = offsetof(struct virtio_blk_config, max_discard_sectors),
};

static const uint64_t FEATURES_WANTED = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_BLK_F_SIZE_MAX) |
					BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_RO) |
					BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_MQ) |
					BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES) | BIT(VIRTIO_BLK_F_CONFIG_WCE);

static const struct vhost_user_client_device DEVICE = {
	.protocol_features = BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			     BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
			     BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) | BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS),
	.socket_missing = "attach a volume first and use the path that it prints",
};

#define fail(driver, result, ...) (snprintf((driver)->client.error, sizeof((driver)->client.error), __VA_ARGS__), (result))

static bool offers(const struct blk_driver *driver, unsigned feature)
{
	return vhost_user_client_offers(&driver->client, feature);
}

static void geometry_of(struct blk_driver *driver, const struct virtio_blk_config *config)
{
	struct blk_geometry *g = &driver->geometry;

	g->block_size_bytes = offers(driver, VIRTIO_BLK_F_BLK_SIZE) ? config->blk_size : BLK_SECTOR_BYTES;
	g->segment_bytes_max = offers(driver, VIRTIO_BLK_F_SIZE_MAX) && config->size_max > 0 ? config->size_max : UINT32_MAX;
	g->segments_max = offers(driver, VIRTIO_BLK_F_SEG_MAX) && config->seg_max > 0 ? config->seg_max : 1;
	if (g->segments_max > DRIVER_CHAIN_SEGMENTS_MAX - 2)
		g->segments_max = DRIVER_CHAIN_SEGMENTS_MAX - 2;
	g->queues_max = offers(driver, VIRTIO_BLK_F_MQ) && config->num_queues > 0 ? config->num_queues : 1;
	if (g->queues_max > driver->client.queues_max && driver->client.queues_max > 0)
		g->queues_max = (uint16_t)driver->client.queues_max;
	g->read_only = offers(driver, VIRTIO_BLK_F_RO);
	g->flush = offers(driver, VIRTIO_BLK_F_FLUSH);
	g->discard_sectors_max = config->max_discard_sectors;
	g->discard = offers(driver, VIRTIO_BLK_F_DISCARD) && config->max_discard_sectors > 0;
	g->write_zeroes_sectors_max = config->max_write_zeroes_sectors;
	g->write_zeroes = offers(driver, VIRTIO_BLK_F_WRITE_ZEROES) && config->max_write_zeroes_sectors > 0;
	g->write_zeroes_may_unmap = config->write_zeroes_may_unmap != 0;
}

int blk_driver_refresh(struct blk_driver *driver)
{
	struct virtio_blk_config config = {0};
	uint32_t size = 0;
	int error;

	driver->client.config_changed = false;
	error = vhost_user_client_config_read(&driver->client, 0, &config, CONFIG_BYTES, &size);
	if (error != 0)
		return error;
	if (size < CONFIG_BYTES_MIN || config.capacity > INT64_MAX / BLK_SECTOR_BYTES)
		return fail(driver, -EPROTO,
			    "the back end's configuration makes no sense for a disk (%u bytes, %llu sectors); is it a "
			    "vhost-user-blk one?",
			    size, (unsigned long long)config.capacity);
	geometry_of(driver, &config);
	driver->geometry.capacity_bytes = config.capacity * BLK_SECTOR_BYTES;
	if (driver->geometry.block_size_bytes < BLK_SECTOR_BYTES || driver->geometry.block_size_bytes > (1u << 20) ||
	    (driver->geometry.block_size_bytes & (driver->geometry.block_size_bytes - 1)) != 0)
		return fail(driver, -EPROTO, "the back end tells a block size of %u bytes: not a power of two from 512 on",
			    driver->geometry.block_size_bytes);
	return 0;
}

static int open_connection(struct blk_driver *driver, int timeout_ms)
{
	int error;

	error = vhost_user_client_connect(&driver->client, &DEVICE, driver->socket_path, timeout_ms);
	if (error == 0 && !offers(driver, VIRTIO_F_VERSION_1))
		error = fail(driver, -EOPNOTSUPP,
			     "the back end speaks only the legacy virtio of before 1.0, which this driver does not");
	return error == 0 ? blk_driver_refresh(driver) : error;
}

int blk_driver_connect(struct blk_driver *driver, const char *socket_path, int timeout_ms)
{
	memset(driver, 0, sizeof(*driver));
	driver->client.socket = -1;
	driver->client.backend_channel = -1;
	driver->inflight.fd = -1;
	driver->memory.fd = -1;
	driver->socket_path = strdup(socket_path);
	if (driver->socket_path == NULL)
		return fail(driver, -ENOMEM, "out of memory");
	return open_connection(driver, timeout_ms);
}

void blk_driver_close(struct blk_driver *driver)
{
	vhost_user_client_close(&driver->client);
	for (unsigned i = 0; i < driver->queues_created; i++)
		driver_ring_free(&driver->queues[i].ring);
	free(driver->queues);
	free(driver->socket_path);
	if (driver->inflight.fd >= 0)
		close(driver->inflight.fd);
	shared_memory_free(&driver->memory);
	memset(driver, 0, sizeof(*driver));
	driver->client.socket = -1;
	driver->client.backend_channel = -1;
	driver->inflight.fd = -1;
	driver->memory.fd = -1;
}

static uint32_t segments_for(const struct blk_driver *driver, uint32_t data_bytes)
{
	return data_bytes / driver->geometry.segment_bytes_max + (data_bytes % driver->geometry.segment_bytes_max != 0);
}

static uint64_t queue_memory_bytes(const struct blk_driver_config *config, const struct driver_ring_config *ring)
{
	uint64_t stride = (config->data_bytes + (uint64_t)DATA_ALIGN_BYTES - 1) & ~(uint64_t)(DATA_ALIGN_BYTES - 1);

	return driver_ring_memory_bytes(ring) + config->depth * (stride + sizeof(struct virtio_blk_outhdr) + 1) + DATA_ALIGN_BYTES +
	       2 * TABLE_ALIGN_BYTES;
}

static int create_queue(struct blk_driver *driver, struct blk_queue *queue, const struct driver_ring_config *ring)
{
	const struct blk_driver_config *config = &driver->config;
	int error;

	driver->queues_created++;
	error = driver_ring_create(&queue->ring, ring, &driver->memory);
	if (error != 0)
		return fail(driver, error, "cannot set up a ring: %s", strerror(-error));
	queue->depth = config->depth;
	queue->segment_bytes_max = driver->geometry.segment_bytes_max;
	queue->data_stride_bytes = (config->data_bytes + DATA_ALIGN_BYTES - 1) & ~(uint32_t)(DATA_ALIGN_BYTES - 1);
	queue->headers = shared_memory_take(&driver->memory, config->depth * sizeof(*queue->headers), TABLE_ALIGN_BYTES);
	queue->statuses = shared_memory_take(&driver->memory, config->depth, TABLE_ALIGN_BYTES);
	queue->data = shared_memory_take(&driver->memory, (uint64_t)config->depth * queue->data_stride_bytes, DATA_ALIGN_BYTES);
	if (queue->headers == NULL || queue->statuses == NULL || queue->data == NULL)
		return fail(driver, -ENOMEM, "the shared memory is too small for its queues");
	return 0;
}

static int choose_features(struct blk_driver *driver, const struct blk_driver_config *config)
{
	uint64_t wanted = FEATURES_WANTED;

	if (config->packed && !offers(driver, VIRTIO_F_RING_PACKED))
		return fail(driver, -EOPNOTSUPP, "the back end does not offer packed rings; leave --packed out");
	if (config->indirect && !offers(driver, VIRTIO_RING_F_INDIRECT_DESC))
		return fail(driver, -EOPNOTSUPP, "the back end does not offer indirect descriptors; leave --indirect out");
	wanted |= config->packed ? BIT(VIRTIO_F_RING_PACKED) : 0;
	wanted |= config->indirect ? BIT(VIRTIO_RING_F_INDIRECT_DESC) : 0;
	driver->features = driver->client.features_offered & wanted;
	return 0;
}

static int create_queues(struct blk_driver *driver)
{
	const struct blk_driver_config *config = &driver->config;
	struct driver_ring_config ring = {.chain_count = config->depth,
					  .packed = config->packed,
					  .indirect = config->indirect,
					  .size_min = config->ring_size_min,
					  .event_idx = (driver->features & BIT(VIRTIO_RING_F_EVENT_IDX)) != 0};
	uint32_t segments = segments_for(driver, config->data_bytes);
	uint64_t bytes;
	int error;

	if (segments > driver->geometry.segments_max)
		return fail(driver, -EINVAL,
			    "requests of %u bytes need %u segments, the device takes %u; use a smaller request size",
			    config->data_bytes, segments, driver->geometry.segments_max);
	if (segments < config->segments_min)
		segments = config->segments_min;
	ring.segments_max = (uint16_t)(2 + (segments > 0 ? segments : 1));
	if (driver_ring_size(&ring) == 0)
		return fail(driver, -EINVAL, "%u requests of %u descriptors do not fit a ring of %d; use a smaller --qd%s",
			    config->depth, config->indirect ? 1u : ring.segments_max, DRIVER_RING_SIZE_MAX,
			    config->indirect ? "" : ", more --queues, or --indirect");
	bytes = config->queue_count * queue_memory_bytes(config, &ring);
	error = shared_memory_create(&driver->memory, bytes);
	if (error != 0)
		return fail(driver, error, "cannot get %llu MiB of shared memory: %s", (unsigned long long)(bytes >> 20),
			    strerror(-error));
	driver->queues = calloc(config->queue_count, sizeof(*driver->queues));
	if (driver->queues == NULL)
		return fail(driver, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < config->queue_count && error == 0; i++)
		error = create_queue(driver, &driver->queues[i], &ring);
	return error;
}

static int start_queues(struct blk_driver *driver)
{
	int error = 0;

	for (unsigned i = 0; i < driver->config.queue_count && error == 0; i++)
		error = vhost_user_client_queue_start(&driver->client, i, &driver->queues[i].ring);
	return error;
}

int blk_driver_start(struct blk_driver *driver, const struct blk_driver_config *config)
{
	int error;

	driver->config = *config;
	if (config->queue_count > driver->geometry.queues_max)
		return fail(driver, -EOPNOTSUPP,
			    "the back end offers %u queue%s, not %u; use a smaller --queues, or attach with more",
			    driver->geometry.queues_max, driver->geometry.queues_max == 1 ? "" : "s", config->queue_count);
	error = choose_features(driver, config);
	if (error == 0)
		error = create_queues(driver);
	if (error == 0)
		error = vhost_user_client_features_set(&driver->client, driver->features);
	if (error == 0)
		error = vhost_user_client_memory_set(&driver->client, &driver->memory);
	if (error == 0 && vhost_user_client_has(&driver->client, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)) {
		error = vhost_user_client_inflight_get(&driver->client, config->queue_count, driver->queues[0].ring.size,
						       &driver->inflight);
		if (error == 0)
			error = vhost_user_client_inflight_set(&driver->client, &driver->inflight);
	}
	if (error == 0)
		error = start_queues(driver);
	return error;
}

static unsigned restart_rings(struct blk_driver *driver)
{
	unsigned reposted = 0;

	for (unsigned i = 0; i < driver->config.queue_count; i++) {
		struct driver_ring *ring = &driver->queues[i].ring;
		uint16_t chains[DRIVER_RING_SIZE_MAX];
		unsigned count = driver_ring_restart(ring, chains);

		driver_ring_post(ring, chains, count);
		reposted += count;
	}
	return reposted;
}

/* Is it the device that we had? */
static int check_same_device(struct blk_driver *driver, const struct blk_geometry *before)
{
	uint64_t missing = driver->features & ~driver->client.features_offered;

	if (missing != 0)
		return fail(driver, -EOPNOTSUPP,
			    "the back end came back with fewer features (missing 0x%llx); it is not the same device",
			    (unsigned long long)missing);
	if (driver->geometry.capacity_bytes < before->capacity_bytes)
		return fail(driver, -EPROTO, "the back end came back smaller (%llu bytes, before %llu); it is not the same device",
			    (unsigned long long)driver->geometry.capacity_bytes, (unsigned long long)before->capacity_bytes);
	return 0;
}

static int take_up_again(struct blk_driver *driver, unsigned *reposted)
{
	bool recorded = driver->inflight.fd >= 0 && vhost_user_client_has(&driver->client, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	int error;

	error = vhost_user_client_features_set(&driver->client, driver->features);
	if (error == 0)
		error = vhost_user_client_memory_set(&driver->client, &driver->memory);
	if (error == 0 && recorded)
		error = vhost_user_client_inflight_set(&driver->client, &driver->inflight);
	if (error == 0 && !recorded) {
		unsigned count = restart_rings(driver);

		if (reposted != NULL)
			*reposted += count;
	}
	return error == 0 ? start_queues(driver) : error;
}

int blk_driver_reconnect(struct blk_driver *driver, unsigned *reposted)
{
	struct blk_geometry before = driver->geometry;
	int timeout_ms = driver->client.timeout_ms, error;

	vhost_user_client_close(&driver->client);
	error = open_connection(driver, timeout_ms);
	if (error == 0)
		error = check_same_device(driver, &before);
	if (error == 0)
		error = take_up_again(driver, reposted);
	if (error != 0) {
		driver->geometry = before; /* what the next attempt is measured against */
		return error;
	}
	for (unsigned i = 0; i < driver->config.queue_count; i++)
		driver_ring_kick_always(&driver->queues[i].ring);
	return 0;
}

void blk_queue_lay(struct blk_queue *queue, uint16_t tag, uint32_t type, uint32_t data_bytes)
{
	bool device_writes = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct driver_segment segments[DRIVER_CHAIN_SEGMENTS_MAX];
	uint8_t *data = blk_queue_data(queue, tag);
	unsigned count = 0;

	queue->headers[tag].type = type;
	queue->headers[tag].ioprio = 0;
	queue->headers[tag].sector = 0;
	segments[count++] = (struct driver_segment){&queue->headers[tag], sizeof(queue->headers[tag]), false};
	while (data_bytes > 0) {
		uint32_t bytes = data_bytes < queue->segment_bytes_max ? data_bytes : queue->segment_bytes_max;

		segments[count++] = (struct driver_segment){data, bytes, device_writes};
		data += bytes;
		data_bytes -= bytes;
	}
	segments[count++] = (struct driver_segment){&queue->statuses[tag], 1, true};
	driver_ring_lay(&queue->ring, tag, segments, count);
}

const char *blk_status_name(uint8_t status)
{
	switch (status) {
	case VIRTIO_BLK_S_OK:
		return "ok";
	case VIRTIO_BLK_S_IOERR:
		return "I/O error";
	case VIRTIO_BLK_S_UNSUPP:
		return "not supported";
	case BLK_STATUS_PENDING:
		return "no status written";
	default:
		return "a status that the specification does not know";
	}
}
