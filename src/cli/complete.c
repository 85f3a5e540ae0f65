#include "cli/complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/command.h"
#include "cli/fields.h"

struct completion {
	const char *socket;
	const struct cli_command *command; /* NULL: none yet */
	const struct cli_option *pending;  /* the option that the last word is the value of */
	unsigned arguments;		   /* how many stand before the last word */
	const char *word;		   /* the last */
};

static void offer(const struct completion *c, const char *candidate)
{
	if (strncmp(candidate, c->word, strlen(c->word)) == 0)
		printf("%s\n", candidate);
}

static void offer_choices(const struct completion *c, const char *choices)
{
	while (*choices != '\0') {
		size_t length = strcspn(choices, "|");
		char choice[32];

		snprintf(choice, sizeof(choice), "%.*s", (int)length, choices);
		offer(c, choice);
		choices += length + (choices[length] == '|');
	}
}

enum { COMPLETE_PATIENCE_S = 2 }; /* somebody pressed Tab */

static void offer_names(const struct completion *c, const char *path)
{
	struct api_error error;
	json_t *list, *object;
	size_t i;

	if (api_request(c->socket, COMPLETE_PATIENCE_S, "GET", path, NULL, &list, &error) != 0)
		return; /* no card: nothing to offer, and no place for a complaint */
	json_array_foreach (list, i, object)
		offer(c, field_text(object, "name"));
	json_decref(list);
}

/* Where the names of existing objects are listed. */
static const char *const lists[] = {
	[CLI_VOLUME] = "/v1/volumes",
	[CLI_KEY] = "/v1/keys",
	[CLI_VPC] = "/v1/vpcs",
	[CLI_SUBNET] = "/v1/subnets",
	[CLI_SECURITY_GROUP] = "/v1/security-groups",
	[CLI_ACL] = "/v1/acls",
	[CLI_ROUTE_TABLE] = "/v1/route-tables",
	[CLI_PEERING] = "/v1/peerings",
	[CLI_ENI] = "/v1/enis",
	[CLI_NAT] = "/v1/nats",
	[CLI_EIP] = "/v1/eips",
	[CLI_HOST] = "/v1/hosts",
};

static void offer_values(const struct completion *c, enum cli_type type, const char *metavar)
{
	if (type == CLI_FILE)
		puts(":file");
	else if (type == CLI_FOLDER)
		puts(":folder");
	else if (type == CLI_CHOICE)
		offer_choices(c, metavar);
	else if (type < sizeof(lists) / sizeof(lists[0]) && lists[type] != NULL)
		offer_names(c, lists[type]);
}

static void offer_options(const struct completion *c, const struct cli_option *options)
{
	char dashed[64];

	for (; options != NULL && options->name != NULL; options++) {
		snprintf(dashed, sizeof(dashed), "--%s", options->name);
		offer(c, dashed);
	}
}

/* First words of all commands, or second words of a group. */
static void offer_commands(const struct completion *c)
{
	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		const char *name = cli_commands[i]->name, *space = strchr(name, ' ');
		size_t group = c->command == NULL ? 0 : strlen(c->command->name);

		if (c->command == NULL && space == NULL)
			offer(c, name);
		else if (c->command != NULL && strncmp(name, c->command->name, group) == 0 && name[group] == ' ')
			offer(c, name + group + 1);
	}
}

static const struct cli_option *find_option(const struct cli_option *options, const char *word)
{
	for (; options != NULL && options->name != NULL; options++)
		if (strncmp(word, "--", 2) == 0
			    ? strcmp(word + 2, options->name) == 0
			    : word[0] == '-' && word[1] == options->letter && options->letter != 0 && word[2] == '\0')
			return options;
	return NULL;
}

static const struct cli_command *find_command(const struct cli_command *group, const char *word)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s%s", group == NULL ? "" : group->name, group == NULL ? "" : " ", word);
	for (unsigned i = 0; cli_commands[i] != NULL; i++)
		if (strcmp(cli_commands[i]->name, name) == 0)
			return cli_commands[i];
	return group;
}

static void take(struct completion *c, const char *word)
{
	const struct cli_option *option = c->command == NULL ? NULL : find_option(c->command->options, word);

	if (c->pending != NULL) {
		if (strcmp(c->pending->name, "api") == 0)
			c->socket = word;
		c->pending = NULL;
		return;
	}
	if (*word == '-') {
		if (option == NULL)
			option = find_option(cli_global_options, word);
		c->pending = option != NULL && option->type != CLI_FLAG ? option : NULL;
	} else if (c->command == NULL || c->command->run == NULL) {
		c->command = find_command(c->command, word);
	} else {
		c->arguments++;
	}
}

int cli_complete(int count, char **words)
{
	const char *environment = getenv("OUTBOARD_API");
	struct completion c = {.socket = environment != NULL ? environment : "/run/outboard/api.sock", .word = ""};

	for (int i = 0; i + 1 < count; i++)
		take(&c, words[i]);
	if (count > 0)
		c.word = words[count - 1];
	if (c.pending != NULL) {
		offer_values(&c, c.pending->type, c.pending->metavar);
	} else if (*c.word == '-') {
		offer_options(&c, c.command == NULL ? NULL : c.command->options);
		offer_options(&c, cli_global_options);
	} else if (c.command == NULL || c.command->run == NULL) {
		offer_commands(&c);
	} else if (c.arguments < CLI_ARGUMENTS_MAX && c.command->arguments[c.arguments].name != NULL) {
		offer_values(&c, c.command->arguments[c.arguments].type, NULL);
	}
	return 0;
}
