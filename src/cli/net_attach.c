/* `outboard eni attach|detach|qemu`. */
#include <stdlib.h>
#include <string.h>

#include "base/net_address.h"
#include "base/size.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/output.h"
#include "cli/socket_options.h"
#include "cli/vmm.h"
#include "cli/vmm_nic.h"

static const struct cli_option attach_options[] = {
	{"socket", 'S', CLI_FILE, "SOCKET", "where the VMM connects (default: in the state directory)", false},
	{"queues", 'q', CLI_NUMBER, "N", "queue pairs that the VMM may use (default: 4); unused ones cost nothing", false},
	{"no-packed", 0, CLI_FLAG, NULL,
	 "do not offer packed rings; a guest that uses them must be reset after a crash of the card", false},
	{"user", 0, CLI_TEXT, "USER", "owner of the socket: who runs the VMM (default: the card's)", false},
	{"group", 0, CLI_TEXT, "GROUP", "group of the socket", false},
	{"mode", 0, CLI_TEXT, "MODE", "permissions of the socket, octal (default: 0600)", false},
	{"tap", 't', CLI_TEXT, "INTERFACE", "make it this interface instead, for containers and tests", false},
	{"netns", 'n', CLI_TEXT, "NETNS", "in this network namespace: a name of \"ip netns\", or a path (default: the card's)",
	 false},
	{0},
};

/* -1, or the exit status. */
static int check_kind(const struct cli *cli)
{
	static const char *const of_sockets[] = {"socket", "queues", "user", "group", "mode", "no-packed"};

	if (cli_option(cli, "tap") == NULL)
		return cli_option(cli, "netns") == NULL ? -1 : cli_usage(cli, "--netns has no meaning without --tap");
	for (unsigned i = 0; i < sizeof(of_sockets) / sizeof(of_sockets[0]); i++)
		if (cli_option(cli, of_sockets[i]) != NULL)
			return cli_usage(cli, "--%s has no meaning with --tap: there is no socket", of_sockets[i]);
	return -1;
}

static json_t *attach_body(const struct cli *cli)
{
	const char *tap = cli_text(cli, "tap", NULL), *netns = cli_text(cli, "netns", NULL);
	json_t *body;

	if (tap != NULL) {
		body = json_pack("{s:s,s:s}", "kind", "tap", "tap", tap);
		if (netns != NULL)
			json_object_set_new(body, "netns",
					    strchr(netns, '/') != NULL ? json_string_absolute(netns) : json_string(netns));
		return body;
	}
	return json_pack("{s:s,s:I,s:b}", "kind", "vhost-user", "queues", (json_int_t)cli_number(cli, "queues", 4), "packed",
			 !cli_flag(cli, "no-packed"));
}

/* What the lines need beyond the attachment: the ENI, its subnet and its VPC. 0 or the exit status. */
struct surroundings {
	json_t *eni, *subnet, *vpc;
};

static int look_around(const struct cli *cli, struct surroundings *s)
{
	int status = api_call(cli, "GET", NULL, &s->eni, "/v1/enis/%s", cli->argument[0]);

	if (status == 0)
		status = api_call(cli, "GET", NULL, &s->subnet, "/v1/subnets/%s", field_text(s->eni, "subnet"));
	if (status == 0)
		status = api_call(cli, "GET", NULL, &s->vpc, "/v1/vpcs/%s", field_text(s->subnet, "vpc"));
	return status;
}

static void surroundings_free(struct surroundings *s)
{
	json_decref(s->eni);
	json_decref(s->subnet);
	json_decref(s->vpc);
}

static struct vmm_nic nic_of(const struct surroundings *s, const json_t *attachment)
{
	return (struct vmm_nic){.name = field_text(s->eni, "name"),
				.socket = field_text(attachment, "socket"),
				.mac = field_text(s->eni, "mac"),
				.queues = (unsigned)field_number(attachment, "queues"),
				.mtu = (unsigned)field_number(s->vpc, "mtu")};
}

/* ---- an interface ---- */

/* The router of a subnet is its first address. */
static bool first_address(const char *cidr, struct net_prefix *prefix, char text[NET_ADDRESS_TEXT_SIZE])
{
	struct net_address router;

	if (net_prefix_parse(cidr, prefix) != 0)
		return false;
	router = net_prefix_nth(prefix, 1);
	net_address_format(&router, text);
	return true;
}

/* One command for each address, and for the way out. */
static void print_tap_address(const char *run, const char *tap, const json_t *subnet, const char *address)
{
	struct net_address parsed;
	struct net_prefix prefix;
	char router[NET_ADDRESS_TEXT_SIZE];
	bool v4;

	if (address == NULL || net_address_parse(address, &parsed) != 0)
		return;
	v4 = net_address_is_v4(&parsed);
	if (!first_address(field_text(subnet, v4 ? "cidr" : "cidr6"), &prefix, router))
		return;
	printf("  ip %saddress add %s/%u dev %s%s\n", run, address, prefix.length - (v4 ? 96u : 0u), tap, v4 ? "" : " nodad");
	printf("  ip %s%sroute add default via %s dev %s\n", run, v4 ? "" : "-6 ", router, tap);
}

static void print_tap(const struct surroundings *s, const json_t *attachment)
{
	const json_t *addresses = json_object_get(s->eni, "addresses");
	const char *tap = field_text(attachment, "tap"), *netns = field_text(attachment, "netns");
	bool named = field_is_set(attachment, "netns") && netns[0] != '/';
	char run[96] = "";

	if (named)
		snprintf(run, sizeof(run), "-n %.63s ", netns);
	printf("%s%s%s\n\n", tap, field_is_set(attachment, "netns") ? " in " : "", netns);
	printf("It has the ENI's MAC address. Its addresses come by DHCP, or by hand%s:\n",
	       named || !field_is_set(attachment, "netns") ? "" : ", in that namespace");
	for (size_t i = 0; i < json_array_size(addresses); i++)
		print_tap_address(run, tap, s->subnet, json_string_value(json_array_get(addresses, i)));
}

/* ---- commands ---- */

static int print_attachment(const struct cli *cli, json_t *attachment)
{
	struct surroundings s = {0};
	int status = look_around(cli, &s);
	struct vmm_nic nic;

	if (status == 0 && field_is_set(attachment, "tap")) {
		if (cli->json)
			print_json(attachment);
		else
			print_tap(&s, attachment);
	} else if (status == 0) {
		nic = nic_of(&s, attachment);
		if (cli->json) {
			json_t *lines = vmm_nic_lines(&nic);

			json_object_update(attachment, lines);
			print_json(attachment);
			json_decref(lines);
		} else {
			printf("%s\n", nic.socket);
			vmm_nic_print(&nic);
		}
	}
	surroundings_free(&s);
	json_decref(attachment);
	return status;
}

static int attach(struct cli *cli)
{
	json_t *body, *attachment;
	int status = check_kind(cli);

	if (status >= 0)
		return status;
	body = attach_body(cli);
	status = socket_options_add(cli, body);
	if (status >= 0) {
		json_decref(body);
		return status;
	}
	status = api_call(cli, "POST", body, &attachment, "/v1/enis/%s/attachment", cli->argument[0]);
	return status != 0 ? status : print_attachment(cli, attachment);
}

const struct cli_command command_eni_attach = {
	.name = "eni attach",
	.summary = "Plug a network interface into a virtual machine, or a network namespace",
	.arguments = {{"NAME", CLI_ENI}},
	.options = attach_options,
	.details = "Serves the ENI on a socket, for one virtual machine, and prints lines to paste for QEMU and\n"
		   "Cloud Hypervisor. The machine's memory must be shared with the card: the lines see to it.\n"
		   "With --tap the ENI becomes an interface of this host instead. An attachment stays: it is there\n"
		   "again after a restart of the card or of the host, until you detach it.",
	.examples = "  outboard eni attach web1\n"
		    "  outboard eni attach web1 --socket /run/outboard/web1.sock --user libvirt-qemu\n"
		    "      where libvirt's QEMU can reach it\n"
		    "  ip netns add blue && outboard eni attach web1 --tap eth0 --netns blue\n"
		    "      the NIC of a network namespace\n"
		    "  outboard eni attach web1 --json | jq -r .socket",
	.run = attach,
};

static int detach(struct cli *cli)
{
	int status = api_call(cli, "DELETE", NULL, NULL, "/v1/enis/%s/attachment", cli->argument[0]);

	return status != 0 ? status : print_done(cli, "detached", cli->argument[0]);
}

const struct cli_command command_eni_detach = {
	.name = "eni detach",
	.summary = "Unplug a network interface",
	.arguments = {{"NAME", CLI_ENI}},
	.details = "A guest that still uses the NIC loses it; an interface disappears. Returns when everything is\n"
		   "released. The ENI keeps its addresses.",
	.run = detach,
};

static const struct cli_option qemu_options[] = {
	{"memory", 'm', CLI_TEXT, "SIZE", "memory that is shared with the card as well, for a machine that has none yet", false},
	{0},
};

static void print_words(const json_t *line)
{
	for (size_t i = 0; i < json_array_size(line); i++) {
		if (i > 0)
			putchar(' ');
		vmm_print_quoted(json_string_value(json_array_get(line, i)));
	}
	putchar('\n');
}

static int qemu_with(const struct cli *cli, const struct surroundings *s)
{
	const json_t *attachment = json_object_get(s->eni, "attachment");
	struct vmm_nic nic;
	json_t *line;

	if (!json_is_object(attachment))
		return cli_fail(cli, "attachment_not_found", "ENI \"%s\" is not attached; \"outboard eni attach %s\" attaches it",
				cli->argument[0], cli->argument[0]);
	if (!field_is_set(attachment, "socket"))
		return cli_fail(cli, "attached_as_tap", "ENI \"%s\" is attached as interface %s, which has no socket for QEMU",
				cli->argument[0], field_text(attachment, "tap"));
	nic = nic_of(s, attachment);
	line = vmm_nic_qemu(&nic, cli_text(cli, "memory", NULL));
	if (cli->json) {
		json_t *object = json_pack("{s:O}", "qemu", line);

		print_json(object);
		json_decref(object);
	} else {
		print_words(line);
	}
	json_decref(line);
	return 0;
}

static int qemu(struct cli *cli)
{
	const char *memory = cli_text(cli, "memory", NULL);
	struct surroundings s = {0};
	uint64_t bytes;
	int status;

	if (memory != NULL && size_parse(memory, &bytes) != 0)
		return cli_usage(cli, "--memory must be a size such as 512M or 4G, not \"%s\"", memory);
	status = look_around(cli, &s);
	if (status == 0)
		status = qemu_with(cli, &s);
	surroundings_free(&s);
	return status;
}

const struct cli_command command_eni_qemu = {
	.name = "eni qemu",
	.summary = "QEMU's arguments for an attached network interface, on one line",
	.arguments = {{"NAME", CLI_ENI}},
	.options = qemu_options,
	.details = "For scripts. Several NICs and disks of a machine share one memory: say --memory for the first\n"
		   "only, or leave it out when your command line has memory with share=on.",
	.examples = "  qemu-system-x86_64 -accel kvm -cpu host debian.qcow2 $(outboard eni qemu web1 --memory 2G)",
	.run = qemu,
};
