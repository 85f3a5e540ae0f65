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

/* ---- the network in a line ---- */

/* What the card counts, as members of the health's "network". Without an answer there are none. */
static void add_network(const struct cli *cli, json_t *network)
{
	struct api_error error;
	json_t *stats, *counted, *wires, *wire, *eni;
	json_int_t up = 0, attached = 0;
	size_t at;

	if (api_request(cli->api_socket, cli->api_patience_s, "GET", "/v1/cards/local/stats?all=1", NULL, &stats, &error) != 0)
		return;
	counted = json_object_get(stats, "network");
	wires = json_object_get(counted, "wires");
	json_array_foreach (wires, at, wire)
		up += field_true(wire, "link");
	json_array_foreach (json_object_get(stats, "enis"), at, eni)
		attached += strcmp(field_text(eni, "state"), "detached") != 0;
	if (json_is_object(counted))
		json_object_update_new(network, json_pack("{s:I,s:I,s:I,s:I,s:I}", "enis", attached, "wires",
							  (json_int_t)json_array_size(wires), "wires_up", up, "flows",
							  (json_int_t)field_number(counted, "flows"), "flows_max",
							  (json_int_t)field_number(counted, "flows_max")));
	json_decref(stats);
}

static void print_network(const json_t *network)
{
	unsigned long long wires = field_number(network, "wires"), down = wires - field_number(network, "wires_up"),
			   enis = field_number(network, "enis");
	char more[48] = "";

	if (!json_is_object(network))
		return;
	if (strcmp(field_text(network, "state"), "ok") != 0) {
		print_field("network", "%s", field_text(network, "state"));
		return;
	}
	if (!field_is_set(network, "enis")) {
		print_field("network", "ok, not in use");
		return;
	}
	if (down > 0)
		snprintf(more, sizeof(more), " (%llu down)", down);
	print_field("network", "%llu wire%s%s, %llu ENI%s attached, %llu of %llu flows", wires, wires == 1 ? "" : "s", more, enis,
		    enis == 1 ? "" : "s", (unsigned long long)field_number(network, "flows"),
		    (unsigned long long)field_number(network, "flows_max"));
}

static void advise_network(const json_t *network)
{
	if (strcmp(field_text(network, "state"), "refused") == 0)
		printf("The card refuses the network, and goes on with the one before: %s\n", field_text(network, "message"));
	if (strcmp(field_text(network, "state"), "pending") == 0)
		printf("The card has not taken the network yet.\n");
	if (field_number(network, "wires") > field_number(network, "wires_up"))
		printf("A wire has no link: \"outboard top --once --all\" shows which; see \"ip link\", or the cable.\n");
}

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
	json_t *health, *network;
	int status = api_call(cli, "GET", NULL, &health, "/healthz");

	if (status != 0)
		return status;
	network = json_object_get(health, "network");
	if (json_is_object(network))
		add_network(cli, network);
	if (cli->json) {
		print_json(health);
	} else {
		print_field("status", "%s", field_text(health, "status"));
		print_field("card", "%s", field_text(health, "card"));
		print_field("vault", "%s", field_text(health, "vault"));
		print_network(network);
		print_field("version", "%s", field_text(health, "version"));
		print_field("api", "%s", cli->api_socket);
		advise(field_text(health, "card"), field_text(health, "vault"));
		advise_network(network);
	}
	json_decref(health);
	return 0;
}

const struct cli_command command_status = {
	.name = "status",
	.summary = "Whether card, vault and network are up, and what to do when they are not",
	.examples = "  outboard status --json | jq -e '.status == \"ok\"'",
	.run = status,
};
