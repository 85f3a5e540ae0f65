/* Longest prefix match: a prefix set, and beside it what each prefix leads to. Why not DPDK's rte_lpm: see prefix_set.c. */
#include "vpc/routes.h"

#include <errno.h>
#include <stdlib.h>

#include "vpc/piece.h"
#include "vpc/prefix_set.h"

struct routes {
	const struct prefix_set *destinations;
	struct route_lookup *entries; /* by index in `destinations` */
};

bool routes_find(const struct routes *routes, const struct net_address *address, struct route_lookup *out)
{
	uint32_t i = prefix_set_find(routes->destinations, address);

	if (i == PREFIX_NONE)
		return false;
	*out = routes->entries[i];
	return true;
}

/* The order given decides between equals: qsort may not keep it, addresses in the list do. */
static int by_destination(const void *left, const void *right)
{
	const struct route_lookup *const *a = left, *const *b = right;
	int order = net_prefix_compare(&(*a)->destination, &(*b)->destination);

	return order != 0 ? order : *a < *b ? -1 : 1;
}

int routes_build(const struct routes **out, struct list *owner, const struct route_lookup *entries, uint32_t count)
{
	struct routes *r = piece_new(owner, sizeof(*r));
	const struct route_lookup **sorted = malloc(((size_t)count + 1) * sizeof(*sorted));
	struct net_prefix *prefixes = malloc(((size_t)count + 1) * sizeof(*prefixes));
	uint32_t kept = 0;
	int rc = -ENOMEM;

	if (r == NULL || sorted == NULL || prefixes == NULL)
		goto done;
	r->entries = piece_new(piece_parts(r), count * sizeof(*r->entries));
	if (r->entries == NULL)
		goto done;
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = &entries[i];
	qsort(sorted, count, sizeof(*sorted), by_destination);
	for (uint32_t i = 0; i < count; i++) {
		if (kept > 0 && net_prefix_compare(&sorted[i]->destination, &prefixes[kept - 1]) == 0)
			continue;
		prefixes[kept] = sorted[i]->destination;
		r->entries[kept++] = *sorted[i];
	}
	rc = prefix_set_build(&r->destinations, piece_parts(r), prefixes, kept);
done:
	free(prefixes);
	free(sorted);
	if (rc == 0)
		*out = r;
	else
		piece_free(r);
	return rc;
}
