/*
 * How long what a guest made available waits in its ring. Nobody stamps it when it comes: what is seen at one look and was not there
 * at the look before came in between, so its wait is counted from that earlier look (an upper bound), and from the very moment
 * when the queue was asleep.
 */
#ifndef OUTBOARD_VIRTIO_RING_WATCH_H
#define OUTBOARD_VIRTIO_RING_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/account.h"

enum { SIGHTINGS_MAX = 8 }; /* a power of two */

/* Chains that were in the ring at one look and not at the one before. */
struct sighting {
	uint64_t since_tsc; /* that look before */
	uint32_t count;
};

struct ring_watch {
	uint64_t looked_tsc; /* when the ring was last looked at */
	uint16_t known;	     /* chains seen in the ring and not taken: the sum of the sightings */
	uint8_t first, count;
	struct sighting sightings[SIGHTINGS_MAX]; /* a ring, oldest first */
};

/* `found` chains are known to wait now. Says whether some of them are new. */
bool ring_watch_look(struct ring_watch *w, struct account *a, unsigned found, bool asleep, uint64_t now_tsc);
/* The oldest `count` of them were taken. */
void ring_watch_taken(struct ring_watch *w, struct account *a, unsigned count, uint64_t now_tsc);

#endif
