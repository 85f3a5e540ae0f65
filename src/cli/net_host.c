/* `outboard host create|list|show|change|delete`: other cards. */
#include "cli/commands.h"
#include "cli/net_kind.h"

const struct net_kind net_host = {
	.word = "host",
	.title = "host",
	.titles = "hosts",
	.path = "hosts",
	.list = "hosts",
	.make = "--address 192.0.2.2",
	.columns = {{"ADDRESS", .field = "address"}},
	.fields = {{"address", "address", "address", NET_TEXT, NULL}},
};

const struct cli_command group_host = {
	.name = "host",
	.summary = "Hosts: other cards, on which there are ENIs of your VPCs",
	.details = "This card reaches an ENI that is elsewhere when it knows where: make the ENI here too, with\n"
		   "--host. Packets to it travel in VXLAN or Geneve from this card's wire to the address of that\n"
		   "host's. \"outboard run --wire\" gives a card its wire.",
	.examples = "  outboard host create host-b --address 192.0.2.2\n"
		    "  outboard eni create web2 --subnet prod-a --address 10.0.1.20 --mac 02:00:00:00:01:20 --host host-b",
};

static const struct cli_option create_options[] = {
	{"address", 0, CLI_TEXT, "ADDRESS", "of the other card's wire", true},
	{0},
};

const struct cli_command command_host_create = {
	.name = "host create",
	.summary = "Name another card by the address of its wire",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.examples = "  outboard host create host-b --address 192.0.2.2",
	.run = net_create,
};

const struct cli_command command_host_list = {
	.name = "host list",
	.summary = "All hosts, one a line",
	.run = net_list,
};

const struct cli_command command_host_show = {
	.name = "host show",
	.summary = "Everything about one host",
	.arguments = {{"NAME", CLI_HOST}},
	.run = net_show,
};

static const struct cli_option change_options[] = {
	{"address", 0, CLI_TEXT, "ADDRESS", "of the other card's wire", true},
	{0},
};

const struct cli_command command_host_change = {
	.name = "host change",
	.summary = "A host has another address: flows to it follow at once",
	.arguments = {{"NAME", CLI_HOST}},
	.options = change_options,
	.run = net_change,
};

const struct cli_command command_host_delete = {
	.name = "host delete",
	.summary = "Forget a host on which there is no ENI any more",
	.arguments = {{"NAME", CLI_HOST}},
	.run = net_delete,
};
