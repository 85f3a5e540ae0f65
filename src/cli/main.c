/* `outboard`: everything a person does. */
#include <stdio.h>

#include "cli/command.h"

int main(int argc, char **argv)
{
	struct cli cli;
	int status = cli_parse(&cli, argc, argv);

	if (status < 0)
		status = cli.command->run(&cli);
	if (fflush(stdout) != 0 && status == 0) {
		perror("outboard: standard output");
		status = CLI_EXIT_FAILED;
	}
	return status;
}
