#include "cli/command.h"

#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 26, COMMAND_WIDTH = 25 };

static bool in_group(const struct cli_command *command, const struct cli_command *group)
{
	size_t length = strlen(group->name);

	return strncmp(command->name, group->name, length) == 0 && command->name[length] == ' ';
}

static void print_option(const struct cli_option *o)
{
	char left[64];
	int used = snprintf(left, sizeof(left), "  %c%c%s--%s", o->letter != 0 ? '-' : ' ', o->letter != 0 ? o->letter : ' ',
			    o->letter != 0 ? ", " : "  ", o->name);

	if (o->metavar != NULL && used > 0 && (size_t)used < sizeof(left))
		snprintf(left + used, sizeof(left) - (size_t)used, " %s", o->metavar);
	if (strlen(left) >= HELP_COLUMN)
		printf("%s\n%*s%s\n", left, HELP_COLUMN, "", o->help);
	else
		printf("%-*s%s\n", HELP_COLUMN, left, o->help);
}

static void print_options(const char *heading, const struct cli_option *options)
{
	if (options == NULL || options[0].name == NULL)
		return;
	printf("\n%s\n", heading);
	for (; options->name != NULL; options++)
		print_option(options);
}

static void print_usage(const struct cli_command *command)
{
	printf("Usage: outboard %s", command->name);
	for (unsigned i = 0; i < CLI_ARGUMENTS_MAX && command->arguments[i].name != NULL; i++)
		printf(" %s", command->arguments[i].name);
	for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++)
		if (cli_required(o))
			printf(" --%s %s", o->name, o->metavar);
	printf("%s\n\n%s.\n", command->run == NULL ? " COMMAND" : command->options != NULL ? " [options]" : "", command->summary);
}

/* Commands of one group, or (NULL) everything that is at the top. */
static void print_commands(const struct cli_command *group)
{
	printf("\nCommands:\n");
	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		const struct cli_command *c = cli_commands[i];
		bool shown = group == NULL ? c->run == NULL || strchr(c->name, ' ') == NULL : in_group(c, group);

		if (shown)
			printf("  %-*s %s\n", COMMAND_WIDTH, c->name, c->summary);
	}
}

static void print_everything(void)
{
	printf("Usage: outboard [--api SOCKET] [--json] COMMAND ...\n"
	       "\n"
	       "Outboard serves disks and NICs to virtual machines from cores of their own. A card\n"
	       "runs (\"outboard run\"); you give it volumes, and networks with ENIs, and attach them\n"
	       "to virtual machines.\n");
	print_commands(NULL);
	print_options("Options, everywhere:", cli_global_options);
	printf("\nThe first disk:\n"
	       "  sudo outboard run --state-dir /var/lib/outboard &\n"
	       "  export OUTBOARD_API=/var/lib/outboard/api.sock\n"
	       "  outboard volume create disk1 --size 10G --backend file --encrypted\n"
	       "  outboard volume attach disk1\n"
	       "      prints the socket, and the lines to paste for QEMU and others\n"
	       "  outboard top\n"
	       "      shows where its requests wait\n"
	       "\nThe first NIC:\n"
	       "  outboard vpc create prod --cidr 10.0.0.0/16\n"
	       "  outboard subnet create prod-a --vpc prod --cidr 10.0.1.0/24\n"
	       "  outboard security-group create web --vpc prod\n"
	       "  outboard eni create web1 --subnet prod-a --security-group web\n"
	       "  outboard eni attach web1\n"
	       "\nSizes are bytes, or 512M, 10G, 1T (binary units). \"outboard COMMAND --help\" says more\n"
	       "about every command; so does outboard(1).\n");
}

void cli_help(const struct cli_command *command)
{
	if (command == NULL) {
		print_everything();
		return;
	}
	print_usage(command);
	if (command->details != NULL)
		printf("\n%s\n", command->details);
	if (command->run == NULL)
		print_commands(command);
	print_options("Options:", command->options);
	if (command->examples != NULL)
		printf("\nExamples:\n%s\n", command->examples);
	if (command->run != NULL)
		print_options("Options, everywhere:", cli_global_options);
}

static json_t *options_json(const struct cli_option *options)
{
	json_t *list = json_array();

	for (; options != NULL && options->name != NULL; options++)
		json_array_append_new(list, json_pack("{s:s,s:s?,s:s,s:b}", "name", options->name, "value", options->metavar,
						      "help", options->help, "required", cli_required(options)));
	return list;
}

json_t *cli_tables(void)
{
	json_t *list = json_array();

	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		const struct cli_command *c = cli_commands[i];
		json_t *arguments = json_array();

		for (unsigned j = 0; j < CLI_ARGUMENTS_MAX && c->arguments[j].name != NULL; j++)
			json_array_append_new(arguments, json_string(c->arguments[j].name));
		json_array_append_new(list, json_pack("{s:s,s:s,s:o,s:o,s:b}", "name", c->name, "summary", c->summary, "arguments",
						      arguments, "options", options_json(c->options), "group", c->run == NULL));
	}
	return json_pack("{s:o,s:o}", "commands", list, "options", options_json(cli_global_options));
}
