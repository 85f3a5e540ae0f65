#include "cli/net_rule.h"

#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/fields.h"
#include "cli/output.h"

int net_rule_direction(const struct cli *cli, json_t *rule)
{
	bool ingress = cli_flag(cli, "ingress"), egress = cli_flag(cli, "egress");

	if (ingress == egress)
		return cli_usage(cli, "which direction: --ingress or --egress?");
	json_object_set_new(rule, "direction", json_string(ingress ? "ingress" : "egress"));
	return -1;
}

int net_rule_match(const struct cli *cli, json_t *rule)
{
	const char *protocol = cli_text(cli, "protocol", NULL), *ports = cli_text(cli, "ports", NULL);
	bool icmp = cli_option(cli, "icmp-type") != NULL || cli_option(cli, "icmp-code") != NULL;

	if (ports != NULL && strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		return cli_usage(cli, "--ports has no meaning for --protocol %s: only tcp and udp have ports", protocol);
	if (icmp && strcmp(protocol, "icmp") != 0 && strcmp(protocol, "icmpv6") != 0)
		return cli_usage(cli, "--icmp-type and --icmp-code have no meaning for --protocol %s", protocol);
	if (cli_option(cli, "icmp-code") != NULL && cli_option(cli, "icmp-type") == NULL)
		return cli_usage(cli, "--icmp-code has no meaning without --icmp-type");
	json_object_set_new(rule, "protocol", json_string(protocol));
	if (ports != NULL && strcmp(ports, "all") != 0)
		json_object_set_new(rule, "ports", json_string(ports));
	if (cli_option(cli, "icmp-type") != NULL)
		json_object_set_new(rule, "icmp_type", json_integer((json_int_t)cli_number(cli, "icmp-type", 0)));
	if (cli_option(cli, "icmp-code") != NULL)
		json_object_set_new(rule, "icmp_code", json_integer((json_int_t)cli_number(cli, "icmp-code", 0)));
	return -1;
}

const char *net_rule_traffic(const json_t *rule, char text[64])
{
	const json_t *protocol = json_object_get(rule, "protocol");
	size_t used;

	if (json_is_integer(protocol))
		snprintf(text, 64, "protocol %lld", (long long)json_integer_value(protocol));
	else
		snprintf(text, 64, "%.16s", field_text(rule, "protocol"));
	used = strlen(text);
	if (field_is_set(rule, "ports"))
		snprintf(text + used, 64 - used, " %.16s", field_text(rule, "ports"));
	if (field_is_set(rule, "icmp_type"))
		used += (size_t)snprintf(text + used, 64 - used, " type %u", (unsigned)(field_number(rule, "icmp_type") & 0xff));
	if (field_is_set(rule, "icmp_code"))
		snprintf(text + used, 64 - used, " code %u", (unsigned)(field_number(rule, "icmp_code") & 0xff));
	return text;
}

/* Asks for the change. 0 or the exit status. */
static int send_change(const struct cli *cli, const struct net_items *items, const char *verb, json_t *list, json_t **object)
{
	json_t *body = json_pack("{s:O}", verb, list);
	struct api_error error;
	char path[160];
	int rc;

	snprintf(path, sizeof(path), "/v1/%s/%s/%s", items->path, cli->argument[0], items->name);
	rc = api_request(cli->api_socket, cli->api_patience_s, "POST", path, body, object, &error);
	json_decref(body);
	if (rc == 0)
		return 0;
	if (strcmp(error.code, "conflict") == 0 && strncmp(error.message, "Field \"add[", 11) == 0)
		return cli_fail(cli, error.code, "%s: %s", cli->argument[0], items->taken);
	return api_fail(cli, &error);
}

/* How many it has before it is changed. Who does not exist is told of by the change. */
static unsigned long long count_before(const struct cli *cli, const struct net_items *items)
{
	unsigned long long count = 0;
	struct api_error error;
	json_t *object = NULL;
	char path[160];

	snprintf(path, sizeof(path), "/v1/%s/%s", items->path, cli->argument[0]);
	if (api_request(cli->api_socket, cli->api_patience_s, "GET", path, NULL, &object, &error) == 0)
		count = json_array_size(json_object_get(object, items->name));
	json_decref(object);
	return count;
}

/* To remove what is not there is no error, and may be a slip of the finger: then nothing is said to be removed that was not. */
static void print_items(const struct cli *cli, const struct net_items *items, const json_t *list, unsigned long long changed)
{
	json_t *item;
	size_t at;

	if (changed == 0) {
		printf("%s: no such %s: nothing changed\n", cli->argument[0], items->one);
		return;
	}
	json_array_foreach ((json_t *)(size_t)list, at, item) {
		char text[256];

		items->says(item, text, sizeof(text));
		printf("%s: %s\n", cli->argument[0], text);
	}
	if (changed < json_array_size(list))
		printf("Only %llu of these %zu %s there.\n", changed, json_array_size(list), changed == 1 ? "was" : "were");
}

int net_items_change(const struct cli *cli, const struct net_items *items, const char *verb, json_t *list)
{
	bool removes = strcmp(verb, "remove") == 0;
	unsigned long long count, before = removes && !cli->json ? count_before(cli, items) : 0;
	json_t *object = NULL;
	int status = send_change(cli, items, verb, list, &object);

	if (status == 0 && cli->json) {
		print_json(object);
	} else if (status == 0) {
		count = field_number(object, items->count);
		print_items(cli, items, list, !removes ? json_array_size(list) : before > count ? before - count : 0);
		printf("%llu %s%s now; \"outboard %.*s show %s\" shows %s.\n", count, items->one, count == 1 ? "" : "s",
		       (int)strcspn(cli->command->name, " "), cli->command->name, cli->argument[0], count == 1 ? "it" : "them");
	}
	json_decref(object);
	json_decref(list);
	return status;
}
