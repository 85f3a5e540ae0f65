/* `outboard eip create|list|show|change|delete`: elastic IPs. */
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/net_kind.h"

static const char *points_at(const json_t *eip, char text[NET_TEXT_SIZE])
{
	const char *kind = field_is_set(eip, "eni") ? "eni" : field_is_set(eip, "nat") ? "nat" : NULL;

	if (kind == NULL)
		return "-";
	snprintf(text, NET_TEXT_SIZE, "%s:%s", kind, field_text(eip, kind));
	return text;
}

/* It points at one thing: naming another takes it away from the first. */
static void move(json_t *change)
{
	bool to_eni = field_is_set(change, "eni"), to_nat = field_is_set(change, "nat");

	if (to_eni && json_object_get(change, "nat") == NULL)
		json_object_set_new(change, "nat", json_null());
	if (to_nat && json_object_get(change, "eni") == NULL)
		json_object_set_new(change, "eni", json_null());
	if ((json_object_get(change, "eni") != NULL || to_nat) && json_object_get(change, "private_address") == NULL)
		json_object_set_new(change, "private_address", json_null());
}

const struct net_kind net_eip = {
	.word = "eip",
	.title = "elastic IP",
	.titles = "elastic IPs",
	.path = "eips",
	.list = "eips",
	.make = "--address 203.0.113.7 --eni ENI",
	.columns = {{"ADDRESS", .field = "address"},
		    {"POINTS AT", .text = points_at},
		    {"PRIVATE ADDRESS", .field = "private_address"}},
	.fields = {{"address", "address", "address", NET_TEXT, NULL},
		   {"eni", "eni", "eni", NET_TEXT, NULL},
		   {"nat", "nat", "nat", NET_TEXT, NULL},
		   {"private-address", "private_address", "private", NET_TEXT, NULL}},
	.adjust = move,
};

const struct cli_command group_eip = {
	.name = "eip",
	.summary = "Elastic IPs: public addresses that point at an ENI or a NAT gateway",
	.examples = "  outboard eip create web-ip --address 203.0.113.7 --eni web1\n"
		    "  outboard eip change web-ip --eni web2\n"
		    "      it moves, and no guest is told",
};

static const struct cli_option create_options[] = {
	{"address", 0, CLI_TEXT, "ADDRESS", "the public address: one that is routed to this card's wire", true},
	{"eni", 0, CLI_ENI, "ENI", "what it points at", false},
	{"nat", 0, CLI_NAT, "NAT", "or this", false},
	{"private-address", 0, CLI_TEXT, "ADDRESS", "which address of the ENI it stands for (default: the first)", false},
	{0},
};

const struct cli_command command_eip_create = {
	.name = "eip create",
	.summary = "Make an elastic IP",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.details = "The card answers for the address on its wire and translates it one to one for an ENI, many to\n"
		   "one for a NAT gateway. An ENI also needs a route to the internet in its subnet's route table.",
	.examples = "  outboard eip create web-ip --address 203.0.113.7 --eni web1\n"
		    "  outboard eip create gw-ip --address 203.0.113.8 --nat gw\n"
		    "  outboard eip create spare --address 203.0.113.9",
	.run = net_create,
};

const struct cli_command command_eip_list = {
	.name = "eip list",
	.summary = "All elastic IPs, one a line",
	.run = net_list,
};

const struct cli_command command_eip_show = {
	.name = "eip show",
	.summary = "Everything about one elastic IP",
	.arguments = {{"NAME", CLI_EIP}},
	.run = net_show,
};

static const struct cli_option change_options[] = {
	{"eni", 0, CLI_ENI, "ENI", "what it points at from now on", false},
	{"nat", 0, CLI_NAT, "NAT", "or this", false},
	{"private-address", 0, CLI_TEXT, "ADDRESS", "which address of the ENI it stands for (default: the first)", false},
	{"clear", 0, CLI_CHOICE, "eni|nat|private-address", "it points at nothing any more; may be given several times",
	 CLI_REPEATED},
	{0},
};

const struct cli_command command_eip_change = {
	.name = "eip change",
	.summary = "Point an elastic IP at something else",
	.arguments = {{"NAME", CLI_EIP}},
	.options = change_options,
	.examples = "  outboard eip change web-ip --eni web2\n"
		    "  outboard eip change web-ip --clear eni\n"
		    "      it stays yours, and answers no more",
	.run = net_change,
};

const struct cli_command command_eip_delete = {
	.name = "eip delete",
	.summary = "Give an elastic IP back",
	.arguments = {{"NAME", CLI_EIP}},
	.run = net_delete,
};
