#include "virtio/ring_watch.h"

bool ring_watch_look(struct ring_watch *w, struct account *a, unsigned found, bool asleep, uint64_t now_tsc)
{
	bool more = found > w->known;
	struct sighting *s;
	unsigned fresh;

	account_advance(a, now_tsc);
	if (more) {
		fresh = found - w->known;
		if (w->count < SIGHTINGS_MAX) {
			s = &w->sightings[(w->first + w->count++) % SIGHTINGS_MAX];
			*s = (struct sighting){.since_tsc = asleep ? now_tsc : w->looked_tsc};
		} else {
			s = &w->sightings[(w->first + SIGHTINGS_MAX - 1) % SIGHTINGS_MAX];
		}
		s->count += fresh;
		w->known = (uint16_t)found;
		ACCOUNT_SET(a->arrivals, a->arrivals + fresh);
		ACCOUNT_SET(a->occupancy_ticks, a->occupancy_ticks + fresh * (now_tsc - s->since_tsc));
	}
	w->looked_tsc = now_tsc;
	return more;
}

void ring_watch_taken(struct ring_watch *w, struct account *a, unsigned count, uint64_t now_tsc)
{
	w->known = (uint16_t)(w->known - count);
	while (count > 0) {
		struct sighting *s = &w->sightings[w->first % SIGHTINGS_MAX];
		uint32_t part = s->count < count ? s->count : count;

		account_depart(a, now_tsc, part, 0, now_tsc - s->since_tsc);
		count -= part;
		s->count -= part;
		if (s->count == 0) {
			w->first = (uint8_t)((w->first + 1) % SIGHTINGS_MAX);
			w->count--;
		}
	}
}
