/* Look-ups in a root. Any thread that may read the root. */
#include "vpc/policy.h"

#include <strings.h>

#include "vpc/policy_root.h"

static const struct policy_root *root_of(const struct policy *p)
{
	return list_entry(p, const struct policy_root, policy);
}

static const struct policy_vpc *vpc_at(const struct policy *p, uint32_t slot)
{
	return slot < p->vpc_max ? p->vpcs[slot] : NULL;
}

const struct policy_mapping *policy_mapping_find(const struct policy *p, uint32_t vpc_slot, const struct net_address *address)
{
	const struct policy_vpc *vpc = vpc_at(p, vpc_slot);

	return vpc == NULL ? NULL : policy_map_find(vpc->mappings, policy_map_key_address(address));
}

/* The map goes by a fingerprint of the name, so the name has the last word. */
const struct policy_mapping *policy_name_find(const struct policy *p, uint32_t vpc_slot, const char *name, uint8_t family)
{
	const struct policy_vpc *vpc = vpc_at(p, vpc_slot);
	const struct policy_mapping *m;

	if (vpc == NULL)
		return NULL;
	m = policy_map_find(vpc->names, policy_key_name(root_of(p)->seed, name, family));
	return m != NULL && strcasecmp(m->name, name) == 0 ? m : NULL;
}

const struct policy_endpoint *policy_port_find(const struct policy *p, uint32_t vni, const struct mac *mac)
{
	const struct policy_door *door = policy_map_find(root_of(p)->ports, policy_key_port(vni, mac));

	return door == NULL ? NULL : p->endpoints[door->slot];
}

const struct policy_endpoint *policy_public_find(const struct policy *p, const struct net_address *address,
						 struct net_address *private_address)
{
	const struct policy_entrance *e = policy_map_find(root_of(p)->publics, policy_map_key_address(address));
	const struct policy_endpoint *endpoint = e == NULL ? NULL : p->endpoints[e->slot];

	if (endpoint != NULL && endpoint->kind == ENDPOINT_ENI)
		*private_address = e->address.private_address;
	return endpoint;
}

const struct policy_host *policy_host_find(const struct policy *p, const struct net_address *address)
{
	return policy_map_find(root_of(p)->host_addresses, policy_map_key_address(address));
}

const struct policy_endpoint *policy_endpoint_find(const struct policy *p, const struct uuid *id)
{
	const struct policy_door *door = policy_map_find(root_of(p)->endpoint_ids, policy_key_uuid(id));

	return door == NULL ? NULL : p->endpoints[door->slot];
}
