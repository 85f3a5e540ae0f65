/*
 * The driver's side of a virtqueue (VIRTIO 1.2, sections 2.7 split and 2.8 packed), made for load: what can be laid out before
 * the race is laid out before it.
 *
 * Theory of operation. The unit is the *chain*: a request's descriptors, numbered 0 to chain_count - 1, laid out once by
 * driver_ring_lay() and then posted any number of times. Split ring: chain c owns the descriptors from c * segments_max on (or
 * descriptor c and an indirect table), so that posting it is one 16-bit store into the available ring, and completing it one
 * look-up. Packed ring: the chain is kept as a template, and posting copies it into the ring.
 *
 * The ring polls: it asks for no calls, and kicks the back end only when the back end asks for it, so against a back end that
 * polls too there is no system call at all. Whoever wants to sleep calls driver_ring_arm() and waits on call_fd.
 *
 *	post() ... kick() ... reap() -> the chains that are done, to be posted again
 *
 * Nothing that the back end writes is trusted: an index that runs ahead, an unknown or an idle chain in the used ring sets
 * `broken` (a sentence), and from then on reap() returns 0. So does a length beyond what a chain can hold, for whoever reads lengths
 * (reap_lengths). Layers above report what they find in the same place, with driver_ring_accuse(). One thread a ring.
 */
#ifndef OUTBOARD_LOAD_DRIVER_RING_H
#define OUTBOARD_LOAD_DRIVER_RING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "load/shared_memory.h"

enum {
	DRIVER_RING_SIZE_MAX = 1024, /* libvhost-user and SPDK accept no more */
	DRIVER_CHAIN_SEGMENTS_MAX = 128,
};

struct driver_ring_config {
	uint16_t chain_count;
	uint16_t segments_max; /* of one chain */
	bool packed;
	bool indirect;
	bool event_idx;
	uint16_t size_min; /* of the ring, in slots; 0: as small as its chains allow (fewer cache lines to pass to and fro) */
};

struct driver_segment {
	const void *data; /* in the shared memory */
	uint32_t length_bytes;
	bool device_writes;
};

struct driver_ring {
	union {
		struct {
			struct vring_desc *desc;
			struct vring_avail *avail;
			struct vring_used *used;
			uint16_t next_avail;   /* free-running, as in avail->idx */
			uint16_t next_used;    /* free-running */
			uint16_t kicked_avail; /* next_avail when a kick was last considered */
		} split;
		struct {
			struct vring_packed_desc *desc;
			struct vring_packed_desc_event *driver_event;
			struct vring_packed_desc_event *device_event;
			struct vring_packed_desc *templates; /* [chain_count * segments_max], private */
			uint16_t next_avail;		     /* slot */
			uint16_t next_used;		     /* slot */
			uint16_t posted_slots;		     /* since a kick was last considered */
			bool avail_wrap;
			bool used_wrap;
		} packed;
	};
	struct driver_ring_config config;
	struct vring_desc *tables; /* indirect: [chain_count * segments_max], shared */
	uint8_t *posted;	   /* [chain_count] 1 while the back end has it */
	uint32_t *writable_bytes;  /* [chain_count] that the device may write */
	uint16_t *chain_of;	   /* split: chain that starts at a descriptor, or CHAIN_NONE; [size] */
	uint16_t *slots_of;	   /* packed: ring slots that a chain takes; [chain_count] */
	const struct shared_memory *memory;
	const char *broken; /* what rule the back end broke; NULL while it keeps them */
	uint64_t kicks;	    /* eventfd writes */
	uint16_t size;
	uint16_t in_flight; /* chains */
	int kick_fd;
	int call_fd;
};

/* Ring size for this configuration, 0 when it would exceed DRIVER_RING_SIZE_MAX. */
uint16_t driver_ring_size(const struct driver_ring_config *config);
uint64_t driver_ring_memory_bytes(const struct driver_ring_config *config); /* at most, of shared memory */

/* Takes its areas from `memory`, which must outlive the ring. 0, -EINVAL (too large), -ENOMEM, -EMFILE. */
int driver_ring_create(struct driver_ring *ring, const struct driver_ring_config *config, struct shared_memory *memory);
void driver_ring_free(struct driver_ring *ring); /* also after a failed create */

/* The chain must not be in flight. At most segments_max segments; what the device reads comes first (2.7.4.2). */
void driver_ring_lay(struct driver_ring *ring, uint16_t chain, const struct driver_segment *segments, unsigned count);

/* Makes chains available, in this order and with one publication. They are laid out and not in flight. */
void driver_ring_post(struct driver_ring *ring, const uint16_t *chains, unsigned count);
/* Kicks if the back end asks for it: true when that cost a system call. */
bool driver_ring_kick(struct driver_ring *ring);
void driver_ring_kick_always(struct driver_ring *ring); /* after (re)connecting: nobody knows what a new back end has seen */
/* Chains that the back end has completed, at most `max`. */
unsigned driver_ring_reap(struct driver_ring *ring, uint16_t *chains, unsigned max);
/* The same, with how many bytes the back end says it wrote into each: never more than the chain's segments hold. */
unsigned driver_ring_reap_lengths(struct driver_ring *ring, uint16_t *chains, uint32_t *lengths, unsigned max);

/* The back end broke a rule of the device, seen by a layer above: `broken` until the end, unless it is so already. */
static inline void driver_ring_accuse(struct driver_ring *ring, const char *sentence)
{
	if (ring->broken == NULL)
		ring->broken = sentence;
}

/* Asks for a call at the next completion. False when there is one already: do not sleep. */
bool driver_ring_arm(struct driver_ring *ring);
void driver_ring_disarm(struct driver_ring *ring);
bool driver_ring_completed(const struct driver_ring *ring); /* the back end has completed something, not yet reaped */

/* What SET_VRING_ADDR and SET_VRING_BASE say. The base is the next used position, as QEMU gives it after a crash: how far a back
 * end had read beyond that it knows from its in-flight region. */
struct driver_ring_layout {
	void *descriptor_area, *driver_area, *device_area;
};
struct driver_ring_layout driver_ring_layout(const struct driver_ring *ring);
uint32_t driver_ring_base(const struct driver_ring *ring);

/* Back to the state after create, chains still laid out: for a back end without a record of what was in flight. Lists the chains
 * that were (`chains` holds chain_count): the caller posts them again. */
unsigned driver_ring_restart(struct driver_ring *ring, uint16_t *chains);

#endif
