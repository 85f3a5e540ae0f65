/* Every command, each defined in the file of its name; the table that lists them is commands.c. */
#ifndef OUTBOARD_CLI_COMMANDS_H
#define OUTBOARD_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct cli_command command_bench_blk;
extern const struct cli_command command_bench_net;
extern const struct cli_command command_card_show;
extern const struct cli_command command_key_create;
extern const struct cli_command command_key_delete;
extern const struct cli_command command_key_export;
extern const struct cli_command command_key_list;
extern const struct cli_command command_key_rotate;
extern const struct cli_command command_key_unlock;
extern const struct cli_command command_run;
extern const struct cli_command command_status;
extern const struct cli_command command_top;
extern const struct cli_command command_volume_attach;
extern const struct cli_command command_volume_create;
extern const struct cli_command command_volume_delete;
extern const struct cli_command command_volume_detach;
extern const struct cli_command command_volume_export;
extern const struct cli_command command_volume_import;
extern const struct cli_command command_volume_limit;
extern const struct cli_command command_volume_list;
extern const struct cli_command command_volume_nbd;
extern const struct cli_command command_volume_resize;
extern const struct cli_command command_volume_rewrap;
extern const struct cli_command command_volume_show;

#endif
