/*
 * The command line as tables. A command is its name, arguments, options, help and a function; parsing, usage errors, `--help`,
 * completion and the test that holds the manual pages against the program all read the same table. To add a command: write it in
 * a file of its own, and name it in commands.c.
 *
 * Exit statuses: 0 done; 1 it failed (a sentence on standard error; with --json {"error": {code, message}} on standard output);
 * 2 the command line makes no sense.
 */
#ifndef OUTBOARD_CLI_COMMAND_H
#define OUTBOARD_CLI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	CLI_ARGUMENTS_MAX = 2,
	CLI_OPTIONS_MAX = 40,
	CLI_REPEATS_MAX = 64,
	CLI_EXIT_FAILED = 1,
	CLI_EXIT_USAGE = 2,
};

/* What an argument or an option's value is: how it is checked, and how the shell completes it. */
enum cli_type {
	CLI_FLAG, /* an option without a value */
	CLI_TEXT,
	CLI_NAME,   /* of a new object */
	CLI_VOLUME, /* name of an existing one */
	CLI_KEY,
	CLI_VPC,
	CLI_SUBNET,
	CLI_SECURITY_GROUP,
	CLI_ACL,
	CLI_ROUTE_TABLE,
	CLI_PEERING,
	CLI_ENI,
	CLI_NAT,
	CLI_EIP,
	CLI_HOST,
	CLI_FILE,
	CLI_FOLDER,
	CLI_SIZE, /* 4096, 512M, 10G, 1T: bytes */
	CLI_RATE, /* 100M, 2.5G, 1000000: bits a second */
	CLI_NUMBER,
	CLI_CHOICE, /* one of the words of `metavar`: "raw|qcow2" */
};

/* Whether an option is given: tables say false or true, or that it may (or must) be given once or several times. */
enum cli_need { CLI_OPTIONAL = false, CLI_REQUIRED = true, CLI_REPEATED, CLI_REQUIRED_REPEATED };

struct cli_option {
	const char *name; /* long name, without its dashes; NULL ends a table */
	char letter;	  /* short name, or 0 */
	enum cli_type type;
	const char *metavar;
	const char *help;
	enum cli_need need;
};

struct cli_argument {
	const char *name; /* NULL: there is none */
	enum cli_type type;
};

struct cli;

struct cli_command {
	const char *name; /* "volume create"; a group has its name only, and no `run` */
	const char *summary;
	struct cli_argument arguments[CLI_ARGUMENTS_MAX];
	const struct cli_option *options; /* may be NULL */
	const char *details;
	const char *examples; /* lines "command\n    what it does" */
	int (*run)(struct cli *cli);
	bool own_options; /* it parses its options itself (cli->argc, argv); `options` is for completion only */
};

struct cli_value {
	const char *text; /* NULL: not given; the first, of one that repeats */
	uint64_t number;  /* of CLI_SIZE, CLI_RATE and CLI_NUMBER; the last, of one that repeats */
	const char *all[CLI_REPEATS_MAX];
	unsigned count;
};

struct cli {
	const struct cli_command *command;
	const char *api_socket;
	unsigned api_patience_s;
	bool json;
	const char *argument[CLI_ARGUMENTS_MAX];
	struct cli_value value[CLI_OPTIONS_MAX]; /* parallel to command->options */
	int argc;				 /* what followed the command's name, itself included */
	char **argv;
};

extern const struct cli_command *const cli_commands[]; /* groups before their commands; ends with NULL */
extern const struct cli_option cli_global_options[];   /* valid everywhere */

static inline bool cli_required(const struct cli_option *option)
{
	return option->need == CLI_REQUIRED || option->need == CLI_REQUIRED_REPEATED;
}

static inline bool cli_repeated(const struct cli_option *option)
{
	return option->need == CLI_REPEATED || option->need == CLI_REQUIRED_REPEATED;
}

/* The value of an option of this command, NULL when it was not given. */
const struct cli_value *cli_option(const struct cli *cli, const char *name);
const char *cli_text(const struct cli *cli, const char *name, const char *otherwise);
uint64_t cli_number(const struct cli *cli, const char *name, uint64_t otherwise);
bool cli_flag(const struct cli *cli, const char *name);

/* Fills `cli` from a command line; prints what is wrong with it. -1: go on and run cli->command; else the exit status. */
int cli_parse(struct cli *cli, int argc, char **argv);

/* What a person reads who asks for help: of everything, of a group, of a command. */
void cli_help(const struct cli_command *command);
/* The tables as JSON (`outboard --tables`): what the test of completion and manual pages compares them with. */
json_t *cli_tables(void);

#endif
