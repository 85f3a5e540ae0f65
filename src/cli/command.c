#include "cli/command.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "cli/api.h"
#include "cli/output.h"
#include "cli/rate.h"

static const char default_socket[] = "/run/outboard/api.sock";

enum { GLOBAL_API, GLOBAL_TIMEOUT, GLOBAL_JSON, GLOBAL_HELP, GLOBAL_VERSION, GLOBAL_COUNT, NAME_MAX_BYTES = 63 };

const struct cli_option cli_global_options[] = {
	[GLOBAL_API] = {"api", 0, CLI_FILE, "SOCKET", "the card's API (default: $OUTBOARD_API, else /run/outboard/api.sock)",
			false},
	[GLOBAL_TIMEOUT] = {"timeout", 0, CLI_NUMBER, "SECONDS", "how long to wait for an answer of the API (default: 60)", false},
	[GLOBAL_JSON] = {"json", 0, CLI_FLAG, NULL, "print exactly one JSON object, errors too", false},
	[GLOBAL_HELP] = {"help", 'h', CLI_FLAG, NULL, "this text", false},
	[GLOBAL_VERSION] = {"version", 0, CLI_FLAG, NULL, "which program this is", false},
	{0},
};

const struct cli_value *cli_option(const struct cli *cli, const char *name)
{
	const struct cli_option *options = cli->command->options;

	for (unsigned i = 0; options != NULL && options[i].name != NULL; i++)
		if (strcmp(options[i].name, name) == 0)
			return cli->value[i].text != NULL ? &cli->value[i] : NULL;
	assert(false && "a command asks for an option that is not in its table");
	return NULL;
}

const char *cli_text(const struct cli *cli, const char *name, const char *otherwise)
{
	const struct cli_value *value = cli_option(cli, name);

	return value != NULL ? value->text : otherwise;
}

uint64_t cli_number(const struct cli *cli, const char *name, uint64_t otherwise)
{
	const struct cli_value *value = cli_option(cli, name);

	return value != NULL ? value->number : otherwise;
}

bool cli_flag(const struct cli *cli, const char *name)
{
	return cli_option(cli, name) != NULL;
}

/* The API refuses other names with its own sentence; here it matters that a name goes into a URL as it is. */
static bool name_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > NAME_MAX_BYTES || !isalnum((unsigned char)*name))
		return false;
	for (; *name != '\0'; name++)
		if (!isalnum((unsigned char)*name) && strchr("._-", *name) == NULL)
			return false;
	return true;
}

static bool choice_valid(const char *choices, const char *text)
{
	size_t length = strlen(text);

	for (const char *c = choices; c != NULL; c = strchr(c, '|') == NULL ? NULL : strchr(c, '|') + 1)
		if (strncmp(c, text, length) == 0 && (c[length] == '|' || c[length] == '\0') && length > 0)
			return true;
	return false;
}

static int number_parse(const char *text, uint64_t *number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return *end != '\0' || errno != 0 || *number > INT64_MAX ? -EINVAL : 0;
}

/* `what`: "--size" or "NAME". -1: fine; else the exit status. */
static int value_check(const struct cli *cli, enum cli_type type, const char *what, const char *choices, const char *text,
		       uint64_t *number)
{
	int rc;

	switch (type) {
	case CLI_SIZE:
		rc = size_parse(text, number);
		if (rc == -ERANGE)
			return cli_usage(cli, "%s must be less than 8E, not \"%s\"", what, text);
		if (rc != 0)
			return cli_usage(cli, "%s must be a size such as 512M, 10G or 1T, not \"%s\"", what, text);
		break;
	case CLI_RATE:
		rc = rate_parse(text, number);
		if (rc == -ERANGE)
			return cli_usage(cli, "%s is more bits than there are, \"%s\"", what, text);
		if (rc != 0)
			return cli_usage(cli, "%s must be bits a second such as 100M, 2.5G or 1000000, not \"%s\"", what, text);
		break;
	case CLI_NUMBER:
		if (number_parse(text, number) != 0)
			return cli_usage(cli, "%s must be a number, not \"%s\"", what, text);
		break;
	case CLI_NAME:
	case CLI_VOLUME:
	case CLI_KEY:
	case CLI_VPC:
	case CLI_SUBNET:
	case CLI_SECURITY_GROUP:
	case CLI_ACL:
	case CLI_ROUTE_TABLE:
	case CLI_PEERING:
	case CLI_ENI:
	case CLI_NAT:
	case CLI_EIP:
	case CLI_HOST:
		if (!name_valid(text))
			return cli_usage(
				cli,
				"%s must be up to %d letters, digits, '.', '_' or '-', the first a letter or digit, not \"%s\"",
				what, NAME_MAX_BYTES, text);
		break;
	case CLI_CHOICE:
		if (!choice_valid(choices, text))
			return cli_usage(cli, "%s must be one of %s, not \"%s\"", what, choices, text);
		break;
	case CLI_FLAG:
	case CLI_TEXT:
		break;
	case CLI_FILE:
	case CLI_FOLDER:
		if (*text == '\0')
			return cli_usage(cli, "%s is empty", what);
		break;
	}
	return -1;
}

static unsigned option_count(const struct cli_option *options)
{
	unsigned count = 0;

	while (options != NULL && options[count].name != NULL)
		count++;
	return count;
}

/* getopt's tables: the command's options are 256 + their index, the global ones 512 + theirs. */
enum { OPTION_OWN = 256, OPTION_GLOBAL = 512, LETTERS_SIZE = 2 + 2 * (CLI_OPTIONS_MAX + GLOBAL_COUNT) };

static void getopt_tables(const struct cli_command *command, struct option *longs, char *letters)
{
	const struct cli_option *own = command == NULL ? NULL : command->options;
	unsigned own_count = option_count(own);

	assert(own_count <= CLI_OPTIONS_MAX);
	*letters++ = command == NULL ? '+' : ':'; /* before the command: stop at the first word that is not an option */
	if (command == NULL)
		*letters++ = ':';
	for (unsigned i = 0; i < own_count + GLOBAL_COUNT; i++) {
		const struct cli_option *o = i < own_count ? &own[i] : &cli_global_options[i - own_count];

		*longs++ = (struct option){.name = o->name,
					   .has_arg = o->type == CLI_FLAG ? no_argument : required_argument,
					   .val = i < own_count ? OPTION_OWN + (int)i : OPTION_GLOBAL + (int)(i - own_count)};
		if (o->letter != 0)
			*letters++ = o->letter;
		if (o->letter != 0 && o->type != CLI_FLAG)
			*letters++ = ':';
	}
	*longs = (struct option){0};
	*letters = '\0';
}

static int letter_to_option(const struct cli_command *command, int letter)
{
	for (unsigned i = 0; command != NULL && i < option_count(command->options); i++)
		if (command->options[i].letter == letter)
			return OPTION_OWN + (int)i;
	for (unsigned i = 0; i < GLOBAL_COUNT; i++)
		if (cli_global_options[i].letter == letter)
			return OPTION_GLOBAL + (int)i;
	return letter;
}

static int take_patience(struct cli *cli)
{
	uint64_t seconds;

	if (number_parse(optarg, &seconds) != 0 || seconds < 1 || seconds > API_PATIENCE_MAX_S)
		return cli_usage(cli, "--timeout must be a number of seconds from 1 to %d, not \"%s\"", API_PATIENCE_MAX_S, optarg);
	cli->api_patience_s = (unsigned)seconds;
	return -1;
}

static int global_option(struct cli *cli, int which)
{
	switch (which) {
	case GLOBAL_API:
		cli->api_socket = optarg;
		return value_check(cli, CLI_FILE, "--api", NULL, optarg, NULL);
	case GLOBAL_TIMEOUT:
		return take_patience(cli);
	case GLOBAL_HELP:
		cli_help(cli->command);
		return 0;
	case GLOBAL_VERSION:
		printf(cli->json ? "{\"version\":\"%s\"}\n" : "outboard %s\n", OUTBOARD_VERSION);
		return 0;
	default: /* --json was seen before all others, so that errors know it */
		return -1;
	}
}

static int own_option(struct cli *cli, unsigned index)
{
	const struct cli_option *o = &cli->command->options[index];
	struct cli_value *value = &cli->value[index];
	char what[64];

	snprintf(what, sizeof(what), "--%s", o->name);
	if (value->text != NULL && !cli_repeated(o))
		return cli_usage(cli, "%s is given twice", what);
	if (value->count == CLI_REPEATS_MAX)
		return cli_usage(cli, "%s is given more than %d times", what, CLI_REPEATS_MAX);
	value->all[value->count] = o->type == CLI_FLAG ? "" : optarg;
	value->text = value->all[0];
	return value_check(cli, o->type, what, o->metavar, value->all[value->count++], &value->number);
}

/* Parses options up to the first other word (no command yet) or all of them. -1, or the exit status. */
static int options_parse(struct cli *cli, int argc, char **argv)
{
	struct option longs[CLI_OPTIONS_MAX + GLOBAL_COUNT + 1];
	char letters[LETTERS_SIZE];
	int c, status = -1;

	getopt_tables(cli->command, longs, letters);
	optind = 0; /* glibc: start anew */
	while (status < 0 && (c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (c == '?' && optopt != 0 && optopt < OPTION_OWN)
			return cli_usage(cli, "there is no option -%c", optopt);
		if (c == '?' && optopt != 0)
			return cli_usage(cli, "%s takes no value", argv[optind - 1]);
		if (c == '?')
			return cli_usage(cli, "there is no option %s", argv[optind - 1]);
		if (c == ':')
			return cli_usage(cli, "%s needs a value", argv[optind - 1]);
		c = letter_to_option(cli->command, c);
		assert(c >= OPTION_OWN); /* getopt knows no other letters than the tables' */
		status = c >= OPTION_GLOBAL ? global_option(cli, c - OPTION_GLOBAL) : own_option(cli, (unsigned)(c - OPTION_OWN));
	}
	return status;
}

static int arguments_parse(struct cli *cli, int argc, char **argv)
{
	const struct cli_command *command = cli->command;
	unsigned count = 0;
	uint64_t unused;

	while (count < CLI_ARGUMENTS_MAX && command->arguments[count].name != NULL)
		count++;
	if ((unsigned)argc > count)
		return cli_usage(cli, "\"%s\" is one argument too many", argv[count]);
	for (unsigned i = 0; i < count; i++) {
		int status;

		if (i >= (unsigned)argc)
			return cli_usage(cli, "%s is missing", command->arguments[i].name);
		cli->argument[i] = argv[i];
		status = value_check(cli, command->arguments[i].type, command->arguments[i].name, NULL, argv[i], &unused);
		if (status >= 0)
			return status;
	}
	for (unsigned i = 0; i < option_count(command->options); i++)
		if (cli_required(&command->options[i]) && cli->value[i].text == NULL)
			return cli_usage(cli, "--%s is missing", command->options[i].name);
	return -1;
}

static const struct cli_command *find(const char *name)
{
	for (unsigned i = 0; cli_commands[i] != NULL; i++)
		if (strcmp(cli_commands[i]->name, name) == 0)
			return cli_commands[i];
	return NULL;
}

/* The command that the words name, and how many words that took: "volume create" or "top". */
static int find_command(struct cli *cli, int argc, char **argv)
{
	char name[64];

	cli->command = find(argv[0]);
	if (cli->command == NULL) {
		cli_usage(cli, "there is no command \"%s\"", argv[0]);
		return 0;
	}
	if (cli->command->run != NULL || argc < 2 || argv[1][0] == '-')
		return 1;
	snprintf(name, sizeof(name), "%s %s", argv[0], argv[1]);
	if (find(name) == NULL) {
		cli_usage(cli, "there is no command \"%s %s\"", argv[0], argv[1]);
		return 0;
	}
	cli->command = find(name);
	return 2;
}

static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
	int status, words;

	*cli = (struct cli){.api_socket = getenv("OUTBOARD_API"), .api_patience_s = API_PATIENCE_S, .json = wants_json(argc, argv)};
	if (cli->api_socket == NULL || *cli->api_socket == '\0')
		cli->api_socket = default_socket;
	opterr = 0;
	status = options_parse(cli, argc, argv);
	if (status >= 0)
		return status;
	argc -= optind;
	argv += optind;
	if (argc == 0) {
		if (cli->json)
			return cli_usage(cli, "which command?");
		cli_help(NULL);
		return CLI_EXIT_USAGE;
	}
	words = find_command(cli, argc, argv);
	if (words == 0)
		return CLI_EXIT_USAGE;
	cli->argc = argc - words + 1; /* getopt skips the first: the command's last word */
	cli->argv = argv + words - 1;
	if (cli->command->own_options)
		return -1;
	status = options_parse(cli, cli->argc, cli->argv);
	if (status >= 0)
		return status;
	if (cli->command->run == NULL) {
		if (cli->json)
			return cli_usage(cli, "which of the \"%s\" commands?", cli->command->name);
		cli_help(cli->command);
		return CLI_EXIT_USAGE;
	}
	return arguments_parse(cli, cli->argc - optind, cli->argv + optind);
}
