/*
 * Making a flow table's arena, and taking one over. Only the records are taken from it: buckets and the free list are made anew from
 * them, so it does not matter at which instruction the process before was killed, and a record that does not make sense is freed
 * instead of believed.
 */
#include "vpc/flow_arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FLOW_SCALE_MAX = 15, /* four bits */
	PAGE_BYTES = 4096,
	HUGE_BYTES = 2 << 20,
	BUCKETS_MIN = 16,
};

#define ARENA_MAGIC UINT64_C(0x31574f4c4644424f) /* "OBDFLOW1" */

static_assert(sizeof(struct flow_bucket) == 64, "one cache line");
static_assert(sizeof(struct flow_arena_header) <= PAGE_BYTES, "the header is a page");

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

/* What an arena for `flows_max` flows looks like: all but magic, seeds and `used`. */
static struct flow_arena_header arena_plan(uint32_t flows_max)
{
	struct flow_arena_header h = {.version = FLOW_ARENA_VERSION, .flow_bytes = sizeof(struct flow), .flows_max = flows_max};

	h.bucket_bytes = sizeof(struct flow_bucket);
	h.bucket_count = BUCKETS_MIN;
	while ((uint64_t)h.bucket_count * FLOW_BUCKET_SLOTS < 2 * (uint64_t)flows_max)
		h.bucket_count *= 2;
	h.record_count = flows_max + FLOW_REUSE_DISTANCE;
	h.buckets_at = PAGE_BYTES;
	h.flows_at = h.buckets_at + round_up((uint64_t)h.bucket_count * h.bucket_bytes, PAGE_BYTES);
	h.bytes = round_up(h.flows_at + ((uint64_t)h.record_count + 1) * h.flow_bytes, HUGE_BYTES); /* also a MFD_HUGETLB has it */
	return h;
}

static bool arena_matches(const struct flow_arena_header *found, const struct flow_arena_header *plan)
{
	return found->magic == ARENA_MAGIC && found->version == plan->version && found->flow_bytes == plan->flow_bytes &&
	       found->bucket_bytes == plan->bucket_bytes && found->flows_max == plan->flows_max &&
	       found->bucket_count == plan->bucket_count && found->record_count == plan->record_count &&
	       found->buckets_at == plan->buckets_at && found->flows_at == plan->flows_at && found->bytes == plan->bytes &&
	       found->used <= plan->record_count;
}

/* An aligned mapping, so that huge pages fit. */
static int arena_map(void **out, uint64_t bytes, int fd, bool huge)
{
	int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint8_t *room = mmap(NULL, bytes + HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *at;

	if (room == MAP_FAILED)
		return -ENOMEM;
	at = (uint8_t *)(((uintptr_t)room + HUGE_BYTES - 1) & ~(uintptr_t)(HUGE_BYTES - 1));
	if (mmap(at, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
		munmap(room, bytes + HUGE_BYTES);
		return -ENOMEM;
	}
	if (at > room)
		munmap(room, (size_t)(at - room));
	munmap(at + bytes, (size_t)(room + HUGE_BYTES - at));
	if (huge)
		madvise(at, bytes, MADV_HUGEPAGE); /* a kernel without them: it is only slower */
	*out = at;
	return 0;
}

/* Length 0: a new one. Any other length than planned is not ours to change. */
static int arena_grow(int fd, uint64_t bytes)
{
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size == 0)
		return ftruncate(fd, (off_t)bytes) == 0 ? 0 : -ENOMEM;
	return (uint64_t)st.st_size == bytes ? 0 : -EUCLEAN;
}

static int arena_begin(struct flow_arena_header *h, const struct flow_arena_header *plan)
{
	struct keyed_hash hash;

	if (keyed_hash_seed(&hash) != 0)
		return -EIO;
	*h = *plan;
	memcpy(h->hash_seeds, hash.seeds, sizeof(h->hash_seeds));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	h->magic = ARENA_MAGIC;
	return 0;
}

/* Could flow_insert() and flow_track() have left it so? */
static bool record_is_sane(const struct flow_table *t, const struct flow *f)
{
	return f->state >= FLOW_NEW && f->state <= FLOW_CLOSED && f->initiator <= FLOW_IN && f->out.verdict <= FLOW_REFUSED &&
	       f->in.verdict <= FLOW_REFUSED && f->tcp_other <= 1 + FLOW_IN && f->tcp_other_scale <= FLOW_SCALE_MAX &&
	       f->key.zone != FLOW_ZONE_OUTSIDE && f->hash == flow_hash(t, &f->key);
}

static bool record_take_over(struct flow_table *t, uint32_t index)
{
	struct flow *f = &t->flows[index];
	struct flow_key alias;
	uint32_t hash;

	if (!record_is_sane(t, f) || t->count == t->flows_max || flow_find(t, &f->key, f->hash) != FLOW_NONE)
		return false;
	if (!flow_place(t, index, f->hash))
		return false;
	if (f->flags & FLOW_HAS_ALIAS) {
		alias = flow_alias_key(f);
		hash = flow_hash(t, &alias);
		if (flow_find(t, &alias, hash) != FLOW_NONE || !flow_place(t, index, hash)) {
			flow_displace(t, index, f->hash);
			return false;
		}
	}
	if (f->offload_wire != 0) { /* the device and its rules went with the process; what they carried was not seen */
		f->offload_wire = 0;
		f->flags |= FLOW_UNSEEN;
	}
	t->count++;
	return true;
}

static void arena_take_over(struct flow_table *t)
{
	const struct flow_arena_header *h = t->header;

	if (h->used > 0)
		memset(t->buckets, 0, (size_t)h->bucket_count * sizeof(*t->buckets));
	for (uint32_t index = 1; index <= h->used; index++)
		if (!record_take_over(t, index)) {
			t->flows[index].state = FLOW_FREE;
			flow_free_append(t, index);
		}
}

int flow_table_open(struct flow_table **out, uint32_t flows_max, int arena_fd, bool huge)
{
	struct flow_arena_header plan;
	struct flow_table *t;
	void *arena = NULL;
	int rc;

	if (flows_max == 0 || flows_max > FLOWS_LIMIT)
		return -EINVAL;
	plan = arena_plan(flows_max);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	rc = arena_grow(arena_fd, plan.bytes);
	if (rc == 0)
		rc = arena_map(&arena, plan.bytes, arena_fd, huge);
	if (rc != 0)
		goto free_table;
	t->header = arena;
	rc = t->header->magic == 0 ? arena_begin(t->header, &plan) : arena_matches(t->header, &plan) ? 0 : -EUCLEAN;
	if (rc != 0)
		goto unmap;
	t->buckets = (struct flow_bucket *)((uint8_t *)arena + plan.buckets_at);
	t->flows = (struct flow *)((uint8_t *)arena + plan.flows_at);
	t->bucket_mask = plan.bucket_count - 1;
	t->bucket_shift = (uint32_t)__builtin_clz(plan.bucket_count) + 1;
	t->flows_max = flows_max;
	memcpy(t->hash.seeds, t->header->hash_seeds, sizeof(t->hash.seeds));
	arena_take_over(t);
	*out = t;
	return 0;
unmap:
	munmap(arena, plan.bytes);
free_table:
	free(t);
	return rc;
}

void flow_table_close(struct flow_table *t)
{
	if (t == NULL)
		return;
	munmap(t->header, t->header->bytes);
	free(t);
}
