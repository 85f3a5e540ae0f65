#include "cli/commands.h"

#include <stddef.h>

static const struct cli_command group_volume = {
	.name = "volume",
	.summary = "Disks: make, attach, grow, copy, delete",
	.details = "A volume is a disk that a card serves. It is made once, and attached to one virtual\n"
		   "machine at a time.",
	.examples = "  outboard volume create disk1 --size 10G --encrypted\n"
		    "  outboard volume attach disk1\n"
		    "  outboard volume list",
};

static const struct cli_command group_key = {
	.name = "key",
	.summary = "Keys: those that wrap the keys of volumes, and the vault that holds them",
	.details = "Each encrypted volume has a key of its own, made in the vault and stored wrapped under a\n"
		   "named key. Named keys are wrapped under the vault's root: a file, or a passphrase.",
	.examples = "  outboard key create tenant-7\n"
		    "  outboard key rotate tenant-7\n"
		    "  outboard key unlock",
};

static const struct cli_command group_card = {
	.name = "card",
	.summary = "The card itself",
	.examples = "  outboard card show",
};

static const struct cli_command group_bench = {
	.name = "bench",
	.summary = "Load clients that measure any back end",
	.examples = "  outboard bench blk --help\n"
		    "  outboard bench net --help",
};

const struct cli_command *const cli_commands[] = {
	&command_run,
	&command_status,
	&command_top,
	&group_volume,
	&command_volume_create,
	&command_volume_list,
	&command_volume_show,
	&command_volume_attach,
	&command_volume_detach,
	&command_volume_resize,
	&command_volume_limit,
	&command_volume_import,
	&command_volume_export,
	&command_volume_nbd,
	&command_volume_rewrap,
	&command_volume_delete,
	&group_key,
	&command_key_list,
	&command_key_create,
	&command_key_rotate,
	&command_key_delete,
	&command_key_export,
	&command_key_unlock,
	&group_card,
	&command_card_show,
	&group_bench,
	&command_bench_blk,
	&command_bench_net,
	NULL,
};
