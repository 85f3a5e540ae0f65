/* `outboard security-group create|list|show|change|allow|revoke|delete`. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/net_kind.h"
#include "cli/net_rule.h"
#include "cli/output.h"

static const char *other_side(const json_t *rule, char text[128])
{
	bool group = field_is_set(rule, "group");

	snprintf(text, 128, "%s%s", group ? "group " : "", field_text(rule, group ? "group" : "cidr"));
	return text;
}

static void show_rules(const json_t *group)
{
	static const char *const headings[] = {"DIRECTION", "TRAFFIC", "OTHER SIDE", "DESCRIPTION"};
	const json_t *rules = json_object_get(group, "rules");
	struct text_table *table;

	if (json_array_size(rules) == 0) {
		printf("\nNo rules: nothing may pass. \"outboard security-group allow %s --help\" says how.\n",
		       field_text(group, "name"));
		return;
	}
	table = table_new(4, headings);
	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *rule = json_array_get(rules, i);
		char traffic[64], other[128];

		table_add(table, "%s", field_text(rule, "direction"));
		table_add(table, "%s", net_rule_traffic(rule, traffic));
		table_add(table, "%s", other_side(rule, other));
		table_add(table, "%s", field_is_set(rule, "description") ? field_text(rule, "description") : "-");
	}
	putchar('\n');
	table_print(table, stdout);
}

const struct net_kind net_security_group = {
	.word = "security-group",
	.title = "security group",
	.titles = "security groups",
	.path = "security-groups",
	.list = "security_groups",
	.make = "--vpc VPC",
	.columns = {{"VPC", .field = "vpc"}, {">RULES", .field = "rule_count"}, {"GRANDFATHER", .field = "grandfather"}},
	.fields = {{"vpc", "vpc", "vpc", NET_TEXT, NULL}, {"grandfather", "grandfather", "grandfather", NET_YES_NO, NULL}},
	.show = show_rules,
};

const struct cli_command group_security_group = {
	.name = "security-group",
	.summary = "Security groups: who may open connections to whom",
	.details = "A group is a list of what is allowed; everything else is not. It is stateful: answers to what\n"
		   "was allowed always pass. A change is in force at once, for live connections as well.",
	.examples = "  outboard security-group create web --vpc prod\n"
		    "  outboard security-group allow web --ingress --protocol tcp --ports 80 --cidr 0.0.0.0/0\n"
		    "  outboard eni change web1 --security-group web",
};

#define GRANDFATHER(text)                                                                                                          \
	{                                                                                                                          \
		"grandfather", 0, CLI_CHOICE, "yes|no", text, false                                                                \
	}

static const struct cli_option create_options[] = {
	{"vpc", 0, CLI_VPC, "VPC", "where it belongs", true},
	GRANDFATHER("yes: connections that are open stay when rules change (default: no)"),
	{0},
};

const struct cli_command command_security_group_create = {
	.name = "security-group create",
	.summary = "Make a security group; it lets everything out and nothing in",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.examples = "  outboard security-group create web --vpc prod\n"
		    "  outboard security-group revoke web --egress --protocol all --cidr 0.0.0.0/0 --cidr ::/0\n"
		    "      now it lets nothing out either",
	.run = net_create,
};

const struct cli_command command_security_group_list = {
	.name = "security-group list",
	.summary = "All security groups, one a line",
	.run = net_list,
};

const struct cli_command command_security_group_show = {
	.name = "security-group show",
	.summary = "Everything about one security group, its rules too",
	.arguments = {{"NAME", CLI_SECURITY_GROUP}},
	.examples = "  outboard security-group show web --json | jq -c '.rules[]'",
	.run = net_show,
};

static const struct cli_option change_options[] = {
	GRANDFATHER("yes: connections that are open stay when rules change"),
	{0},
};

const struct cli_command command_security_group_change = {
	.name = "security-group change",
	.summary = "Say whether open connections survive a change of the rules",
	.arguments = {{"NAME", CLI_SECURITY_GROUP}},
	.options = change_options,
	.details = "Rules are changed with \"security-group allow\" and \"security-group revoke\".",
	.examples = "  outboard security-group change web --grandfather yes",
	.run = net_change,
};

const struct cli_command command_security_group_delete = {
	.name = "security-group delete",
	.summary = "Delete a security group that no ENI and no rule uses",
	.arguments = {{"NAME", CLI_SECURITY_GROUP}},
	.run = net_delete,
};

/* ---- rules ---- */

static const struct cli_option allow_options[] = {
	NET_RULE_DIRECTION_OPTIONS,
	NET_RULE_MATCH_OPTIONS,
	{"cidr", 0, CLI_TEXT, "CIDR", "the other side: addresses; may be given several times", CLI_REPEATED},
	{"group", 0, CLI_SECURITY_GROUP, "GROUP", "or all ENIs that are in this group; may be given several times", CLI_REPEATED},
	{"description", 0, CLI_TEXT, "TEXT", "why, for whoever reads it later", false},
	{0},
};

static const struct cli_option revoke_options[] = {
	NET_RULE_DIRECTION_OPTIONS,
	NET_RULE_MATCH_OPTIONS,
	{"cidr", 0, CLI_TEXT, "CIDR", "the other side, as it was allowed; may be given several times", CLI_REPEATED},
	{"group", 0, CLI_SECURITY_GROUP, "GROUP", "likewise", CLI_REPEATED},
	{0},
};

/* One rule for each other side. */
static void add_rules(const json_t *rule, const char *field, const struct cli_value *sides, json_t *list)
{
	for (unsigned i = 0; sides != NULL && i < sides->count; i++) {
		json_t *one = json_copy((json_t *)(size_t)rule);

		json_object_set_new(one, field, json_string(sides->all[i]));
		json_array_append_new(list, one);
	}
}

static void allows(const json_t *rule, char *text, size_t size)
{
	bool in = field_text(rule, "direction")[0] == 'i';
	char traffic[64], other[128];

	snprintf(text, size, "%s %s %s %s", in ? "ingress" : "egress", net_rule_traffic(rule, traffic), in ? "from" : "to",
		 other_side(rule, other));
}

static void revokes(const json_t *rule, char *text, size_t size)
{
	allows(rule, text, size);
	snprintf(text + strlen(text), size - strlen(text), " removed");
}

static int change_rules(struct cli *cli, const char *verb, const char *description)
{
	const struct net_items items = {
		"security-groups",
		"rules",
		"rule_count",
		"rule",
		"there is that rule already, with another description; \"security-group revoke\" removes it",
		strcmp(verb, "remove") == 0 ? revokes : allows};
	json_t *rule = json_object(), *list = json_array();
	int status = net_rule_direction(cli, rule);

	if (status < 0)
		status = net_rule_match(cli, rule);
	if (description != NULL)
		json_object_set_new(rule, "description", json_string(description));
	add_rules(rule, "cidr", cli_option(cli, "cidr"), list);
	add_rules(rule, "group", cli_option(cli, "group"), list);
	json_decref(rule);
	if (status < 0 && json_array_size(list) == 0)
		status = cli_usage(cli, "who is the other side: --cidr or --group?");
	if (status < 0)
		return net_items_change(cli, &items, verb, list);
	json_decref(list);
	return status;
}

static int allow(struct cli *cli)
{
	return change_rules(cli, "add", cli_text(cli, "description", NULL));
}

static int revoke(struct cli *cli)
{
	return change_rules(cli, "remove", NULL);
}

const struct cli_command command_security_group_allow = {
	.name = "security-group allow",
	.summary = "Add rules: traffic that may pass",
	.arguments = {{"NAME", CLI_SECURITY_GROUP}},
	.options = allow_options,
	.details = "Each --cidr and each --group is a rule of its own; all are added at once, or none. A rule that\n"
		   "is there already is no error.",
	.examples = "  outboard security-group allow web --ingress --protocol tcp --ports 80 --cidr 0.0.0.0/0 --cidr ::/0\n"
		    "  outboard security-group allow db --ingress --protocol tcp --ports 5432 --group web\n"
		    "      whoever is in the group \"web\", whatever their addresses\n"
		    "  outboard security-group allow web --ingress --protocol icmp --icmp-type 8 --cidr 10.0.0.0/8",
	.run = allow,
};

const struct cli_command command_security_group_revoke = {
	.name = "security-group revoke",
	.summary = "Remove rules; connections that they allowed end at once",
	.arguments = {{"NAME", CLI_SECURITY_GROUP}},
	.options = revoke_options,
	.details = "Say it as it was allowed. A rule that is not there is no error. With --grandfather yes\n"
		   "connections that are open stay open.",
	.examples = "  outboard security-group revoke web --ingress --protocol tcp --ports 80 --cidr 0.0.0.0/0",
	.run = revoke,
};
