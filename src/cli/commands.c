#include "cli/commands.h"

#include <stddef.h>

const struct cli_command *const cli_commands[] = {
	&command_run,
	NULL,
};
