/* `outboard acl create|list|show|rule-add|rule-remove|delete`. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/net_kind.h"
#include "cli/net_rule.h"
#include "cli/output.h"

static void show_rules(const json_t *acl)
{
	static const char *const headings[] = {"DIRECTION", ">NUMBER", "ACTION", "TRAFFIC", "CIDR"};
	const json_t *rules = json_object_get(acl, "rules");
	struct text_table *table = table_new(5, headings);

	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *rule = json_array_get(rules, i);
		char traffic[64];

		table_add(table, "%s", field_text(rule, "direction"));
		table_add(table, "%llu", (unsigned long long)field_number(rule, "number"));
		table_add(table, "%s", field_text(rule, "action"));
		table_add(table, "%s", net_rule_traffic(rule, traffic));
		table_add(table, "%s", field_text(rule, "cidr"));
	}
	putchar('\n');
	table_print(table, json_array_size(rules) == 0 ? NULL : stdout);
	printf("%s\n", json_array_size(rules) == 0 ? "No rules: nothing may pass." : "What no rule matches is denied.");
}

const struct net_kind net_acl = {
	.word = "acl",
	.title = "ACL",
	.titles = "ACLs",
	.path = "acls",
	.list = "acls",
	.make = "--vpc VPC",
	.columns = {{"VPC", .field = "vpc"}, {">RULES", .field = "rule_count"}},
	.fields = {{"vpc", "vpc", "vpc", NET_TEXT, NULL}},
	.show = show_rules,
};

const struct cli_command group_acl = {
	.name = "acl",
	.summary = "Network ACLs: what may enter and leave a subnet",
	.details = "An ACL is a list of numbered rules for a whole subnet, allowing or denying; the lowest number\n"
		   "that matches decides, and what nothing matches is denied. It is stateless: answers need rules\n"
		   "as well. It stands before the security groups: both must let a packet pass.",
	.examples = "  outboard acl create edge --vpc prod\n"
		    "  outboard acl rule-add edge 100 --ingress --deny --protocol all --cidr 198.51.100.0/24\n"
		    "  outboard acl rule-add edge 200 --ingress --allow --protocol all --cidr 0.0.0.0/0\n"
		    "  outboard acl rule-add edge 200 --egress --allow --protocol all --cidr 0.0.0.0/0\n"
		    "  outboard subnet change prod-a --acl edge",
};

static const struct cli_option create_options[] = {
	{"vpc", 0, CLI_VPC, "VPC", "where it belongs", true},
	{0},
};

const struct cli_command command_acl_create = {
	.name = "acl create",
	.summary = "Make a network ACL; without rules it denies everything",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.examples = "  outboard acl create edge --vpc prod",
	.run = net_create,
};

const struct cli_command command_acl_list = {
	.name = "acl list",
	.summary = "All network ACLs, one a line",
	.run = net_list,
};

const struct cli_command command_acl_show = {
	.name = "acl show",
	.summary = "Everything about one network ACL, its rules too",
	.arguments = {{"NAME", CLI_ACL}},
	.run = net_show,
};

const struct cli_command command_acl_delete = {
	.name = "acl delete",
	.summary = "Delete a network ACL that no subnet uses",
	.arguments = {{"NAME", CLI_ACL}},
	.run = net_delete,
};

/* ---- rules ---- */

static const struct cli_option add_options[] = {
	NET_RULE_DIRECTION_OPTIONS,
	{"allow", 0, CLI_FLAG, NULL, "let it pass", false},
	{"deny", 0, CLI_FLAG, NULL, "do not", false},
	NET_RULE_MATCH_OPTIONS,
	{"cidr", 0, CLI_TEXT, "CIDR", "the other side", true},
	{0},
};

static const struct cli_option remove_options[] = {
	NET_RULE_DIRECTION_OPTIONS,
	{0},
};

static void rule_says(const json_t *rule, char *text, size_t size)
{
	bool in = field_text(rule, "direction")[0] == 'i';
	char traffic[64];

	snprintf(text, size, "%s rule %llu", in ? "ingress" : "egress", (unsigned long long)field_number(rule, "number"));
	if (field_is_set(rule, "action"))
		snprintf(text + strlen(text), size - strlen(text), " %s %s %s %.50s",
			 field_text(rule, "action")[0] == 'a' ? "allows" : "denies", net_rule_traffic(rule, traffic),
			 in ? "from" : "to", field_text(rule, "cidr"));
	else
		snprintf(text + strlen(text), size - strlen(text), " removed");
}

static const struct net_items items = {
	"acls",
	"rules",
	"rule_count",
	"rule",
	"there is a rule of that number and direction already, and it is another; \"acl rule-remove\" removes it",
	rule_says};

/* The number and the direction, which name a rule. -1, or the exit status. */
static int take_key(const struct cli *cli, json_t *rule)
{
	char *end;
	unsigned long number = strtoul(cli->argument[1], &end, 10);

	if (cli->argument[1][0] < '0' || cli->argument[1][0] > '9' || *end != '\0' || number < 1 || number > 32766)
		return cli_usage(cli, "NUMBER must be from 1 to 32766, not \"%s\"", cli->argument[1]);
	json_object_set_new(rule, "number", json_integer((json_int_t)number));
	return net_rule_direction(cli, rule);
}

static int take_rule(const struct cli *cli, json_t *rule)
{
	int status = take_key(cli, rule);

	if (status < 0 && cli_flag(cli, "allow") == cli_flag(cli, "deny"))
		status = cli_usage(cli, "what about it: --allow or --deny?");
	if (status < 0)
		status = net_rule_match(cli, rule);
	json_object_set_new(rule, "action", json_string(cli_flag(cli, "allow") ? "allow" : "deny"));
	json_object_set_new(rule, "cidr", json_string(cli_text(cli, "cidr", NULL)));
	return status;
}

static int rule_add(struct cli *cli)
{
	json_t *rule = json_object();
	int status = take_rule(cli, rule);

	if (status < 0)
		return net_items_change(cli, &items, "add", json_pack("[o]", rule));
	json_decref(rule);
	return status;
}

static int rule_remove(struct cli *cli)
{
	json_t *rule = json_object();
	int status = take_key(cli, rule);

	if (status < 0)
		return net_items_change(cli, &items, "remove", json_pack("[o]", rule));
	json_decref(rule);
	return status;
}

const struct cli_command command_acl_rule_add = {
	.name = "acl rule-add",
	.summary = "Add a rule to a network ACL",
	.arguments = {{"NAME", CLI_ACL}, {"NUMBER", CLI_NUMBER}},
	.options = add_options,
	.details = "Leave gaps between numbers, for rules that come later. A number that is taken by another rule\n"
		   "of that direction is refused: remove that one first. Live flows are cut at once where they\n"
		   "are not allowed any more.",
	.examples = "  outboard acl rule-add edge 100 --ingress --deny --protocol tcp --ports 23 --cidr 0.0.0.0/0\n"
		    "  outboard acl rule-add edge 200 --ingress --allow --protocol all --cidr 0.0.0.0/0",
	.run = rule_add,
};

const struct cli_command command_acl_rule_remove = {
	.name = "acl rule-remove",
	.summary = "Remove a rule from a network ACL",
	.arguments = {{"NAME", CLI_ACL}, {"NUMBER", CLI_NUMBER}},
	.options = remove_options,
	.details = "A rule that is not there is no error.",
	.examples = "  outboard acl rule-remove edge 100 --ingress",
	.run = rule_remove,
};
