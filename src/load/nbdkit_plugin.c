/*
 * nbdkit plugin: a vhost-user-blk device as an NBD export, so that qemu-img, nbdcopy and fio's nbd engine reach any volume that a
 * guest could use, through the same door.
 *
 *	nbdkit ./nbdkit-outboard-plugin.so vhost=/run/outboard/vol1.sock
 *
 * One connection to the device serves all NBD connections. nbdkit calls from many threads; each takes a tag, and one lock guards
 * the ring. Whoever has to wait and finds nobody waiting for the device becomes the *leader*: it alone sleeps on the call eventfd,
 * without the lock, then reaps for everyone and wakes those who are done. There is no thread of our own.
 *
 * A request larger than a tag's buffer goes in pieces, in order. FUA is emulated by a FLUSH (virtio-blk has none); where the
 * device offers no FLUSH, completed means durable (VIRTIO 1.2, 5.2.6.2), and nothing is left to do.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/blk_driver.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

enum { TAGS = 64, PIECE_BYTES = 256 * 1024, LOOK_AFTER_MS = 1000, NBD_REQUEST_BYTES_MAX = 32 << 20 };

static struct {
	char *socket_path;
	struct blk_driver driver;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a request is done, a tag is free, or the leader stands down */
	uint16_t free_tags[TAGS];
	unsigned free_count;
	bool done[TAGS];
	bool led;    /* somebody waits for the device */
	bool broken; /* no more requests: the device is gone */
} plugin = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct blk_queue *queue(void)
{
	return &plugin.driver.queues[0];
}

static const struct blk_geometry *geometry(void)
{
	return &plugin.driver.geometry;
}

/* Takes in what happened on the connection. With the lock. */
static void look_at_connection(void)
{
	int error = vhost_user_client_poll(&plugin.driver.client);

	if (error == 0 && plugin.driver.client.config_changed)
		error = blk_driver_refresh(&plugin.driver);
	if (error == 0)
		return;
	plugin.broken = true;
	nbdkit_error("%s: %s; start nbdkit again when the device is back", plugin.socket_path, plugin.driver.client.error);
}

static void reap(void)
{
	uint16_t tags[TAGS];
	unsigned count = driver_ring_reap(&queue()->ring, tags, TAGS);

	for (unsigned i = 0; i < count; i++)
		plugin.done[tags[i]] = true;
	if (queue()->ring.broken != NULL && !plugin.broken) {
		plugin.broken = true;
		nbdkit_error("%s: the back end broke the rules of the ring: %s", plugin.socket_path, queue()->ring.broken);
	}
}

/* Sleeps, without the lock, until the device has something to say. */
static void lead(void)
{
	struct driver_ring *ring = &queue()->ring;
	struct pollfd p[3] = {{.fd = ring->call_fd, .events = POLLIN},
			      {.fd = plugin.driver.client.socket, .events = POLLIN},
			      {.fd = plugin.driver.client.backend_channel, .events = POLLIN}};
	uint64_t calls;

	plugin.led = true;
	if (driver_ring_arm(ring)) {
		pthread_mutex_unlock(&plugin.lock);
		poll(p, 3, LOOK_AFTER_MS);
		pthread_mutex_lock(&plugin.lock);
		if (read(ring->call_fd, &calls, sizeof(calls)) < 0)
			look_at_connection(); /* woken by something else, or by nothing for a while */
	}
	driver_ring_disarm(ring);
	reap();
	plugin.led = false;
	pthread_cond_broadcast(&plugin.changed);
}

static int take_tag(uint16_t *tag)
{
	while (plugin.free_count == 0 && !plugin.broken)
		pthread_cond_wait(&plugin.changed, &plugin.lock);
	if (plugin.broken)
		return -EIO;
	*tag = plugin.free_tags[--plugin.free_count];
	return 0;
}

static int status_error(uint8_t status)
{
	if (status == VIRTIO_BLK_S_OK)
		return 0;
	return status == VIRTIO_BLK_S_UNSUPP ? -EOPNOTSUPP : -EIO;
}

/* One request to its end. `data` goes to (OUT and ranges) or comes from (IN) the device. With the lock, given up while waiting. */
static int exchange(uint32_t type, uint64_t offset, void *data, uint32_t bytes)
{
	uint16_t tag;
	int error;

	error = take_tag(&tag);
	if (error != 0)
		return error;
	blk_queue_lay(queue(), tag, type, bytes);
	blk_queue_aim(queue(), tag, offset);
	queue()->statuses[tag] = BLK_STATUS_PENDING;
	plugin.done[tag] = false;
	pthread_mutex_unlock(&plugin.lock); /* the tag is ours: copy without holding up the others */
	if (type != VIRTIO_BLK_T_IN && bytes > 0)
		memcpy(blk_queue_data(queue(), tag), data, bytes);
	pthread_mutex_lock(&plugin.lock);
	driver_ring_post(&queue()->ring, &tag, 1);
	driver_ring_kick(&queue()->ring);
	while (!plugin.done[tag] && !plugin.broken) {
		if (plugin.led)
			pthread_cond_wait(&plugin.changed, &plugin.lock);
		else
			lead();
	}
	if (!plugin.done[tag])
		return -EIO; /* the tag stays taken: a dying back end may still write to its buffer */
	error = status_error(queue()->statuses[tag]);
	pthread_mutex_unlock(&plugin.lock);
	if (type == VIRTIO_BLK_T_IN && error == 0)
		memcpy(data, blk_queue_data(queue(), tag), bytes);
	pthread_mutex_lock(&plugin.lock);
	plugin.free_tags[plugin.free_count++] = tag;
	pthread_cond_broadcast(&plugin.changed);
	return error;
}

static int finish(const char *what, uint64_t offset, int error)
{
	if (error == 0)
		return 0;
	nbdkit_error("%s: %s at byte %llu: %s", plugin.socket_path, what, (unsigned long long)offset, strerror(-error));
	nbdkit_set_error(-error);
	return -1;
}

static int transfer(uint32_t type, const char *what, uint8_t *data, uint32_t bytes, uint64_t offset)
{
	int error = 0;

	if ((offset | bytes) % geometry()->block_size_bytes != 0)
		return finish(what, offset,
			      -EINVAL); /* clients are told the block size; nbdkit's blocksize filter helps those who do not care */
	pthread_mutex_lock(&plugin.lock);
	while (bytes > 0 && error == 0) {
		uint32_t piece = bytes < PIECE_BYTES ? bytes : PIECE_BYTES;

		error = exchange(type, offset, data, piece);
		data += piece;
		offset += piece;
		bytes -= piece;
	}
	pthread_mutex_unlock(&plugin.lock);
	return finish(what, offset, error);
}

static int range(uint32_t type, const char *what, uint32_t bytes, uint64_t offset, uint32_t sectors_max, uint32_t flags)
{
	int error = 0;

	if ((offset | bytes) % geometry()->block_size_bytes != 0)
		return finish(what, offset, -EINVAL);
	sectors_max -= sectors_max % (geometry()->block_size_bytes / BLK_SECTOR_BYTES);
	pthread_mutex_lock(&plugin.lock);
	while (bytes > 0 && error == 0) {
		uint32_t sectors = bytes / BLK_SECTOR_BYTES < sectors_max ? bytes / BLK_SECTOR_BYTES : sectors_max;
		struct virtio_blk_discard_write_zeroes r = {
			.sector = offset / BLK_SECTOR_BYTES, .num_sectors = sectors, .flags = flags};

		error = sectors == 0 ? -EOPNOTSUPP : exchange(type, 0, &r, sizeof(r));
		offset += (uint64_t)sectors * BLK_SECTOR_BYTES;
		bytes -= sectors * BLK_SECTOR_BYTES;
	}
	pthread_mutex_unlock(&plugin.lock);
	return finish(what, offset, error);
}

static int outboard_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle, (void)flags;
	return transfer(VIRTIO_BLK_T_IN, "read", buffer, count, offset);
}

static int outboard_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle, (void)flags;
	return transfer(VIRTIO_BLK_T_OUT, "write", (uint8_t *)(uintptr_t)buffer, count, offset);
}

static int outboard_flush(void *handle, uint32_t flags)
{
	int error;

	(void)handle, (void)flags;
	if (!geometry()->flush)
		return 0;
	pthread_mutex_lock(&plugin.lock);
	error = exchange(VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	pthread_mutex_unlock(&plugin.lock);
	return finish("flush", 0, error);
}

static int outboard_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle, (void)flags;
	return range(VIRTIO_BLK_T_DISCARD, "trim", count, offset, geometry()->discard_sectors_max, 0);
}

static int outboard_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	bool unmap = (flags & NBDKIT_FLAG_MAY_TRIM) != 0 && geometry()->write_zeroes_may_unmap;

	(void)handle;
	return range(VIRTIO_BLK_T_WRITE_ZEROES, "write zeroes", count, offset, geometry()->write_zeroes_sectors_max,
		     unmap ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0);
}

static int outboard_config(const char *key, const char *value)
{
	if (strcmp(key, "vhost") != 0) {
		nbdkit_error("unknown parameter '%s'; the only one is vhost=SOCKET", key);
		return -1;
	}
	free(plugin.socket_path);
	plugin.socket_path = nbdkit_absolute_path(value);
	return plugin.socket_path != NULL ? 0 : -1;
}

static int outboard_config_complete(void)
{
	if (plugin.socket_path != NULL)
		return 0;
	nbdkit_error("vhost=SOCKET is missing: the vhost-user socket that `outboard volume attach` printed");
	return -1;
}

/* Before nbdkit goes to the background, so that a person sees what is wrong. Shared memory and descriptors survive the fork. */
static int outboard_get_ready(void)
{
	const struct blk_driver_config config = {.queue_count = 1, .depth = TAGS, .data_bytes = PIECE_BYTES};

	if (blk_driver_connect(&plugin.driver, plugin.socket_path, VHOST_USER_CLIENT_TIMEOUT_DEFAULT_MS) != 0 ||
	    blk_driver_start(&plugin.driver, &config) != 0) {
		nbdkit_error("%s: %s", plugin.socket_path, plugin.driver.client.error);
		blk_driver_close(&plugin.driver);
		return -1;
	}
	for (uint16_t tag = 0; tag < TAGS; tag++)
		plugin.free_tags[plugin.free_count++] = tag;
	return 0;
}

static void outboard_unload(void)
{
	if (plugin.socket_path != NULL && plugin.free_count > 0)
		blk_driver_close(&plugin.driver);
	free(plugin.socket_path);
}

static void *outboard_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t outboard_get_size(void *handle)
{
	int64_t size;

	(void)handle;
	pthread_mutex_lock(&plugin.lock);
	if (!plugin.broken && !plugin.led)
		look_at_connection(); /* it may have grown */
	size = (int64_t)geometry()->capacity_bytes;
	pthread_mutex_unlock(&plugin.lock);
	return size;
}

static int outboard_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	(void)handle;
	*minimum = geometry()->block_size_bytes;
	*preferred = *minimum > 4096 ? *minimum : 4096;
	*maximum = NBD_REQUEST_BYTES_MAX;
	return 0;
}

static int outboard_can_write(void *handle)
{
	(void)handle;
	return !geometry()->read_only;
}

static int outboard_can_flush(void *handle)
{
	(void)handle;
	return 1;
}

static int outboard_can_fua(void *handle)
{
	(void)handle;
	return geometry()->flush ? NBDKIT_FUA_EMULATE : NBDKIT_FUA_NATIVE;
}

static int outboard_can_trim(void *handle)
{
	(void)handle;
	return geometry()->discard;
}

static int outboard_can_zero(void *handle)
{
	(void)handle;
	return geometry()->write_zeroes;
}

/* One device behind all connections: a flush on one covers the writes of all. */
static int outboard_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static struct nbdkit_plugin nbdkit = {
	.name = "outboard",
	.longname = "nbdkit Outboard plugin",
	.version = OUTBOARD_VERSION,
	.description = "serves a vhost-user-blk device over NBD",
	.config_help = "vhost=SOCKET     (required) the vhost-user socket of the device",
	.magic_config_key = "vhost",
	.unload = outboard_unload,
	.config = outboard_config,
	.config_complete = outboard_config_complete,
	.get_ready = outboard_get_ready,
	.open = outboard_open,
	.get_size = outboard_get_size,
	.block_size = outboard_block_size,
	.can_write = outboard_can_write,
	.can_flush = outboard_can_flush,
	.can_fua = outboard_can_fua,
	.can_trim = outboard_can_trim,
	.can_zero = outboard_can_zero,
	.can_multi_conn = outboard_can_multi_conn,
	.pread = outboard_pread,
	.pwrite = outboard_pwrite,
	.flush = outboard_flush,
	.trim = outboard_trim,
	.zero = outboard_zero,
};

#pragma GCC diagnostic ignored "-Wmissing-prototypes" /* nbdkit's macro defines the entry point without declaring it */
NBDKIT_REGISTER_PLUGIN(nbdkit)
