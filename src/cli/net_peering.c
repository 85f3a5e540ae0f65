/* `outboard peering create|list|show|delete`. */
#include "cli/commands.h"
#include "cli/net_kind.h"

const struct net_kind net_peering = {
	.word = "peering",
	.title = "peering",
	.titles = "peerings",
	.path = "peerings",
	.list = "peerings",
	.make = "--vpc VPC --peer-vpc VPC",
	.columns = {{"VPC", .field = "vpc"}, {"PEER", .field = "peer_vpc"}},
	.fields = {{"vpc", "vpc", "vpc", NET_TEXT, NULL}, {"peer-vpc", "peer_vpc", "peer vpc", NET_TEXT, NULL}},
};

const struct cli_command group_peering = {
	.name = "peering",
	.summary = "Peerings: two VPCs that may reach each other",
	.examples = "  outboard peering create prod-tools --vpc prod --peer-vpc tools",
};

static const struct cli_option create_options[] = {
	{"vpc", 0, CLI_VPC, "VPC", "one side", true},
	{"peer-vpc", 0, CLI_VPC, "VPC", "the other; their blocks must not overlap", true},
	{0},
};

const struct cli_command command_peering_create = {
	.name = "peering create",
	.summary = "Join two VPCs",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.details = "Packets go across where route tables of both sides say so: a route to the other's block with\n"
		   "the target peering:NAME. Nobody gets through a peering to a third VPC.",
	.examples = "  outboard peering create prod-tools --vpc prod --peer-vpc tools\n"
		    "  outboard route-table route-add prod-routes 10.9.0.0/16 --target peering:prod-tools\n"
		    "  outboard route-table route-add tools-routes 10.0.0.0/16 --target peering:prod-tools",
	.run = net_create,
};

const struct cli_command command_peering_list = {
	.name = "peering list",
	.summary = "All peerings, one a line",
	.run = net_list,
};

const struct cli_command command_peering_show = {
	.name = "peering show",
	.summary = "Everything about one peering",
	.arguments = {{"NAME", CLI_PEERING}},
	.run = net_show,
};

const struct cli_command command_peering_delete = {
	.name = "peering delete",
	.summary = "Part two VPCs again, once no route goes there",
	.arguments = {{"NAME", CLI_PEERING}},
	.run = net_delete,
};
