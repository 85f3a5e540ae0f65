/* Private to driver_ring*.c: what differs between the split and the packed ring. Same contracts as in driver_ring.h; `lengths` may be
 * NULL: then nobody wants them, and they are not judged. */
#ifndef OUTBOARD_LOAD_DRIVER_RING_KINDS_H
#define OUTBOARD_LOAD_DRIVER_RING_KINDS_H

#include "load/driver_ring.h"

enum { CHAIN_NONE = UINT16_MAX };

int split_ring_create(struct driver_ring *ring, struct shared_memory *memory);
void split_ring_lay(struct driver_ring *ring, uint16_t chain, const struct driver_segment *segments, unsigned count);
void split_ring_post(struct driver_ring *ring, const uint16_t *chains, unsigned count);
bool split_ring_kick_wanted(struct driver_ring *ring);
unsigned split_ring_reap(struct driver_ring *ring, uint16_t *chains, uint32_t *lengths, unsigned max);
bool split_ring_completed(const struct driver_ring *ring);
void split_ring_calls(struct driver_ring *ring, bool wanted);
void split_ring_restart(struct driver_ring *ring);

int packed_ring_create(struct driver_ring *ring, struct shared_memory *memory);
void packed_ring_lay(struct driver_ring *ring, uint16_t chain, const struct driver_segment *segments, unsigned count);
void packed_ring_post(struct driver_ring *ring, const uint16_t *chains, unsigned count);
bool packed_ring_kick_wanted(struct driver_ring *ring);
unsigned packed_ring_reap(struct driver_ring *ring, uint16_t *chains, uint32_t *lengths, unsigned max);
bool packed_ring_completed(const struct driver_ring *ring);
void packed_ring_calls(struct driver_ring *ring, bool wanted);
void packed_ring_restart(struct driver_ring *ring);

/* May the back end have written that much into the chain? If not, the ring is broken. */
static inline bool driver_ring_length_fits(struct driver_ring *ring, uint16_t chain, uint32_t length_bytes)
{
	if (__builtin_expect(length_bytes <= ring->writable_bytes[chain], 1))
		return true;
	ring->broken = "it says that it wrote more bytes than the buffers of a chain hold";
	return false;
}

/* The indirect table of a chain. */
static inline struct vring_desc *driver_ring_table(const struct driver_ring *ring, uint16_t chain)
{
	return ring->tables + (uint32_t)chain * ring->config.segments_max;
}

#endif
