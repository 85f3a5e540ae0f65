/* `outboard status` and `outboard card show`. */
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/output.h"

static void print_cores(const json_t *cores)
{
	char text[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < json_array_size(cores) && used < sizeof(text) - 24; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%lld", i == 0 ? "" : ", ",
					 (long long)json_integer_value(json_array_get(cores, i)));
	print_field("pollers", "%zu, on core %s", json_array_size(cores), text);
}

static void print_card(const json_t *card)
{
	print_field("card", "%s, %s", field_text(card, "name"), field_text(card, "state"));
	print_field("version", "%s", field_text(card, "version"));
	print_cores(json_object_get(card, "pollers"));
	print_field("attached", "%llu", (unsigned long long)field_number(card, "attachments"));
	print_field("restarts", "%llu", (unsigned long long)field_number(card, "restarts"));
	print_field("encryption", "AES-256-XTS by %s", field_text(card, "xts_kernel"));
	print_field("keys in", "%s", field_text(card, "secret_memory"));
	print_field("huge pages", "%s", field_true(card, "huge_pages") ? "yes" : "no");
}

static int show(struct cli *cli)
{
	json_t *card;
	int status = api_call(cli, "GET", NULL, &card, "/v1/cards/local");

	if (status != 0)
		return status;
	if (cli->json)
		print_json(card);
	else
		print_card(card);
	json_decref(card);
	return 0;
}

const struct cli_command command_card_show = {
	.name = "card show",
	.summary = "What this card is: its cores, its cipher, where it keeps keys",
	.run = show,
};

static void advise(const char *card, const char *vault)
{
	if (strcmp(card, "up") != 0)
		printf("The card is down. Guests wait; the chassis restarts it: see its messages (journalctl -u outboard).\n");
	if (strcmp(vault, "locked") == 0)
		printf("The vault waits for its passphrase: outboard key unlock\n");
	if (strcmp(vault, "down") == 0)
		printf("The vault is down. Attached volumes go on; see the chassis' messages (journalctl -u outboard).\n");
}

static int status(struct cli *cli)
{
	json_t *health;
	int status = api_call(cli, "GET", NULL, &health, "/healthz");

	if (status != 0)
		return status;
	if (cli->json) {
		print_json(health);
	} else {
		print_field("status", "%s", field_text(health, "status"));
		print_field("card", "%s", field_text(health, "card"));
		print_field("vault", "%s", field_text(health, "vault"));
		print_field("version", "%s", field_text(health, "version"));
		print_field("api", "%s", cli->api_socket);
		advise(field_text(health, "card"), field_text(health, "vault"));
	}
	json_decref(health);
	return 0;
}

const struct cli_command command_status = {
	.name = "status",
	.summary = "Whether card and vault are up, and what to do when they are not",
	.examples = "  outboard status --json | jq -e '.status == \"ok\"'",
	.run = status,
};
