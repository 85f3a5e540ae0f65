/* `outboard nat create|list|show|change|delete`: NAT gateways. */
#include "cli/commands.h"
#include "cli/net_kind.h"

const struct net_kind net_nat = {
	.word = "nat",
	.title = "NAT gateway",
	.titles = "NAT gateways",
	.path = "nats",
	.list = "nats",
	.make = "--subnet SUBNET",
	.columns = {{"SUBNET", .field = "subnet"}, {"ADDRESS", .field = "address"}, {"HOST", .field = "host"}},
	.fields = {{"subnet", "subnet", "subnet", NET_TEXT, NULL},
		   {"address", "address", "address", NET_TEXT, NULL},
		   {"mac", "mac", "mac", NET_TEXT, NULL},
		   {"host", "host", "host", NET_TEXT, "this card"}},
};

const struct cli_command group_nat = {
	.name = "nat",
	.summary = "NAT gateways: many private addresses behind few public ones",
	.details = "Three things make one work: the gateway, an elastic IP that points at it, and a route of the\n"
		   "guests' subnet to it. The gateway's own subnet has a route to the internet.",
	.examples = "  outboard nat create gw --subnet public\n"
		    "  outboard eip create gw-ip --address 203.0.113.7 --nat gw\n"
		    "  outboard route-table route-add private-routes 0.0.0.0/0 --target nat:gw",
};

static const struct cli_option create_options[] = {
	{"subnet", 0, CLI_SUBNET, "SUBNET", "where it stands: one with a route to the internet", true},
	{"address", 0, CLI_TEXT, "ADDRESS", "its private address (default: the next free one of the subnet)", false},
	{"mac", 0, CLI_TEXT, "MAC", "its MAC address (default: made up)", false},
	{"host", 0, CLI_HOST, "HOST", "the card that translates, when it is not this one", false},
	{0},
};

const struct cli_command command_nat_create = {
	.name = "nat create",
	.summary = "Make a NAT gateway",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.details = "Its public addresses are the elastic IPs that point at it. Hosts that share the VPC give it\n"
		   "the same address and MAC address; only one of them translates.",
	.examples = "  outboard nat create gw --subnet public\n"
		    "  outboard eip create gw-ip --address 203.0.113.7 --nat gw",
	.run = net_create,
};

const struct cli_command command_nat_list = {
	.name = "nat list",
	.summary = "All NAT gateways, one a line",
	.run = net_list,
};

const struct cli_command command_nat_show = {
	.name = "nat show",
	.summary = "Everything about one NAT gateway",
	.arguments = {{"NAME", CLI_NAT}},
	.run = net_show,
};

static const struct cli_option change_options[] = {
	{"host", 0, CLI_HOST, "HOST", "the card that translates", false},
	{"clear", 0, CLI_CHOICE, "host", "this card translates", CLI_REPEATED},
	{0},
};

const struct cli_command command_nat_change = {
	.name = "nat change",
	.summary = "Move a NAT gateway to another card",
	.arguments = {{"NAME", CLI_NAT}},
	.options = change_options,
	.run = net_change,
};

const struct cli_command command_nat_delete = {
	.name = "nat delete",
	.summary = "Delete a NAT gateway to which no route and no elastic IP points any more",
	.arguments = {{"NAME", CLI_NAT}},
	.run = net_delete,
};
