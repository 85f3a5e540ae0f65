/* The device: features (VIRTIO 1.2, 5.1.3) and configuration space (5.1.4). */
#include "virtio/virtio_net.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "virtio/net_queue.h"

enum { ETHERNET_BYTES = 14 };

#define BIT(n) (UINT64_C(1) << (n))

/*
 * CTRL_VQ and GUEST_ANNOUNCE ask nothing of us: the control queue is the VMM's. QEMU and DPDK offer it themselves; others, and
 * QEMU for GUEST_ANNOUNCE, offer their guests no more than the back end does. ANY_LAYOUT is for drivers before VERSION_1.
 */
uint64_t virtio_net_offered(const struct virtio_net_config *config)
{
	uint64_t features = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ANY_LAYOUT) | BIT(VIRTIO_RING_F_EVENT_IDX) |
			    BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VNET_F_MAC) | BIT(VNET_F_STATUS) | BIT(VNET_F_MTU) |
			    BIT(VNET_F_MRG_RXBUF) | BIT(VNET_F_CTRL_VQ) | BIT(VNET_F_GUEST_ANNOUNCE);

	features |= BIT(VNET_F_CSUM) | BIT(VNET_F_HOST_TSO4) | BIT(VNET_F_HOST_TSO6) | BIT(VNET_F_HOST_ECN) | BIT(VNET_F_HOST_USO);
	features |= BIT(VNET_F_GUEST_CSUM) | BIT(VNET_F_GUEST_TSO4) | BIT(VNET_F_GUEST_TSO6) | BIT(VNET_F_GUEST_ECN) |
		    BIT(VNET_F_GUEST_USO4) | BIT(VNET_F_GUEST_USO6);
	if (config->pairs_max > 1)
		features |= BIT(VNET_F_MQ);
	if (config->packed_allowed)
		features |= BIT(VIRTIO_F_RING_PACKED);
	return features;
}

int virtio_net_create(struct virtio_net **out, const struct virtio_net_config *config)
{
	struct virtio_net *net;

	if (config->pairs_max == 0 || config->pairs_max > VIRTIO_NET_PAIRS_MAX)
		return -EINVAL;
	net = calloc(1, sizeof(*net));
	if (net == NULL)
		return -ENOMEM;
	if (config->pairs_max > 1) {
		net->steer = calloc(1, sizeof(*net->steer));
		if (net->steer == NULL) {
			free(net);
			return -ENOMEM;
		}
	}
	net->sink.ops = &net_sink_ops;
	net->sink.frame_bytes_max = config->mtu + ETHERNET_BYTES;
	net->input = config->input;
	net->features = virtio_net_offered(config);
	net->mac = config->mac;
	net->mtu = config->mtu;
	net->pairs_max = config->pairs_max;
	net->status = VNET_S_LINK_UP;
	net->broken = config->broken;
	net->context = config->context;
	*out = net;
	return 0;
}

void virtio_net_free(struct virtio_net *net)
{
	if (net == NULL)
		return;
	free(net->steer);
	free(net);
}

uint64_t virtio_net_features(const struct virtio_net *net)
{
	return net->features;
}

struct packet_sink *virtio_net_sink(struct virtio_net *net)
{
	return &net->sink;
}

void virtio_net_set_link(struct virtio_net *net, bool up)
{
	__atomic_store_n(&net->status, up ? VNET_S_LINK_UP : 0, __ATOMIC_RELAXED);
}

int virtio_net_config_read(const struct virtio_net *net, const struct device_state *state, uint32_t offset, void *data,
			   uint32_t size)
{
	uint8_t config[VIRTIO_NET_CONFIG_BYTES] = {0};

	(void)state;
	if (offset > sizeof(config) || size > sizeof(config) - offset)
		return -EINVAL;
	memcpy(config + VNET_CONFIG_MAC, net->mac.bytes, sizeof(net->mac.bytes));
	put_le16(config + VNET_CONFIG_STATUS, __atomic_load_n(&net->status, __ATOMIC_RELAXED));
	put_le16(config + VNET_CONFIG_MAX_PAIRS, net->pairs_max);
	put_le16(config + VNET_CONFIG_MTU, net->mtu);
	memcpy(data, config + offset, size);
	return 0;
}

/* 5.1.4.2: all of it is for drivers to read; MAC addresses are set with the control queue, and not here. */
int virtio_net_config_write(struct virtio_net *net, struct device_state *state, uint32_t offset, const void *data, uint32_t size)
{
	(void)net;
	(void)state;
	(void)offset;
	(void)data;
	(void)size;
	return -EINVAL;
}
