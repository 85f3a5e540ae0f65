/*
 * What became of the packets: by flow and sequence number, which of those that arrived are new, late, or here for the second time.
 * Per flow a record of 8 bytes: the highest number seen, and which of the 32 up to it were (as a window against replay has it, RFC
 * 4303 3.4.3). What is later than the window counts as reordered: nobody can tell any more whether it is a duplicate.
 */
#ifndef OUTBOARD_LOAD_NET_TRACK_H
#define OUTBOARD_LOAD_NET_TRACK_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

enum { NET_TRACK_WINDOW = 32 };

enum net_track_verdict { NET_TRACK_NEW, NET_TRACK_REORDERED, NET_TRACK_DUPLICATE, NET_TRACK_UNKNOWN };

struct net_track_flow {
	uint32_t highest;
	uint32_t seen; /* bit i: highest - i */
};

struct net_track {
	struct net_track_flow *flows;
	uint32_t flow_count;
};

static inline int net_track_create(struct net_track *track, uint32_t flow_count)
{
	track->flow_count = flow_count;
	track->flows = calloc(flow_count, sizeof(*track->flows));
	return track->flows != NULL ? 0 : -ENOMEM;
}

static inline void net_track_free(struct net_track *track)
{
	free(track->flows);
	track->flows = NULL;
}

/* UNKNOWN: no such flow, or number 0: a signature that was damaged. */
static inline enum net_track_verdict net_track_see(struct net_track *track, uint32_t flow, uint32_t sequence)
{
	struct net_track_flow *f;
	uint32_t ahead, behind;

	if (flow >= track->flow_count || sequence == 0)
		return NET_TRACK_UNKNOWN;
	f = &track->flows[flow];
	ahead = sequence - f->highest;
	if (ahead != 0 && ahead < UINT32_MAX / 2) {
		f->seen = ahead < NET_TRACK_WINDOW ? f->seen << ahead | 1 : 1;
		f->highest = sequence;
		return NET_TRACK_NEW;
	}
	behind = f->highest - sequence;
	if (behind >= NET_TRACK_WINDOW)
		return NET_TRACK_REORDERED;
	if ((f->seen >> behind & 1) != 0)
		return NET_TRACK_DUPLICATE;
	f->seen |= UINT32_C(1) << behind;
	return NET_TRACK_REORDERED;
}

#endif
