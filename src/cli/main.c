/* `outboard`: everything a person does. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/complete.h"

static int print_tables(void)
{
	json_t *tables = cli_tables();
	int rc = json_dumpf(tables, stdout, 0);

	json_decref(tables);
	return rc == 0 ? 0 : CLI_EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct cli cli;
	int status;

	/* For programs, and not in the help: completion, and the test that compares the tables with the manual. */
	if (argc > 1 && strcmp(argv[1], "--complete") == 0)
		return cli_complete(argc - 2, argv + 2);
	if (argc == 2 && strcmp(argv[1], "--tables") == 0)
		return print_tables();
	status = cli_parse(&cli, argc, argv);
	if (status < 0)
		status = cli.command->run(&cli);
	if (fflush(stdout) != 0 && status == 0) {
		perror("outboard: standard output");
		status = CLI_EXIT_FAILED;
	}
	return status;
}
