/* `outboard route-table create|list|show|route-add|route-remove|delete`. */
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/net_kind.h"
#include "cli/net_rule.h"
#include "cli/output.h"

static void show_routes(const json_t *table_object)
{
	static const char *const headings[] = {"DESTINATION", "TARGET"};
	const json_t *routes = json_object_get(table_object, "routes");
	struct text_table *table = table_new(2, headings);

	table_add(table, "the VPC's cidrs");
	table_add(table, "local");
	for (size_t i = 0; i < json_array_size(routes); i++) {
		const json_t *route = json_array_get(routes, i);

		table_add(table, "%s", field_text(route, "destination"));
		table_add(table, "%s", field_text(route, "target"));
	}
	putchar('\n');
	table_print(table, stdout);
}

const struct net_kind net_route_table = {
	.word = "route-table",
	.title = "route table",
	.titles = "route tables",
	.path = "route-tables",
	.list = "route_tables",
	.make = "--vpc VPC",
	.columns = {{"VPC", .field = "vpc"}, {">ROUTES", .field = "route_count"}},
	.fields = {{"vpc", "vpc", "vpc", NET_TEXT, NULL}},
	.show = show_routes,
};

const struct cli_command group_route_table = {
	.name = "route-table",
	.summary = "Route tables: ways out of a VPC",
	.details = "The longest prefix that matches decides. The VPC's own blocks are always local.",
	.examples = "  outboard route-table create outside --vpc prod\n"
		    "  outboard route-table route-add outside 0.0.0.0/0 --target internet\n"
		    "  outboard subnet change prod-a --route-table outside",
};

static const struct cli_option create_options[] = {
	{"vpc", 0, CLI_VPC, "VPC", "where it belongs", true},
	{0},
};

const struct cli_command command_route_table_create = {
	.name = "route-table create",
	.summary = "Make a route table",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.examples = "  outboard route-table create outside --vpc prod",
	.run = net_create,
};

const struct cli_command command_route_table_list = {
	.name = "route-table list",
	.summary = "All route tables, one a line",
	.run = net_list,
};

const struct cli_command command_route_table_show = {
	.name = "route-table show",
	.summary = "Everything about one route table, its routes too",
	.arguments = {{"NAME", CLI_ROUTE_TABLE}},
	.run = net_show,
};

const struct cli_command command_route_table_delete = {
	.name = "route-table delete",
	.summary = "Delete a route table that no subnet uses",
	.arguments = {{"NAME", CLI_ROUTE_TABLE}},
	.run = net_delete,
};

/* ---- routes ---- */

static void route_says(const json_t *route, char *text, size_t size)
{
	if (field_is_set(route, "target"))
		snprintf(text, size, "%s goes to %s", field_text(route, "destination"), field_text(route, "target"));
	else
		snprintf(text, size, "%s removed", field_text(route, "destination"));
}

static const struct net_items items = {
	"route-tables",
	"routes",
	"route_count",
	"route",
	"there is a route to that destination already, and it goes elsewhere; \"route-table route-remove\" removes it",
	route_says};

static const struct cli_option add_options[] = {
	{"target", 't', CLI_TEXT, "TARGET", "internet, nat:NAME, peering:NAME, eni:NAME or blackhole", true},
	{0},
};

static int route_add(struct cli *cli)
{
	return net_items_change(cli, &items, "add",
				json_pack("[{s:s,s:s}]", "destination", cli->argument[1], "target", cli_text(cli, "target", NULL)));
}

static int route_remove(struct cli *cli)
{
	return net_items_change(cli, &items, "remove", json_pack("[{s:s}]", "destination", cli->argument[1]));
}

const struct cli_command command_route_table_route_add = {
	.name = "route-table route-add",
	.summary = "Add a route",
	.arguments = {{"NAME", CLI_ROUTE_TABLE}, {"DESTINATION", CLI_TEXT}},
	.options = add_options,
	.details = "Targets: \"internet\" is the card's wire, for guests with an elastic IP; \"nat:NAME\" a NAT\n"
		   "gateway; \"peering:NAME\" another VPC; \"eni:NAME\" an appliance (without source-dest-check);\n"
		   "\"blackhole\" nowhere. A destination that goes elsewhere already is refused: remove that first.",
	.examples = "  outboard route-table route-add outside 0.0.0.0/0 --target internet\n"
		    "  outboard route-table route-add private-routes 0.0.0.0/0 --target nat:gw\n"
		    "  outboard route-table route-add prod-routes 10.9.0.0/16 --target peering:prod-tools",
	.run = route_add,
};

const struct cli_command command_route_table_route_remove = {
	.name = "route-table route-remove",
	.summary = "Remove a route",
	.arguments = {{"NAME", CLI_ROUTE_TABLE}, {"DESTINATION", CLI_TEXT}},
	.details = "A route that is not there is no error.",
	.examples = "  outboard route-table route-remove outside 0.0.0.0/0",
	.run = route_remove,
};
