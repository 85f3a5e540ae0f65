/* How other cards are reached: for each host of the policy a wire, an MTU and the outer headers, made when first used and again when
 * the policy, a wire or the neighbour has changed. */
#include <stdlib.h>
#include <string.h>

#include "vpc/pipeline.h"

static void make_path(struct vpc *vpc, struct host_path *path, const struct policy_host *host)
{
	const struct tunnel_template before = path->templates[TUNNEL_VXLAN]; /* the other one changes with it */
	struct net_address next_hop;
	const struct net_address *own;
	const struct mac *mac;
	uint32_t outer;

	path->wire = underlay_route(vpc, &host->address, &next_hop);
	path->mtu = UINT16_MAX;
	memset(path->templates, 0, sizeof(path->templates));
	if (path->wire != NULL) {
		own = &path->wire->config.address.address;
		outer = net_address_is_v4(own) ? TUNNEL_OUTER_V4_BYTES : TUNNEL_OUTER_V6_BYTES;
		path->mtu = (uint16_t)(path->wire->mtu > outer ? path->wire->mtu - outer : 0);
		mac = underlay_resolve(vpc, path->wire, &next_hop, NULL);
		for (unsigned kind = TUNNEL_VXLAN; mac != NULL && kind <= TUNNEL_GENEVE; kind++)
			tunnel_template_make(&path->templates[kind], (enum tunnel_kind)kind, &path->wire->mac, mac, own,
					     &host->address);
	}
	if (memcmp(&before, &path->templates[TUNNEL_VXLAN], sizeof(before)) != 0)
		path->version++;
}

const struct host_path *vpc_path(struct vpc *vpc, uint32_t host_slot)
{
	const struct policy_host *host;
	struct host_path *path;

	if (UNLIKELY(host_slot >= HOSTS_MAX))
		return NULL;
	path = vpc->paths[host_slot];
	if (LIKELY(path != NULL && path->stamp == vpc->path_stamp))
		return path;
	host = host_slot < vpc->policy->host_max ? vpc->policy->hosts[host_slot] : NULL;
	if (host == NULL)
		return NULL;
	if (path == NULL) {
		path = calloc(1, sizeof(*path));
		if (path == NULL)
			return NULL;
		vpc->paths[host_slot] = path;
		if (host_slot >= vpc->path_count)
			vpc->path_count = host_slot + 1;
	}
	path->stamp = vpc->path_stamp;
	make_path(vpc, path, host);
	return path;
}

void vpc_path_keep(struct vpc *vpc, uint32_t host_slot)
{
	const struct host_path *path = vpc_path(vpc, host_slot);
	struct net_address next_hop;

	if (path != NULL && path->wire != NULL && underlay_route(vpc, &vpc->policy->hosts[host_slot]->address, &next_hop) != NULL)
		underlay_resolve(vpc, path->wire, &next_hop, NULL);
}
