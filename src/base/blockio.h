/*
 * The block request: the one word that devices (src/virtio) and volumes (src/volume) share.
 *
 * Life of a request. A front end takes a `struct blk_io` from its pool, fills it and hands it to a target with
 * blk_submit(); from then until `complete` is called the target owns the request, and may use `next` and `scratch`.
 * `complete` is called exactly once, on the thread that submitted (the poller that owns the volume), and may be called before
 * submit returns: that is the normal case for a back end without a queue (memory, null).
 *
 * The front end has checked, before it submits: offset and length are multiples of the target's block size and inside its
 * capacity; a write-like operation goes only to a target that is not read only; for READ and WRITE the iov's lengths add up to
 * `length_bytes`. iov elements may have any length and alignment. Their memory belongs to the guest and can change under us.
 */
#ifndef OUTBOARD_BASE_BLOCKIO_H
#define OUTBOARD_BASE_BLOCKIO_H

#include <stdint.h>
#include <sys/uio.h>

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,	  /* every write completed before it was submitted is durable when it completes */
	BLK_DISCARD,	  /* contents become undefined (ours: zeroes where the back end can) */
	BLK_WRITE_ZEROES, /* contents become zero; BLK_IO_UNMAP allows to give the space back */
	BLK_SECURE_ERASE, /* contents become unrecoverable from the back end */
};

enum blk_io_flags {
	BLK_IO_UNMAP = 1,   /* WRITE_ZEROES: space may be deallocated */
	BLK_IO_DURABLE = 2, /* complete only when durable: the guest has no FLUSH or has switched the write cache off */
};

struct blk_io {
	uint64_t offset_bytes;
	uint64_t length_bytes;
	struct iovec *iov; /* valid until complete; the target may not change it */
	uint16_t iov_count;
	uint8_t op;    /* enum blk_op */
	uint8_t flags; /* enum blk_io_flags */
	int32_t error; /* as given to complete: 0 or -errno */
	struct blk_io *next;
	void (*complete)(struct blk_io *io, int error);
	uint64_t submit_tsc; /* cached poller time at submit, for accounting */
	uint64_t scratch[4]; /* the target's */
};

struct blk_target;

struct blk_target_ops {
	/* May `io` start at `now_tsc`? 0 when it may (its price is then paid), else the tsc at which to ask again; the caller keeps
	 * it, and asks in order. NULL: always. */
	uint64_t (*admit)(struct blk_target *target, const struct blk_io *io, uint64_t now_tsc);
	/* Takes `count` requests. Never fails: an error is a completion. */
	void (*submit)(struct blk_target *target, struct blk_io **ios, unsigned count, uint64_t now_tsc);
};

/* Embedded at the start of whatever serves requests. Written by the owner's control path only while no request is in flight,
 * except capacity_bytes, which may grow at any time (relaxed atomic). */
struct blk_target {
	const struct blk_target_ops *ops;
	uint64_t capacity_bytes;
	uint32_t block_size_bytes; /* 512 or 4096 */
	uint8_t read_only;
	uint8_t inline_data; /* data is moved inside submit: what a visit starts is what it costs */
};

#endif
