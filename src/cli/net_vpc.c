/* `outboard vpc create|list|show|change|delete`: networks of a tenant's own. */
#include "cli/commands.h"
#include "cli/net_kind.h"

const struct net_kind net_vpc = {
	.word = "vpc",
	.title = "VPC",
	.titles = "VPCs",
	.path = "vpcs",
	.list = "vpcs",
	.make = "--cidr 10.0.0.0/16",
	.columns = {{">VNI", .field = "vni"}, {"OVERLAY", .field = "encapsulation"}, {"CIDRS", .field = "cidrs"}},
	.fields = {{"cidr", "cidrs", "cidrs", NET_WORDS, "none"},
		   {"vni", "vni", "vni", NET_NUMBER, NULL},
		   {"encapsulation", "encapsulation", "overlay", NET_TEXT, NULL},
		   {"mtu", "mtu", "mtu", NET_NUMBER, "as large as the wires take"},
		   {"domain", "domain", "domain", NET_TEXT, NULL},
		   {"flow-log", "flow_log", "flow log", NET_FLOW_LOG, "off"},
		   {"tags", "tags", "tags", NET_TAGS, NULL}},
};

const struct cli_command group_vpc = {
	.name = "vpc",
	.summary = "Virtual networks: make them, load whole ones from a file, trace packets through them",
	.details = "A VPC is a network of one tenant's own. Two VPCs may use the same addresses and never meet,\n"
		   "unless you make a peering. In it there are subnets, and in these network interfaces (\"eni\"),\n"
		   "which security groups, ACLs and route tables say who may speak with whom and how.",
	.examples = "  outboard vpc create prod --cidr 10.0.0.0/16\n"
		    "  outboard subnet create prod-a --vpc prod --cidr 10.0.1.0/24\n"
		    "  outboard security-group create web --vpc prod\n"
		    "  outboard security-group allow web --ingress --protocol tcp --ports 80 --cidr 0.0.0.0/0\n"
		    "  outboard eni create web1 --subnet prod-a --security-group web\n"
		    "  outboard eni attach web1\n"
		    "      the NIC of a virtual machine",
};

static const struct cli_option create_options[] = {
	{"cidr", 0, CLI_TEXT, "CIDR", "a block of addresses, IPv4 or IPv6; may be given several times", CLI_REQUIRED_REPEATED},
	{"vni", 0, CLI_NUMBER, "N", "its number on the wire (default: the next from 4096 up); the same on all hosts", false},
	{"encapsulation", 0, CLI_CHOICE, "vxlan|geneve", "how its packets travel between hosts (default: vxlan)", false},
	{"mtu", 0, CLI_NUMBER, "BYTES", "largest packet of its guests (default: what fits the wires)", false},
	{"domain", 0, CLI_TEXT, "DOMAIN", "domain that DHCP tells guests", false},
	{"flow-log", 0, CLI_CHOICE, "all|accept|reject", "log the flows of its ENIs: see \"eni flow-log\"", false},
	{"flow-log-interval", 0, CLI_NUMBER, "SECONDS", "a line a flow and so many seconds (default: 600)", false},
	{"tags", 0, CLI_TEXT, "KEY=VALUE,...", "for you to find it again", false},
	{0},
};

const struct cli_command command_vpc_create = {
	.name = "vpc create",
	.summary = "Make a VPC: a network of a tenant's own",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.details = "Hosts that are to share a VPC give it the same --vni, --encapsulation and name the addresses\n"
		   "of one another with \"host create\".",
	.examples = "  outboard vpc create prod --cidr 10.0.0.0/16\n"
		    "  outboard vpc create dual --cidr 10.1.0.0/16 --cidr fd00:1::/56 --vni 5001 --encapsulation geneve\n"
		    "      IPv4 and IPv6, on several hosts\n"
		    "  outboard vpc create audited --cidr 10.2.0.0/16 --flow-log all --flow-log-interval 60",
	.run = net_create,
};

const struct cli_command command_vpc_list = {
	.name = "vpc list",
	.summary = "All VPCs, one a line",
	.examples = "  outboard vpc list --json | jq '.vpcs[] | {name, vni}'",
	.run = net_list,
};

const struct cli_command command_vpc_show = {
	.name = "vpc show",
	.summary = "Everything about one VPC",
	.arguments = {{"NAME", CLI_VPC}},
	.run = net_show,
};

static const struct cli_option change_options[] = {
	{"cidr", 0, CLI_TEXT, "CIDR", "its blocks from now on, all of them; may be given several times", CLI_REPEATED},
	{"encapsulation", 0, CLI_CHOICE, "vxlan|geneve", "how its packets travel between hosts", false},
	{"mtu", 0, CLI_NUMBER, "BYTES", "largest packet of its guests; for attachments made from now on", false},
	{"domain", 0, CLI_TEXT, "DOMAIN", "domain that DHCP tells guests", false},
	{"flow-log", 0, CLI_CHOICE, "all|accept|reject", "log the flows of its ENIs", false},
	{"flow-log-interval", 0, CLI_NUMBER, "SECONDS", "a line a flow and so many seconds (default: 600)", false},
	{"tags", 0, CLI_TEXT, "KEY=VALUE,...", "its tags from now on", false},
	{"clear", 0, CLI_CHOICE, "mtu|domain|flow-log", "back to how it is without that option; may be given several times",
	 CLI_REPEATED},
	{0},
};

const struct cli_command command_vpc_change = {
	.name = "vpc change",
	.summary = "Change a VPC, also while guests use it",
	.arguments = {{"NAME", CLI_VPC}},
	.options = change_options,
	.examples = "  outboard vpc change prod --flow-log reject --flow-log-interval 60\n"
		    "  outboard vpc change prod --clear flow-log",
	.run = net_change,
};

const struct cli_command command_vpc_delete = {
	.name = "vpc delete",
	.summary = "Delete a VPC that is empty",
	.arguments = {{"NAME", CLI_VPC}},
	.details = "One in which there still is something is refused, and told what. \"vpc load --replace\" deletes\n"
		   "everything that its file does not name.",
	.run = net_delete,
};
