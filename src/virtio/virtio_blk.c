/* The device: features (VIRTIO 1.2, 5.2.3) and configuration space (5.2.4). */
#include "virtio/virtio_blk.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "virtio/virtqueue.h"

enum { PAGE_BYTES = 4096 }; /* what back ends are best at, whatever the block size */

/* device_state.write_cache: 0 until the driver has written the field. */
enum write_cache { WRITE_CACHE_UNSET, WRITE_CACHE_BACK, WRITE_CACHE_THROUGH };

#define BIT(n) (UINT64_C(1) << (n))

int virtio_blk_create(struct virtio_blk **out, const struct virtio_blk_config *config)
{
	struct virtio_blk *blk;
	uint64_t features = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			    BIT(VBLK_F_SEG_MAX) | BIT(VBLK_F_BLK_SIZE) | BIT(VBLK_F_TOPOLOGY) | BIT(VBLK_F_FLUSH) |
			    BIT(VBLK_F_CONFIG_WCE) | BIT(VBLK_F_MQ);

	if (config->queues_max == 0 || config->queues_max > DEVICE_QUEUES_MAX)
		return -EINVAL;
	blk = calloc(1, sizeof(*blk));
	if (blk == NULL)
		return -ENOMEM;
	if (config->packed_allowed)
		features |= BIT(VIRTIO_F_RING_PACKED);
	if (config->target->read_only)
		features |= BIT(VBLK_F_RO);
	else
		features |= BIT(VBLK_F_DISCARD) | BIT(VBLK_F_WRITE_ZEROES) | BIT(VBLK_F_SECURE_ERASE);
	blk->target = config->target;
	blk->features = features;
	blk->queues_max = config->queues_max;
	blk->write_back = 1;
	blk->broken = config->broken;
	blk->context = config->context;
	memcpy(blk->serial, config->serial, strnlen(config->serial, sizeof(blk->serial)));
	*out = blk;
	return 0;
}

void virtio_blk_free(struct virtio_blk *blk)
{
	free(blk);
}

uint64_t virtio_blk_features(const struct virtio_blk *blk)
{
	return blk->features;
}

/* 5.2.5.2: a driver that took CONFIG_WCE and not FLUSH starts with write through. */
static uint8_t write_back_of(const struct device_state *state)
{
	if (state->write_cache != WRITE_CACHE_UNSET)
		return state->write_cache == WRITE_CACHE_BACK;
	return (state->features & BIT(VBLK_F_CONFIG_WCE)) == 0 || (state->features & BIT(VBLK_F_FLUSH)) != 0;
}

static void fill(const struct virtio_blk *blk, const struct device_state *state, uint8_t *config)
{
	uint32_t block_bytes = blk->target->block_size_bytes, block_sectors = block_bytes / VBLK_SECTOR_BYTES;
	uint32_t blocks_a_page = block_bytes < PAGE_BYTES ? PAGE_BYTES / block_bytes : 1;

	put_le64(config + VBLK_CONFIG_CAPACITY,
		 __atomic_load_n(&blk->target->capacity_bytes, __ATOMIC_RELAXED) / VBLK_SECTOR_BYTES);
	put_le32(config + VBLK_CONFIG_SEG_MAX, VIRTIO_BLK_SEG_MAX);
	put_le32(config + VBLK_CONFIG_BLK_SIZE, block_bytes);
	config[VBLK_CONFIG_PHYSICAL_BLOCK_EXP] = (uint8_t)__builtin_ctz(blocks_a_page);
	put_le16(config + VBLK_CONFIG_MIN_IO_SIZE, (uint16_t)blocks_a_page);
	config[VBLK_CONFIG_WRITEBACK] = write_back_of(state);
	put_le16(config + VBLK_CONFIG_NUM_QUEUES, blk->queues_max);
	if ((blk->features & BIT(VBLK_F_RO)) != 0)
		return;
	put_le32(config + VBLK_CONFIG_MAX_DISCARD_SECTORS, VIRTIO_BLK_DISCARD_SECTORS_MAX);
	put_le32(config + VBLK_CONFIG_MAX_DISCARD_SEG, VIRTIO_BLK_DISCARD_SEG_MAX);
	put_le32(config + VBLK_CONFIG_DISCARD_SECTOR_ALIGNMENT, block_sectors);
	put_le32(config + VBLK_CONFIG_MAX_WRITE_ZEROES_SECTORS, VIRTIO_BLK_ZEROES_SECTORS_MAX);
	put_le32(config + VBLK_CONFIG_MAX_WRITE_ZEROES_SEG, VIRTIO_BLK_DISCARD_SEG_MAX);
	config[VBLK_CONFIG_WRITE_ZEROES_MAY_UNMAP] = 1;
	put_le32(config + VBLK_CONFIG_MAX_SECURE_ERASE_SECTORS, VIRTIO_BLK_DISCARD_SECTORS_MAX);
	put_le32(config + VBLK_CONFIG_MAX_SECURE_ERASE_SEG, VIRTIO_BLK_DISCARD_SEG_MAX);
	put_le32(config + VBLK_CONFIG_SECURE_ERASE_SECTOR_ALIGNMENT, block_sectors);
}

int virtio_blk_config_read(const struct virtio_blk *blk, const struct device_state *state, uint32_t offset, void *data,
			   uint32_t size)
{
	uint8_t config[VIRTIO_BLK_CONFIG_BYTES] = {0};

	if (offset > sizeof(config) || size > sizeof(config) - offset)
		return -EINVAL;
	fill(blk, state, config);
	memcpy(data, config + offset, size);
	return 0;
}

int virtio_blk_config_write(struct virtio_blk *blk, struct device_state *state, uint32_t offset, const void *data, uint32_t size)
{
	uint8_t value;

	if (offset != VBLK_CONFIG_WRITEBACK || size != 1 || (blk->features & BIT(VBLK_F_CONFIG_WCE)) == 0)
		return -EINVAL;
	value = *(const uint8_t *)data;
	if (value > 1)
		return -EINVAL;
	state->write_cache = value != 0 ? WRITE_CACHE_BACK : WRITE_CACHE_THROUGH;
	__atomic_store_n(&blk->write_back, value, __ATOMIC_RELAXED);
	return 0;
}

void virtio_blk_cache_mode(struct virtio_blk *blk, const struct device_state *state)
{
	__atomic_store_n(&blk->write_back, write_back_of(state), __ATOMIC_RELAXED);
}
