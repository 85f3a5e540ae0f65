/*
 * Which receive queue a flow belongs on (VIRTIO 1.2, 5.1.6.5.6.1): the one of the pair on which the guest last sent for it. A
 * direct-mapped table of the flows that the guest sent lately; a flow that is not in it is spread by its hash.
 *
 * The key is made from the frame as the guest sees it, the same for both directions. So it does not depend on what the network
 * does to the frame between two guests (addresses are translated there, and each end of a flow has its own hash).
 */
#ifndef OUTBOARD_VIRTIO_NET_STEER_H
#define OUTBOARD_VIRTIO_NET_STEER_H

#include <stdint.h>

enum { NET_STEER_ENTRIES = 1024, NET_STEER_NONE = 255 };

struct net_steer {
	struct {
		uint16_t tag;
		uint8_t pair_next; /* pair + 1; 0: empty */
	} entries[NET_STEER_ENTRIES];
};

/* From the first bytes of a frame; 0: no IP. */
uint32_t net_steer_key(const uint8_t *frame, unsigned bytes);

static inline void net_steer_sent(struct net_steer *s, uint32_t key, unsigned pair)
{
	uint32_t at = key % NET_STEER_ENTRIES;
	uint16_t tag = (uint16_t)(key >> 16);

	if (key == 0 || (s->entries[at].tag == tag && s->entries[at].pair_next == pair + 1))
		return;
	s->entries[at].tag = tag;
	s->entries[at].pair_next = (uint8_t)(pair + 1);
}

static inline unsigned net_steer_pair(const struct net_steer *s, uint32_t key)
{
	uint32_t at = key % NET_STEER_ENTRIES;

	if (key == 0 || s->entries[at].pair_next == 0 || s->entries[at].tag != (uint16_t)(key >> 16))
		return NET_STEER_NONE;
	return s->entries[at].pair_next - 1u;
}

#endif
