/* `outboard vpc trace`: what would be done with a packet, stage by stage. */
#include <ctype.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/output.h"

static const struct cli_option options[] = {
	{"from", 0, CLI_ENI, "ENI", "whose guest would send it", true},
	{"packet", 'p', CLI_TEXT, "PACKET", "for example 'tcp 10.0.1.5:80 syn'", true},
	{0},
};

static void print_lines(const json_t *lines)
{
	static const char *const headings[] = {"STAGE", "VERDICT", "DETAIL"};
	struct text_table *table = table_new(3, headings);

	for (size_t i = 0; i < json_array_size(lines); i++) {
		const json_t *line = json_array_get(lines, i);

		table_add(table, "%s", field_text(line, "stage"));
		table_add(table, "%s", field_text(line, "verdict"));
		table_add(table, "%s", field_text(line, "detail"));
	}
	table_print(table, json_array_size(lines) == 0 ? NULL : stdout);
}

/* The card's sentence begins in lower case: it stands in others, too. */
static void print_end(const char *drop, const char *sentence)
{
	if (strcmp(drop, "answered") == 0)
		printf("\nThe card answers it itself.\n");
	else if (*drop != '\0')
		printf("\nDropped (%s): %s.\n", drop, sentence);
	else if (*sentence != '\0')
		printf("\n%c%s.\n", toupper((unsigned char)*sentence), sentence + 1);
}

static int trace(struct cli *cli)
{
	json_t *reply;
	int status = api_call(cli, "POST", json_pack("{s:s}", "packet", cli_text(cli, "packet", NULL)), &reply, "/v1/enis/%s/trace",
			      cli_text(cli, "from", NULL));

	if (status != 0)
		return status;
	if (cli->json) {
		print_json(reply);
	} else {
		print_lines(json_object_get(reply, "lines"));
		print_end(field_text(reply, "drop"), field_text(reply, "sentence"));
	}
	json_decref(reply);
	return 0;
}

const struct cli_command command_vpc_trace = {
	.name = "vpc trace",
	.summary = "Explain what would be done with a packet: each stage's decision",
	.options = options,
	.details = "Nothing is sent and nothing changes. A packet is written as protocol, destination and what else\n"
		   "matters: \"tcp ADDRESS:PORT syn\", \"udp ADDRESS:PORT\", \"icmp ADDRESS echo\"; IPv6 in brackets;\n"
		   "\"from ADDRESS:PORT\" when the source is not the ENI's first address. The exit status is 0 also\n"
		   "for a packet that would be dropped; --json says why in \"drop\".",
	.examples = "  outboard vpc trace --from web1 --packet 'tcp 10.0.1.50:5432 syn'\n"
		    "  outboard vpc trace --from web1 --packet 'udp 198.51.100.1:53'\n"
		    "  outboard vpc trace --from web1 --packet 'tcp [fd00:1::50]:443 ack from [fd00:1::4]:40000'\n"
		    "  outboard vpc trace --from web1 --packet 'icmp 10.0.2.9 echo' --json | jq -e '.drop == null'",
	.run = trace,
};
