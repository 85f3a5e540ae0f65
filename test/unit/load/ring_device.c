#include "ring_device.h"

#include <linux/virtio_blk.h>
#include <string.h>

static uint8_t *translate(const struct ring_device *d, uint64_t address, uint32_t length)
{
	uint64_t at = address - d->guest_address;

	return address >= d->guest_address && at <= d->memory_bytes && length <= d->memory_bytes - at ? d->memory + at : NULL;
}

static bool add(const struct ring_device *d, struct ring_request *r, uint64_t address, uint32_t length, bool writable,
		const char **why)
{
	uint8_t *data = translate(d, address, length);

	if (data == NULL)
		*why = "buffer outside the memory";
	else if (r->count == RING_DEVICE_SEGMENTS_MAX)
		*why = "too many segments";
	else if (!writable && r->count > 0 && r->segments[r->count - 1].writable)
		*why = "readable after writable (2.7.4.2)";
	if (*why != NULL)
		return false;
	r->segments[r->count].data = data;
	r->segments[r->count].length = length;
	r->segments[r->count++].writable = writable;
	return true;
}

static bool split_chain(const struct ring_device *d, struct ring_request *r, const struct vring_desc *table, uint32_t entries,
			uint32_t at, const char **why)
{
	for (uint32_t steps = 0; steps <= entries; steps++) {
		const struct vring_desc *e = &table[at];

		if ((e->flags & VRING_DESC_F_INDIRECT) != 0) {
			const struct vring_desc *inner = (const void *)translate(d, e->addr, e->len);

			if (inner == NULL || table != d->descriptor_area || e->len % sizeof(*inner) != 0 ||
			    (e->flags & VRING_DESC_F_NEXT) != 0) {
				*why = "bad indirect descriptor";
				return false;
			}
			return split_chain(d, r, inner, e->len / sizeof(*inner), 0, why);
		}
		if (!add(d, r, e->addr, e->len, (e->flags & VRING_DESC_F_WRITE) != 0, why))
			return false;
		if ((e->flags & VRING_DESC_F_NEXT) == 0)
			return true;
		at = e->next;
		if (at >= entries)
			break;
	}
	*why = "chain leaves its table or loops";
	return false;
}

static bool split_fetch(struct ring_device *d, struct ring_request *r, const char **why)
{
	struct vring_avail *avail = d->driver_area;

	if (__atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE) == d->next_avail)
		return false;
	r->id = avail->ring[d->next_avail & (d->size - 1)];
	r->slots = 1;
	d->next_avail++;
	if (r->id >= d->size) {
		*why = "head outside the ring";
		return false;
	}
	return split_chain(d, r, d->descriptor_area, d->size, r->id, why);
}

static bool packed_available(const struct ring_device *d, uint16_t flags)
{
	bool avail = (flags & 1 << VRING_PACKED_DESC_F_AVAIL) != 0, used = (flags & 1 << VRING_PACKED_DESC_F_USED) != 0;

	return avail == d->avail_wrap && used != d->avail_wrap;
}

static bool packed_table(const struct ring_device *d, struct ring_request *r, const struct vring_packed_desc *e, const char **why)
{
	const struct vring_packed_desc *inner = (const void *)translate(d, e->addr, e->len);
	uint32_t count = e->len / sizeof(*inner);

	if (inner == NULL || count == 0 || e->len % sizeof(*inner) != 0) {
		*why = "bad indirect descriptor";
		return false;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!add(d, r, inner[i].addr, inner[i].len, (inner[i].flags & VRING_DESC_F_WRITE) != 0, why))
			return false;
	return true;
}

static bool packed_fetch(struct ring_device *d, struct ring_request *r, const char **why)
{
	struct vring_packed_desc *ring = d->descriptor_area;
	uint16_t flags = __atomic_load_n(&ring[d->next_avail].flags, __ATOMIC_ACQUIRE);

	if (!packed_available(d, flags))
		return false;
	for (r->slots = 1;; r->slots++) {
		const struct vring_packed_desc *e = &ring[d->next_avail];

		flags = e->flags;
		r->id = e->id;
		if (!packed_available(d, flags) || r->slots > d->size)
			*why = "chain with a descriptor that is not available";
		else if ((flags & VRING_DESC_F_INDIRECT) != 0)
			packed_table(d, r, e, why);
		else
			add(d, r, e->addr, e->len, (flags & VRING_DESC_F_WRITE) != 0, why);
		if (*why != NULL)
			return false;
		if (++d->next_avail == d->size) {
			d->next_avail = 0;
			d->avail_wrap = !d->avail_wrap;
		}
		if ((flags & VRING_DESC_F_NEXT) == 0)
			return true;
	}
}

bool ring_device_fetch(struct ring_device *d, struct ring_request *request, const char **why)
{
	*why = NULL;
	request->count = 0;
	return d->packed ? packed_fetch(d, request, why) : split_fetch(d, request, why);
}

static uint8_t transfer(const struct ring_device *d, const struct ring_request *r, const struct virtio_blk_outhdr *header)
{
	uint64_t at = header->sector * 512;
	bool read = header->type == VIRTIO_BLK_T_IN;

	if (header->type == VIRTIO_BLK_T_FLUSH || d->disk == NULL)
		return VIRTIO_BLK_S_OK;
	if (!read && header->type != VIRTIO_BLK_T_OUT)
		return VIRTIO_BLK_S_UNSUPP;
	for (unsigned i = 1; i + 1 < r->count; i++) {
		if (r->segments[i].writable != read || at > d->disk_bytes || r->segments[i].length > d->disk_bytes - at)
			return VIRTIO_BLK_S_IOERR;
		if (read)
			memcpy(r->segments[i].data, d->disk + at, r->segments[i].length);
		else
			memcpy(d->disk + at, r->segments[i].data, r->segments[i].length);
		at += r->segments[i].length;
	}
	return VIRTIO_BLK_S_OK;
}

void ring_device_execute(struct ring_device *d, const struct ring_request *r)
{
	struct virtio_blk_outhdr header;

	memcpy(&header, r->segments[0].data, sizeof(header));
	*r->segments[r->count - 1].data = transfer(d, r, &header);
}

void ring_device_complete(struct ring_device *d, const struct ring_request *r, uint32_t written)
{
	struct vring_used *used = d->device_area;
	struct vring_packed_desc *e = (struct vring_packed_desc *)d->descriptor_area + d->next_used;
	unsigned mark = 1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED;

	if (!d->packed) {
		used->ring[d->next_used & (d->size - 1)] = (struct vring_used_elem){.id = r->id, .len = written};
		d->next_used++;
		__atomic_store_n(&used->idx, d->next_used, __ATOMIC_RELEASE);
		return;
	}
	e->id = r->id;
	e->len = written;
	__atomic_store_n(&e->flags, d->used_wrap ? (uint16_t)mark : 0, __ATOMIC_RELEASE);
	d->next_used = (uint16_t)(d->next_used + r->slots);
	if (d->next_used >= d->size) {
		d->next_used = (uint16_t)(d->next_used - d->size);
		d->used_wrap = !d->used_wrap;
	}
}

unsigned ring_device_serve(struct ring_device *d)
{
	struct ring_request r;
	const char *why;
	unsigned count = 0;

	for (; ring_device_fetch(d, &r, &why); count++) {
		ring_device_execute(d, &r);
		ring_device_complete(d, &r, 1);
	}
	return count;
}

void ring_device_want_kicks(struct ring_device *d, bool wanted)
{
	struct vring_used *used = d->device_area;
	struct vring_packed_desc_event *event = d->device_area;
	uint16_t *avail_event = (uint16_t *)&used->ring[d->size];

	if (d->packed && d->event_idx && wanted) {
		event->off_wrap = (uint16_t)(d->next_avail | d->avail_wrap << 15);
		event->flags = VRING_PACKED_EVENT_FLAG_DESC;
	} else if (d->packed) {
		event->flags = wanted ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE;
	} else if (d->event_idx) {
		*avail_event = (uint16_t)(d->next_avail - (wanted ? 0 : 1));
	} else {
		used->flags = wanted ? 0 : VRING_USED_F_NO_NOTIFY;
	}
}

bool ring_device_call_wanted(const struct ring_device *d)
{
	const struct vring_avail *avail = d->driver_area;
	const struct vring_packed_desc_event *event = d->driver_area;

	if (d->packed && event->flags == VRING_PACKED_EVENT_FLAG_DESC) /* only the next slot is ever asked for by our driver */
		return true;
	if (d->packed)
		return event->flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	if (d->event_idx)
		return avail->ring[d->size] == (uint16_t)(d->next_used - 1);
	return (avail->flags & VRING_AVAIL_F_NO_INTERRUPT) == 0;
}
