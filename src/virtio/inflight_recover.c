/*
 * Recovery of an in-flight record. Its content was written by a process that may have been killed at any instruction, came back
 * through the VMM, and so may also be anything at all: every index is checked before it is used, every walk is bounded, and what
 * cannot be is -EINVAL. Recovery can be killed too: each store leaves a record that recovers to the same result.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/inflight_queue.h"

struct order {
	uint64_t counter;
	uint16_t entry;
};

static int compare_order(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return (x->entry > y->entry) - (x->entry < y->entry);
}

/* Sorts what was collected by counter, oldest first, and goes on counting after the newest. */
static void put_in_order(struct inflight_queue *q, struct order *orders, struct inflight_recovery *out)
{
	qsort(orders, out->count, sizeof(*orders), compare_order);
	for (unsigned i = 0; i < out->count; i++)
		out->entries[i] = orders[i].entry;
	q->counter = out->count > 0 ? orders[out->count - 1].counter + 1 : 0;
}

/* ---- split ---- */

static void initialise_split(struct inflight_queue *q, uint16_t used_idx)
{
	struct inflight_split *s = q->split;

	for (unsigned i = 0; i < q->size; i++)
		if (s->desc[i].inflight != 0)
			s->desc[i].inflight = 0;
	s->desc_num = q->size;
	s->last_batch_head = 0;
	s->used_idx = used_idx;
	record_order();
	s->version = INFLIGHT_VERSION;
	record_order();
}

/* The used index had moved before the record followed: what was in that batch is done. */
static int finish_batch(struct inflight_queue *q, uint16_t ring_used_idx)
{
	struct inflight_split *s = q->split;
	uint16_t batch = (uint16_t)(ring_used_idx - s->used_idx), head = s->last_batch_head;

	if (batch > q->size)
		return -EINVAL;
	for (; batch > 0; batch--) {
		if (head >= q->size)
			return -EINVAL;
		s->desc[head].inflight = 0;
		head = s->desc[head].next;
	}
	record_order();
	s->used_idx = ring_used_idx;
	record_order();
	return 0;
}

int inflight_recover_split(struct inflight_queue *q, uint16_t ring_size, uint16_t ring_used_idx, struct inflight_recovery *out)
{
	struct inflight_split *s = q->split;
	struct order orders[VIRTQUEUE_SIZE_MAX];
	int err;

	out->valid = s->version != 0;
	out->next_used = ring_used_idx;
	out->count = 0;
	if (q->is_packed || ring_size > q->size)
		return -EINVAL;
	if (!out->valid)
		initialise_split(q, ring_used_idx);
	if (s->version != INFLIGHT_VERSION || s->desc_num != q->size)
		return -EINVAL;
	err = finish_batch(q, ring_used_idx);
	if (err < 0)
		return err;
	for (uint16_t i = 0; i < q->size; i++) {
		uint8_t inflight = __atomic_load_n(&s->desc[i].inflight, __ATOMIC_RELAXED);

		if (inflight == 0)
			continue;
		if (inflight != 1 || i >= ring_size)
			return -EINVAL;
		orders[out->count++] = (struct order){.counter = s->desc[i].counter, .entry = i};
	}
	out->in_flight_slots = out->count;
	q->last_batch_head = 0;
	put_in_order(q, orders, out);
	return 0;
}

/* ---- packed ---- */

static int take_memory(struct inflight_queue *q)
{
	if (q->next == NULL)
		q->next = calloc(q->size, sizeof(*q->next));
	if (q->last == NULL)
		q->last = calloc(q->size, sizeof(*q->last));
	return q->next == NULL || q->last == NULL ? -ENOMEM : 0;
}

static void initialise_packed(struct inflight_queue *q, uint16_t next_used, bool used_wrap)
{
	struct inflight_packed *p = q->packed;

	for (uint16_t i = 0; i < q->size; i++) {
		p->desc[i].inflight = 0;
		p->desc[i].next = (uint16_t)(i + 1);
	}
	p->desc_num = q->size;
	p->free_head = 0;
	p->old_free_head = 0;
	p->used = (union inflight_packed_used){.used_idx = next_used,
					       .old_used_idx = next_used,
					       .used_wrap_counter = used_wrap,
					       .old_used_wrap_counter = used_wrap};
	record_order();
	p->version = INFLIGHT_VERSION;
	record_order();
}

static bool slot_available(uint16_t flags, bool wrap)
{
	bool available = (flags >> VRING_PACKED_DESC_F_AVAIL) & 1, used = (flags >> VRING_PACKED_DESC_F_USED) & 1;

	return available == wrap && used != wrap;
}

/* Commits the last update when the guest could see it, and rolls it back when not. */
static int settle_update(struct inflight_packed *p, const struct vring_packed_desc *ring, uint16_t ring_size)
{
	union inflight_packed_used used = {.word = __atomic_load_n(&p->used.word, __ATOMIC_RELAXED)};

	if (used.used_idx >= ring_size || used.old_used_idx >= ring_size || used.used_wrap_counter > 1 ||
	    used.old_used_wrap_counter > 1)
		return -EINVAL;
	if ((used.used_idx != used.old_used_idx || used.used_wrap_counter != used.old_used_wrap_counter) &&
	    !slot_available(__atomic_load_n(&ring[used.old_used_idx].flags, __ATOMIC_RELAXED), used.old_used_wrap_counter)) {
		p->old_free_head = p->free_head;
		used.old_used_idx = used.used_idx;
		used.old_used_wrap_counter = used.used_wrap_counter;
		record_order();
		__atomic_store_n(&p->used.word, used.word, __ATOMIC_RELAXED);
	}
	record_order();
	p->free_head = p->old_free_head;
	used.used_idx = used.old_used_idx;
	used.used_wrap_counter = used.old_used_wrap_counter;
	__atomic_store_n(&p->used.word, used.word, __ATOMIC_RELAXED);
	record_order();
	return 0;
}

/* "Set the inflight field of each entry in free list to 0": takes that were not finished, and the batch that was committed. */
static void clear_free_list(struct inflight_queue *q)
{
	struct inflight_packed *p = q->packed;
	uint16_t entry = p->free_head;

	for (unsigned i = 0; i < q->size && entry < q->size; i++) {
		p->desc[entry].inflight = 0;
		entry = __atomic_load_n(&p->desc[entry].next, __ATOMIC_RELAXED);
	}
}

/* Marks the entries of one chain as owned; -EINVAL when it is not a chain of its own. */
static int own_chain(struct inflight_queue *q, uint16_t head, uint16_t ring_size, bool *owned, uint16_t *count)
{
	struct inflight_packed *p = q->packed;
	uint16_t entry = head, last = head, num = p->desc[head].num;

	if (num == 0 || num > ring_size)
		return -EINVAL;
	for (uint16_t i = 0; i < num; i++) {
		if (entry >= q->size || owned[entry])
			return -EINVAL;
		owned[entry] = true;
		last = entry;
		entry = __atomic_load_n(&p->desc[entry].next, __ATOMIC_RELAXED);
		q->next[last] = entry;
	}
	if (p->desc[head].last != last)
		return -EINVAL;
	q->last[head] = last;
	*count = num;
	return 0;
}

/*
 * Strings every entry without an owner onto one free list. From the end: an entry that is rewritten leads only to entries that
 * are, and one that is not yet leads where it led, so that a kill never leaves a list that reaches a request in flight.
 */
static void rebuild_free_list(struct inflight_queue *q, const bool *owned)
{
	uint16_t next = q->size;

	for (uint16_t i = q->size; i-- > 0;) {
		if (owned[i])
			continue;
		q->next[i] = next;
		q->packed->desc[i].next = next;
		record_order();
		next = i;
	}
	q->free_head = next;
	q->packed->free_head = next;
	record_order();
	q->packed->old_free_head = next;
	record_order();
}

int inflight_recover_packed(struct inflight_queue *q, const struct vring_packed_desc *ring, uint16_t ring_size, uint16_t next_used,
			    bool used_wrap, struct inflight_recovery *out)
{
	struct inflight_packed *p = q->packed;
	struct order orders[VIRTQUEUE_SIZE_MAX];
	bool owned[VIRTQUEUE_SIZE_MAX] = {false};
	unsigned slots = 0;
	int err = q->is_packed && ring_size <= q->size ? take_memory(q) : -EINVAL;

	if (err < 0)
		return err;
	out->valid = p->version != 0;
	out->count = 0;
	if (!out->valid)
		initialise_packed(q, next_used, used_wrap);
	if (p->version != INFLIGHT_VERSION || p->desc_num != q->size)
		return -EINVAL;
	err = settle_update(p, ring, ring_size);
	if (err < 0)
		return err;
	clear_free_list(q);
	for (uint16_t i = 0; i < q->size; i++) {
		uint8_t inflight = __atomic_load_n(&p->desc[i].inflight, __ATOMIC_RELAXED);
		uint16_t count = 0;

		if (inflight == 0)
			continue;
		err = inflight == 1 ? own_chain(q, i, ring_size, owned, &count) : -EINVAL;
		slots += count;
		if (err < 0 || slots > ring_size)
			return -EINVAL;
		orders[out->count++] = (struct order){.counter = p->desc[i].counter, .entry = i};
	}
	rebuild_free_list(q, owned);
	out->next_used = p->used.used_idx;
	out->used_wrap = p->used.used_wrap_counter;
	out->in_flight_slots = (uint16_t)slots;
	put_in_order(q, orders, out);
	return out->next_used < ring_size ? 0 : -EINVAL;
}

void inflight_close(struct inflight_queue *q)
{
	if (!q->drained)
		return;
	record_order();
	if (q->is_packed)
		q->packed->version = 0;
	else
		q->split->version = 0;
	record_order();
}
