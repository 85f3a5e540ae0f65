#include "load/net_driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/vhost_user_proto.h"

#define BIT(n) (UINT64_C(1) << (n))

enum {
	LINE_BYTES = 64,
	FRAME_OVERHEAD_BYTES = 14 + 4, /* beyond the MTU: Ethernet header and VLAN tag */
	SEGMENTED_BYTES_MAX = 65562,   /* 5.1.6.3.1: what a buffer must hold when frames come unsegmented and unmerged */
	CONFIG_BYTES = offsetof(struct virtio_net_config, speed),
};

static const struct vhost_user_client_device DEVICE = {
	.protocol_features = BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) | BIT(VHOST_USER_PROTOCOL_F_MTU) |
			     BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
			     BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS),
	.socket_missing = "attach an ENI (`outboard eni attach`) or start the back end first, and use its path",
};

#define fail(driver, result, ...) (snprintf((driver)->client.error, sizeof((driver)->client.error), __VA_ARGS__), (result))

static bool offers(const struct net_driver *driver, unsigned feature)
{
	return vhost_user_client_offers(&driver->client, feature);
}

/* The configuration space is optional with vhost-user: what it does not tell, the caller is asked. */
static int read_facts(struct net_driver *driver)
{
	struct net_facts *facts = &driver->facts;
	struct virtio_net_config config = {0};
	uint32_t size = 0;
	int error;

	facts->queues_max = driver->client.queues_max > 0 ? (uint16_t)driver->client.queues_max : 1;
	if (!offers(driver, VIRTIO_NET_F_MQ))
		facts->queues_max = 1;
	driver->client.config_changed = false;
	if (!vhost_user_client_has(&driver->client, VHOST_USER_PROTOCOL_F_CONFIG))
		return 0;
	error = vhost_user_client_config_read(&driver->client, 0, &config, CONFIG_BYTES, &size);
	if (error != 0)
		return error;
	if (size < CONFIG_BYTES)
		return fail(driver, -EPROTO,
			    "the back end's configuration makes no sense for a NIC (%u bytes); is it a vhost-user-net one?", size);
	facts->mac_known = offers(driver, VIRTIO_NET_F_MAC);
	memcpy(facts->mac.bytes, config.mac, sizeof(facts->mac.bytes));
	facts->link_known = offers(driver, VIRTIO_NET_F_STATUS);
	facts->link_up = (config.status & VIRTIO_NET_S_LINK_UP) != 0;
	if (offers(driver, VIRTIO_NET_F_MTU))
		facts->mtu = config.mtu;
	if (offers(driver, VIRTIO_NET_F_MQ) && config.max_virtqueue_pairs > 0 && config.max_virtqueue_pairs < facts->queues_max)
		facts->queues_max = config.max_virtqueue_pairs;
	return 0;
}

void net_driver_init(struct net_driver *driver)
{
	memset(driver, 0, sizeof(*driver));
	driver->client.socket = -1;
	driver->client.backend_channel = -1;
	driver->memory.fd = -1;
}

int net_driver_connect(struct net_driver *driver, const char *socket_path, int timeout_ms)
{
	int error;

	net_driver_init(driver);
	error = vhost_user_client_connect(&driver->client, &DEVICE, socket_path, timeout_ms);
	if (error == 0 && !offers(driver, VIRTIO_F_VERSION_1))
		error = fail(driver, -EOPNOTSUPP,
			     "the back end speaks only the legacy virtio of before 1.0, which this driver does not");
	return error == 0 ? read_facts(driver) : error;
}

void net_driver_close(struct net_driver *driver)
{
	vhost_user_client_close(&driver->client);
	for (unsigned i = 0; i < driver->queues_created; i++) {
		net_receive_free(&driver->receive[i]);
		driver_ring_free(&driver->transmit[i].ring);
	}
	free(driver->receive);
	free(driver->transmit);
	shared_memory_free(&driver->memory);
	net_driver_init(driver);
}

static int choose_features(struct net_driver *driver)
{
	const struct net_driver_config *config = &driver->config;
	uint64_t wanted = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_NET_F_MRG_RXBUF) |
			  BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU);
	const uint64_t checksum = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM);
	const uint64_t segmentation = BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_GUEST_TSO4) |
				      BIT(VIRTIO_NET_F_GUEST_TSO6);

	if (config->packed && !offers(driver, VIRTIO_F_RING_PACKED))
		return fail(driver, -EOPNOTSUPP, "the back end does not offer packed rings; leave --packed out");
	if (config->indirect && !offers(driver, VIRTIO_RING_F_INDIRECT_DESC))
		return fail(driver, -EOPNOTSUPP, "the back end does not offer indirect descriptors; leave --indirect out");
	if (config->checksum && !offers(driver, VIRTIO_NET_F_CSUM))
		return fail(driver, -EOPNOTSUPP, "the back end does not offer to complete checksums; leave --csum and --tso out");
	if (config->segmentation && !(offers(driver, VIRTIO_NET_F_HOST_TSO4) && offers(driver, VIRTIO_NET_F_HOST_TSO6)))
		return fail(driver, -EOPNOTSUPP,
			    "the back end does not offer TSO; leave --tso out, or start it with TSO (testpmd: tso=1 of net_vhost)");
	wanted |= config->packed ? BIT(VIRTIO_F_RING_PACKED) : 0;
	wanted |= config->indirect ? BIT(VIRTIO_RING_F_INDIRECT_DESC) : 0;
	wanted |= config->checksum ? checksum : 0;
	wanted |= config->segmentation ? segmentation : 0;
	wanted |= config->queue_count > 1 ? BIT(VIRTIO_NET_F_MQ) : 0;
	driver->features = driver->client.features_offered & wanted;
	if (!net_driver_has(driver, VIRTIO_NET_F_GUEST_CSUM)) /* 5.1.3.1 */
		driver->features &= ~(BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6));
	return 0;
}

static struct driver_ring_config ring_config(const struct net_driver *driver)
{
	return (struct driver_ring_config){.chain_count = driver->config.ring_size,
					   .segments_max = 1,
					   .packed = driver->config.packed,
					   .event_idx = net_driver_has(driver, VIRTIO_RING_F_EVENT_IDX)};
}

static struct driver_ring_config transmit_config(const struct net_driver *driver)
{
	struct driver_ring_config ring = ring_config(driver);

	ring.indirect = driver->config.indirect;
	ring.segments_max = ring.indirect ? 2 : 1;
	return ring;
}

static struct net_receive_config receive_config(const struct net_driver *driver)
{
	bool segmentation = net_driver_has(driver, VIRTIO_NET_F_GUEST_TSO4) || net_driver_has(driver, VIRTIO_NET_F_GUEST_TSO6);
	struct net_receive_config config = {.ring = ring_config(driver),
					    .buffer_bytes = driver->config.receive_bytes,
					    .merge = net_driver_has(driver, VIRTIO_NET_F_MRG_RXBUF),
					    .checksum = net_driver_has(driver, VIRTIO_NET_F_GUEST_CSUM),
					    .segmentation = segmentation};
	uint32_t frame_bytes = driver->config.frame_bytes_max + FRAME_OVERHEAD_BYTES + NET_HEADER_BYTES;

	if (!config.merge && config.segmentation && config.buffer_bytes < SEGMENTED_BYTES_MAX)
		config.buffer_bytes = SEGMENTED_BYTES_MAX;
	else if (!config.merge && config.buffer_bytes < frame_bytes)
		config.buffer_bytes = frame_bytes;
	return config;
}

static uint32_t transmit_stride(const struct net_driver *driver)
{
	uint32_t bytes = NET_FRAME_OFFSET + driver->config.transmit_bytes_max;

	return (((bytes + LINE_BYTES - 1) / LINE_BYTES) | 1) * LINE_BYTES; /* odd, see net_receive.c */
}

static int create_transmit(struct net_driver *driver, struct net_transmit *transmit)
{
	struct driver_ring_config ring = transmit_config(driver);
	int error;

	error = driver_ring_create(&transmit->ring, &ring, &driver->memory);
	if (error != 0)
		return error;
	transmit->chain_count = ring.chain_count;
	transmit->indirect = ring.indirect;
	transmit->stride_bytes = transmit_stride(driver);
	transmit->buffers =
		shared_memory_take(&driver->memory, (uint64_t)transmit->chain_count * transmit->stride_bytes, LINE_BYTES);
	return transmit->buffers != NULL ? 0 : -ENOMEM;
}

static int create_queues(struct net_driver *driver)
{
	struct driver_ring_config transmit = transmit_config(driver);
	struct net_receive_config receive = receive_config(driver);
	uint64_t bytes;
	int error;

	bytes = driver->config.queue_count *
		(driver_ring_memory_bytes(&transmit) + (uint64_t)transmit.chain_count * transmit_stride(driver) + LINE_BYTES +
		 net_receive_memory_bytes(&receive));
	error = shared_memory_create(&driver->memory, bytes);
	if (error != 0)
		return fail(driver, error, "cannot get %llu MiB of shared memory: %s", (unsigned long long)(bytes >> 20),
			    strerror(-error));
	driver->transmit = calloc(driver->config.queue_count, sizeof(*driver->transmit));
	driver->receive = calloc(driver->config.queue_count, sizeof(*driver->receive));
	if (driver->transmit == NULL || driver->receive == NULL)
		return fail(driver, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < driver->config.queue_count && error == 0; i++) {
		driver->queues_created++;
		driver->transmit[i].ring.kick_fd = driver->transmit[i].ring.call_fd = -1;
		error = net_receive_create(&driver->receive[i], &receive, &driver->memory);
		if (error == 0)
			error = create_transmit(driver, &driver->transmit[i]);
	}
	return error == 0 ? 0 : fail(driver, error, "cannot set up a ring: %s", strerror(-error));
}

/* A device may fill receive buffers as soon as the ring is enabled, so they are there before. */
static int start_queues(struct net_driver *driver)
{
	int error = 0;

	for (unsigned i = 0; i < driver->config.queue_count && error == 0; i++) {
		net_receive_post_all(&driver->receive[i]);
		error = vhost_user_client_queue_start(&driver->client, 2 * i, &driver->receive[i].ring);
		if (error == 0)
			error = vhost_user_client_queue_start(&driver->client, 2 * i + 1, &driver->transmit[i].ring);
	}
	for (unsigned i = 0; i < driver->config.queue_count && error == 0; i++)
		driver_ring_kick_always(&driver->receive[i].ring);
	return error;
}

int net_driver_start(struct net_driver *driver, const struct net_driver_config *config)
{
	int error;

	driver->config = *config;
	driver->config.checksum |= config->segmentation;
	if (config->queue_count > driver->facts.queues_max)
		return fail(driver, -EOPNOTSUPP,
			    "the back end offers %u queue pair%s, not %u; use a smaller --queues, or attach with more",
			    driver->facts.queues_max, driver->facts.queues_max == 1 ? "" : "s", config->queue_count);
	error = choose_features(driver);
	if (error == 0)
		error = create_queues(driver);
	if (error == 0)
		error = vhost_user_client_features_set(&driver->client, driver->features);
	if (error == 0 && config->mtu != 0)
		error = vhost_user_client_mtu_set(&driver->client, config->mtu);
	if (error == 0)
		error = vhost_user_client_memory_set(&driver->client, &driver->memory);
	return error == 0 ? start_queues(driver) : error;
}

void net_transmit_lay(struct net_transmit *transmit, uint16_t chain, uint32_t frame_bytes)
{
	uint8_t *frame = net_transmit_frame(transmit, chain);
	const struct driver_segment one = {frame - NET_HEADER_BYTES, NET_HEADER_BYTES + frame_bytes, false};
	const struct driver_segment two[] = {{frame - NET_HEADER_BYTES, NET_HEADER_BYTES, false}, {frame, frame_bytes, false}};

	if (transmit->indirect)
		driver_ring_lay(&transmit->ring, chain, two, 2);
	else
		driver_ring_lay(&transmit->ring, chain, &one, 1);
}

const char *net_driver_broken(const struct net_driver *driver, unsigned *ring)
{
	for (unsigned i = 0; i < driver->config.queue_count; i++) {
		*ring = 2 * i;
		if (driver->receive[i].ring.broken != NULL)
			return driver->receive[i].ring.broken;
		*ring = 2 * i + 1;
		if (driver->transmit[i].ring.broken != NULL)
			return driver->transmit[i].ring.broken;
	}
	return NULL;
}
