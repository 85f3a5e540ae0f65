/* Every command, each defined in the file of its name; the table that lists them is commands.c. */
#ifndef OUTBOARD_CLI_COMMANDS_H
#define OUTBOARD_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct cli_command command_run;

#endif
