/* `outboard volume attach|detach|nbd`. */
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/nbd.h"
#include "cli/output.h"
#include "cli/socket_options.h"
#include "cli/vmm.h"

static const struct cli_option attach_options[] = {
	{"queues", 'q', CLI_NUMBER, "N", "request queues that the VMM may use (default: 16); unused ones cost nothing", false},
	{"no-packed", 0, CLI_FLAG, NULL, "do not offer packed rings", false},
	{"read-only", 0, CLI_FLAG, NULL, "the guest may only read", false},
	{"socket", 'S', CLI_FILE, "SOCKET", "where the VMM connects (default: in the state directory)", false},
	{"user", 0, CLI_TEXT, "USER", "owner of the socket: who runs the VMM (default: the card's)", false},
	{"group", 0, CLI_TEXT, "GROUP", "group of the socket", false},
	{"mode", 0, CLI_TEXT, "MODE", "permissions of the socket, octal (default: 0600)", false},
	{0},
};

static int attach(struct cli *cli)
{
	json_t *body = json_pack("{s:s,s:s,s:I,s:b,s:b}", "volume", cli->argument[0], "kind", "vhost-user-blk", "queues",
				 (json_int_t)cli_number(cli, "queues", 16), "packed", !cli_flag(cli, "no-packed"), "read_only",
				 cli_flag(cli, "read-only"));
	struct vmm_disk disk = {.name = cli->argument[0]};
	json_t *attachment;
	int status = socket_options_add(cli, body);

	if (status >= 0) {
		json_decref(body);
		return status;
	}
	status = api_call(cli, "POST", body, &attachment, "/v1/attachments");
	if (status != 0)
		return status;
	disk.socket = field_text(attachment, "socket");
	disk.queues = (unsigned)field_number(attachment, "queues");
	disk.packed = field_true(attachment, "packed");
	if (cli->json) {
		json_t *lines = vmm_lines(&disk);

		json_object_update(attachment, lines);
		print_json(attachment);
		json_decref(lines);
	} else {
		printf("%s\n", disk.socket);
		vmm_print(&disk);
	}
	json_decref(attachment);
	return 0;
}

const struct cli_command command_volume_attach = {
	.name = "volume attach",
	.summary = "Serve a volume on a socket, for one virtual machine",
	.arguments = {{"NAME", CLI_VOLUME}},
	.options = attach_options,
	.details = "Prints the socket, and lines to paste for QEMU, Cloud Hypervisor and Firecracker. The\n"
		   "machine's memory must be shared with the card: the lines see to it. An attachment stays:\n"
		   "it is there again after a restart of the card or of the host, until you detach it.",
	.examples = "  outboard volume attach disk1 --queues 4\n"
		    "  outboard volume attach disk1 --socket /run/outboard/disk1.sock --user libvirt-qemu\n"
		    "      where libvirt's QEMU can reach it\n"
		    "  outboard volume attach disk1 --json | jq -r .socket",
	.run = attach,
};

static int detach(struct cli *cli)
{
	int status = api_call(cli, "DELETE", NULL, NULL, "/v1/attachments/%s", cli->argument[0]);

	return status != 0 ? status : print_done(cli, "detached", cli->argument[0]);
}

const struct cli_command command_volume_detach = {
	.name = "volume detach",
	.summary = "Stop serving a volume; wipes its key from the card",
	.arguments = {{"NAME", CLI_VOLUME}},
	.details = "A guest that still uses the disk loses it. Returns when everything is released.",
	.run = detach,
};

static const struct cli_option nbd_options[] = {
	{"read-only", 0, CLI_FLAG, NULL, "clients may only read", false},
	{"socket", 'S', CLI_FILE, "SOCKET", "where clients connect (default: in the state directory)", false},
	{"user", 0, CLI_TEXT, "USER", "owner of the socket (default: the card's)", false},
	{"group", 0, CLI_TEXT, "GROUP", "group of the socket", false},
	{"mode", 0, CLI_TEXT, "MODE", "permissions of the socket, octal (default: 0600)", false},
	{0},
};

static int nbd(struct cli *cli)
{
	json_t *body =
		json_pack("{s:s,s:s,s:b}", "volume", cli->argument[0], "kind", "nbd", "read_only", cli_flag(cli, "read-only"));
	json_t *attachment;
	int status = socket_options_add(cli, body);
	char *uri;

	if (status >= 0) {
		json_decref(body);
		return status;
	}
	status = api_call(cli, "POST", body, &attachment, "/v1/attachments");
	if (status != 0)
		return status;
	uri = nbd_uri(field_text(attachment, "socket"));
	json_object_set_new(attachment, "uri", json_string(uri));
	if (cli->json)
		print_json(attachment);
	else
		printf("%s\n", uri);
	free(uri);
	json_decref(attachment);
	return 0;
}

const struct cli_command command_volume_nbd = {
	.name = "volume nbd",
	.summary = "Serve a volume to tools of the host (qemu-img, nbdcopy, fio, nbd-client)",
	.arguments = {{"NAME", CLI_VOLUME}},
	.options = nbd_options,
	.details = "Prints an NBD URI. What is read there is in clear, also of an encrypted volume: detach it\n"
		   "(\"volume detach\") when you are done.",
	.examples = "  nbdinfo $(outboard volume nbd disk1)\n"
		    "  nbdcopy $(outboard volume nbd disk1) copy.img && outboard volume detach disk1",
	.run = nbd,
};
