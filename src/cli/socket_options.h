/* What the commands that attach something have in common: --socket, --user, --group and --mode. */
#ifndef OUTBOARD_CLI_SOCKET_OPTIONS_H
#define OUTBOARD_CLI_SOCKET_OPTIONS_H

#include <jansson.h>

#include "cli/command.h"

/* Adds those that are given to the body of a request; users and groups by name become numbers. -1, or the exit status. */
int socket_options_add(const struct cli *cli, json_t *body);

#endif
