/* `outboard subnet create|list|show|change|delete`. */
#include "cli/commands.h"
#include "cli/net_kind.h"

const struct net_kind net_subnet = {
	.word = "subnet",
	.title = "subnet",
	.titles = "subnets",
	.path = "subnets",
	.list = "subnets",
	.make = "--vpc VPC --cidr 10.0.1.0/24",
	.columns = {{"VPC", .field = "vpc"},
		    {"CIDR", .field = "cidr"},
		    {"CIDR6", .field = "cidr6"},
		    {"ROUTE TABLE", .field = "route_table"},
		    {"ACL", .field = "acl"}},
	.fields = {{"vpc", "vpc", "vpc", NET_TEXT, NULL},
		   {"cidr", "cidr", "cidr", NET_TEXT, NULL},
		   {"cidr6", "cidr6", "cidr6", NET_TEXT, NULL},
		   {"route-table", "route_table", "route table", NET_TEXT, "none: the VPC alone can be reached"},
		   {"acl", "acl", "acl", NET_TEXT, "none: everything may pass"}},
};

const struct cli_command group_subnet = {
	.name = "subnet",
	.summary = "Subnets of a VPC: a block of addresses, and how they are routed",
	.examples = "  outboard subnet create prod-a --vpc prod --cidr 10.0.1.0/24",
};

static const struct cli_option create_options[] = {
	{"vpc", 0, CLI_VPC, "VPC", "where it belongs", true},
	{"cidr", 0, CLI_TEXT, "CIDR", "its IPv4 block, of the VPC's; the first 4 addresses and the last are the network's", true},
	{"cidr6", 0, CLI_TEXT, "CIDR", "its IPv6 block, of the VPC's", false},
	{"route-table", 0, CLI_ROUTE_TABLE, "TABLE", "ways out of the VPC (default: none)", false},
	{"acl", 0, CLI_ACL, "ACL", "what may enter and leave it (default: everything)", false},
	{0},
};

const struct cli_command command_subnet_create = {
	.name = "subnet create",
	.summary = "Make a subnet",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.details = "The card is the router of each subnet, at its first address, and answers DHCP, ARP, neighbour\n"
		   "discovery and DNS there. Subnets of a VPC reach one another without a route table.",
	.examples = "  outboard subnet create prod-a --vpc prod --cidr 10.0.1.0/24\n"
		    "  outboard subnet create dual-a --vpc dual --cidr 10.1.1.0/24 --cidr6 fd00:1::/64 --route-table outside",
	.run = net_create,
};

const struct cli_command command_subnet_list = {
	.name = "subnet list",
	.summary = "All subnets, one a line",
	.run = net_list,
};

const struct cli_command command_subnet_show = {
	.name = "subnet show",
	.summary = "Everything about one subnet",
	.arguments = {{"NAME", CLI_SUBNET}},
	.run = net_show,
};

static const struct cli_option change_options[] = {
	{"cidr6", 0, CLI_TEXT, "CIDR", "its IPv6 block", false},
	{"route-table", 0, CLI_ROUTE_TABLE, "TABLE", "ways out of the VPC", false},
	{"acl", 0, CLI_ACL, "ACL", "what may enter and leave it", false},
	{"clear", 0, CLI_CHOICE, "cidr6|route-table|acl", "back to how it is without that option; may be given several times",
	 CLI_REPEATED},
	{0},
};

const struct cli_command command_subnet_change = {
	.name = "subnet change",
	.summary = "Give a subnet another route table or ACL, also while guests use it",
	.arguments = {{"NAME", CLI_SUBNET}},
	.options = change_options,
	.examples = "  outboard subnet change prod-a --route-table outside\n"
		    "  outboard subnet change prod-a --clear acl",
	.run = net_change,
};

const struct cli_command command_subnet_delete = {
	.name = "subnet delete",
	.summary = "Delete a subnet in which there is no ENI any more",
	.arguments = {{"NAME", CLI_SUBNET}},
	.run = net_delete,
};
