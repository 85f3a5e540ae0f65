/* `outboard eni stats`: counters of one network interface. */
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/output.h"

static void print_traffic(const char *name, const json_t *traffic)
{
	print_field(name, "%llu packets, %llu bytes", (unsigned long long)field_number(traffic, "packets"),
		    (unsigned long long)field_number(traffic, "bytes"));
}

static void print_counts(const char *heading, const json_t *counts, bool zeroes)
{
	const char *const headings[] = {heading, ">COUNT"};
	struct text_table *table = table_new(2, headings);
	const char *name;
	json_t *count;
	bool any = false;

	json_object_foreach ((json_t *)(size_t)counts, name, count) {
		if ((!zeroes && json_integer_value(count) == 0) || strcmp(name, "answered") == 0)
			continue;
		any = true;
		table_add(table, "%s", name);
		table_add(table, "%lld", (long long)json_integer_value(count));
	}
	if (any)
		putchar('\n');
	table_print(table, any ? stdout : NULL);
}

static int stats(struct cli *cli)
{
	json_t *eni;
	int status = api_call(cli, "GET", NULL, &eni, "/v1/enis/%s/stats", cli->argument[0]);

	if (status != 0)
		return status;
	if (cli->json) {
		print_json(eni);
	} else {
		print_field("state", "%s", field_text(eni, "state"));
		print_traffic("to guest", json_object_get(eni, "in"));
		print_traffic("from guest", json_object_get(eni, "out"));
		print_field("flows", "%llu of %llu, %llu created", (unsigned long long)field_number(eni, "flows"),
			    (unsigned long long)field_number(eni, "flows_max"),
			    (unsigned long long)field_number(eni, "flows_created"));
		print_field("answered", "%llu packets, by the card itself: ARP, DHCP, DNS and the like",
			    (unsigned long long)field_number(json_object_get(eni, "drops"), "answered"));
		print_field("slow path", "%llu packets", (unsigned long long)field_number(eni, "slow_path"));
		print_counts("ALLOWANCE", json_object_get(eni, "allowances"), true);
		print_counts("DROPPED BECAUSE", json_object_get(eni, "drops"), false);
	}
	json_decref(eni);
	return 0;
}

const struct cli_command command_eni_stats = {
	.name = "eni stats",
	.summary = "Counters of one network interface: traffic, allowances, drops by reason",
	.arguments = {{"NAME", CLI_ENI}},
	.details = "Allowances have the names that AWS gives them: packets that exceeded each, and flows that are\n"
		   "still available. Every dropped packet is counted under one reason; \"vpc trace\" explains why.\n"
		   "Counters are the card's, since the ENI was made or the card started.",
	.examples = "  outboard eni stats web1\n"
		    "  outboard eni stats web1 --json | jq .drops",
	.run = stats,
};
