#include "vpc/spec.h"

#include <stdlib.h>

const char *net_kind_name(enum net_kind kind)
{
	static const char *const names[NET_KIND_COUNT] = {
		[NET_HOST] = "host",
		[NET_VPC] = "vpc",
		[NET_GROUP] = "security-group",
		[NET_ACL] = "acl",
		[NET_ROUTE_TABLE] = "route-table",
		[NET_SUBNET] = "subnet",
		[NET_PEERING] = "peering",
		[NET_ENI] = "eni",
		[NET_NAT] = "nat",
		[NET_EIP] = "eip",
	};

	return names[kind];
}

void net_spec_free(struct net_spec *spec)
{
	if (spec->kind == NET_GROUP || spec->kind == NET_ACL) {
		free(spec->rules.rules);
		spec->rules.rules = NULL;
	} else if (spec->kind == NET_ROUTE_TABLE) {
		free(spec->route_table.routes);
		spec->route_table.routes = NULL;
	}
}
