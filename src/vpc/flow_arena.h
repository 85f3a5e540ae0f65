/*
 * The memory of a flow table (flow.h), shared by flow_arena.c, which makes it and takes it over, and flow_table.c, which uses it.
 *
 *	offset		what
 *	0		struct flow_arena_header, one page
 *	buckets_at	bucket_count buckets
 *	flows_at	record_count + 1 records; record 0 is nobody's, so that zero memory is an empty table
 *
 * An arena is valid if and only if its magic, version, sizes and length are what this code would make; magic is written last. All
 * zero is an arena that nobody has begun.
 */
#ifndef OUTBOARD_VPC_FLOW_ARENA_H
#define OUTBOARD_VPC_FLOW_ARENA_H

#include "base/keyed_hash.h"
#include "vpc/flow.h"

enum { FLOW_BUCKET_SLOTS = 8 };

/* A slot is free when its tag is 0. The tag is the whole hash: where else an entry may stand is known without its record. */
struct flow_bucket {
	uint32_t tags[FLOW_BUCKET_SLOTS];
	uint32_t indices[FLOW_BUCKET_SLOTS];
} __attribute__((aligned(64)));

struct flow_arena_header {
	uint64_t magic;
	uint32_t version, flow_bytes, bucket_bytes, flows_max, bucket_count, record_count;
	uint64_t buckets_at, flows_at, bytes;
	uint64_t hash_seeds[2 * KEYED_HASH_PAIRS_MAX + 1];
	uint32_t used; /* records 1..used have been in use at some time; grows before a record is written */
};

struct flow_table {
	struct flow_bucket *buckets;
	struct flow *flows;
	uint32_t bucket_mask;
	uint32_t bucket_shift; /* 32 - log2(bucket_count) */
	struct keyed_hash hash;

	uint32_t count, flows_max;
	uint32_t free_head, free_tail, free_count; /* oldest first; FLOW_REUSE_DISTANCE of them are held back */
	uint32_t sweep_next, sweep_left;
	struct flow_arena_header *header;
};

/* Enters a record into a bucket; false: no room within the bounded displacement. And takes it out. */
bool flow_place(struct flow_table *t, uint32_t index, uint32_t hash);
void flow_displace(struct flow_table *t, uint32_t index, uint32_t hash);
/* Appends a record, which is in no bucket, to the free list. */
void flow_free_append(struct flow_table *t, uint32_t index);
/* The outside key of a flow with FLOW_HAS_ALIAS. */
struct flow_key flow_alias_key(const struct flow *f);

#endif
