/* `outboard eni create|list|show|change|delete`: network interfaces. */
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/net_kind.h"
#include "cli/output.h"

static const char *state(const json_t *eni, char text[NET_TEXT_SIZE])
{
	const json_t *attachment = json_object_get(eni, "attachment");

	(void)text;
	if (json_is_object(attachment))
		return field_text(attachment, "state");
	return field_is_set(eni, "host") ? "elsewhere" : "available";
}

/* Where an attachment is: its socket, or its interface. */
static const char *place(const json_t *eni, char text[NET_TEXT_SIZE])
{
	const json_t *attachment = json_object_get(eni, "attachment");

	if (field_is_set(eni, "host")) {
		snprintf(text, NET_TEXT_SIZE, "host %s", field_text(eni, "host"));
		return text;
	}
	if (!json_is_object(attachment))
		return "-";
	if (!field_is_set(attachment, "tap"))
		return field_text(attachment, "socket");
	snprintf(text, NET_TEXT_SIZE, "%s%s%s", field_text(attachment, "tap"), field_is_set(attachment, "netns") ? " in " : "",
		 field_text(attachment, "netns"));
	return text;
}

static void show_attachment(const json_t *eni)
{
	const json_t *attachment = json_object_get(eni, "attachment");
	unsigned long long queues = field_number(attachment, "queues");
	char text[NET_TEXT_SIZE];

	if (!json_is_object(attachment))
		return;
	if (field_is_set(attachment, "tap"))
		print_field("attached", "tap, %s, %s", place(eni, text), field_text(attachment, "state"));
	else
		print_field("attached", "%s, %s, %llu queue pair%s, %s", field_text(attachment, "kind"),
			    field_text(attachment, "socket"), queues, queues == 1 ? "" : "s", field_text(attachment, "state"));
	if (field_is_set(attachment, "reason"))
		print_field("reason", "%s", field_text(attachment, "reason"));
}

/* The API's null means "find some"; of security groups there may be none. */
static void no_groups(json_t *change)
{
	if (json_is_null(json_object_get(change, "security_groups")))
		json_object_set_new(change, "security_groups", json_array());
}

const struct net_kind net_eni = {
	.word = "eni",
	.title = "ENI",
	.titles = "ENIs",
	.path = "enis",
	.list = "enis",
	.make = "--subnet SUBNET --security-group GROUP",
	.columns = {{"SUBNET", .field = "subnet"},
		    {"ADDRESSES", .field = "addresses"},
		    {"MAC", .field = "mac"},
		    {"GROUPS", .field = "security_groups"},
		    {"STATE", .text = state},
		    {"ATTACHED", .text = place}},
	.fields = {{"subnet", "subnet", "subnet", NET_TEXT, NULL},
		   {"mac", "mac", "mac", NET_TEXT, NULL},
		   {"address", "addresses", "addresses", NET_WORDS, "none"},
		   {"security-group", "security_groups", "groups", NET_WORDS, "none: nothing may pass"},
		   {"host", "host", "host", NET_TEXT, "this card"},
		   {"source-dest-check", "source_dest_check", "src/dst", NET_YES_NO, NULL},
		   {"bandwidth-in", "bandwidth_in", "in at most", NET_RATE, NULL},
		   {"bandwidth-out", "bandwidth_out", "out at most", NET_RATE, NULL},
		   {"packets-per-s", "packets_per_s", "packets/s", NET_LIMIT, NULL},
		   {"flows-max", "flows_max", "flows", NET_LIMIT, NULL},
		   {"new-flows-per-s", "new_flows_per_s", "new flows/s", NET_LIMIT, NULL},
		   {"tcp-established", "tcp_established_s", "TCP idle", NET_SECONDS, NULL},
		   {"udp", "udp_s", "UDP idle", NET_SECONDS, NULL},
		   {"udp-stream", "udp_stream_s", "UDP stream", NET_SECONDS, NULL},
		   {"other", "other_s", "other idle", NET_SECONDS, NULL},
		   {"tags", "tags", "tags", NET_TAGS, NULL}},
	.show = show_attachment,
	.adjust = no_groups,
};

const struct cli_command group_eni = {
	.name = "eni",
	.summary = "Network interfaces: the NICs of virtual machines and containers",
	.details = "An ENI is a NIC in a subnet, with a MAC address, IP addresses and security groups. Attach it to\n"
		   "a virtual machine over vhost-user, or make it an interface of a network namespace. The guest\n"
		   "gets its addresses by DHCP and needs no settings.",
	.examples = "  outboard eni create web1 --subnet prod-a --security-group web\n"
		    "  outboard eni attach web1\n"
		    "  outboard eni stats web1\n"
		    "  outboard eni capture web1 -w - | tcpdump -nr -",
};

#define ALLOWANCES                                                                                                                  \
	{"bandwidth-in", 0, CLI_RATE, "BITS", "at most so many bits a second to the guest, as 500M or 1G; 0: any", false},          \
		{"bandwidth-out", 0, CLI_RATE, "BITS", "at most so many bits a second from the guest; 0: any", false},              \
		{"packets-per-s", 0, CLI_NUMBER, "N", "at most so many packets a second each way; 0: any", false},                  \
		{"flows-max", 0, CLI_NUMBER, "N", "at most so many tracked flows; 0: the card's default", false},                   \
		{"new-flows-per-s", 0, CLI_NUMBER, "N", "at most so many new flows a second; 0: any", false},                       \
		{"tcp-established", 0, CLI_NUMBER, "SECONDS", "a TCP connection that is silent so long is forgotten (350)", false}, \
		{"udp", 0, CLI_NUMBER, "SECONDS", "likewise UDP without an answer (30)", false},                                    \
		{"udp-stream", 0, CLI_NUMBER, "SECONDS", "likewise UDP that went both ways (180)", false},                          \
	{                                                                                                                           \
		"other", 0, CLI_NUMBER, "SECONDS", "likewise everything else (600)", false                                          \
	}

static const struct cli_option create_options[] = {
	{"subnet", 0, CLI_SUBNET, "SUBNET", "where it is", true},
	{"security-group", 'g', CLI_SECURITY_GROUP, "GROUP", "who may speak with it; may be given several times", CLI_REPEATED},
	{"address", 0, CLI_TEXT, "ADDRESS", "its addresses (default: the next free of the subnet); may be given several times",
	 CLI_REPEATED},
	{"mac", 0, CLI_TEXT, "MAC", "its MAC address (default: made up)", false},
	{"host", 0, CLI_HOST, "HOST", "the card it is on, when it is not this one", false},
	{"source-dest-check", 0, CLI_CHOICE, "yes|no", "no: it may send and receive for others, as routers do (default: yes)",
	 false},
	ALLOWANCES,
	{"tags", 0, CLI_TEXT, "KEY=VALUE,...", "for you to find it again", false},
	{0},
};

const struct cli_command command_eni_create = {
	.name = "eni create",
	.summary = "Make a network interface",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.details = "Without a security group nothing may pass. What exceeds an allowance is dropped and counted\n"
		   "under the name that AWS gives it: see \"eni stats\".",
	.examples = "  outboard eni create web1 --subnet prod-a --security-group web\n"
		    "  outboard eni create db1 --subnet prod-a -g db -g monitored --address 10.0.1.50 --bandwidth-out 500M\n"
		    "  outboard eni create router --subnet prod-a -g all --source-dest-check no\n"
		    "      an appliance: target of routes as eni:router\n"
		    "  outboard eni create web2 --subnet prod-a -g web --address 10.0.1.20 \\\n"
		    "      --mac 02:00:00:00:01:20 --host host-b\n"
		    "      one that is on another card",
	.run = net_create,
};

const struct cli_command command_eni_list = {
	.name = "eni list",
	.summary = "All network interfaces, one a line",
	.examples = "  outboard eni list --json | jq -r '.enis[] | select(.attachment == null) | .name'",
	.run = net_list,
};

const struct cli_command command_eni_show = {
	.name = "eni show",
	.summary = "Everything about one network interface",
	.arguments = {{"NAME", CLI_ENI}},
	.run = net_show,
};

static const struct cli_option change_options[] = {
	{"security-group", 'g', CLI_SECURITY_GROUP, "GROUP", "its groups from now on, all of them; may be given several times",
	 CLI_REPEATED},
	{"address", 0, CLI_TEXT, "ADDRESS", "its addresses from now on, all of them; may be given several times", CLI_REPEATED},
	{"host", 0, CLI_HOST, "HOST", "the card it is on", false},
	{"source-dest-check", 0, CLI_CHOICE, "yes|no", "no: it may send and receive for others", false},
	ALLOWANCES,
	{"tags", 0, CLI_TEXT, "KEY=VALUE,...", "its tags from now on", false},
	{"clear", 0, CLI_CHOICE, "address|security-group|host",
	 "addresses: other free ones; groups: none; host: this card; may be given several times", CLI_REPEATED},
	{0},
};

const struct cli_command command_eni_change = {
	.name = "eni change",
	.summary = "Change a network interface, also while a guest uses it",
	.arguments = {{"NAME", CLI_ENI}},
	.options = change_options,
	.details = "Live flows are judged anew, at once. A guest learns of other addresses when it asks DHCP again.",
	.examples = "  outboard eni change web1 --security-group web --security-group monitored\n"
		    "  outboard eni change web1 --bandwidth-out 1G --bandwidth-in 1G\n"
		    "  outboard eni change web1 --host host-b\n"
		    "      its guest was migrated: flows of others follow",
	.run = net_change,
};

const struct cli_command command_eni_delete = {
	.name = "eni delete",
	.summary = "Delete a network interface that is not attached",
	.arguments = {{"NAME", CLI_ENI}},
	.run = net_delete,
};
