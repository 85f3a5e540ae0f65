/* `outboard volume create|list|show|resize|limit|rewrap|delete`. */
#include <string.h>

#include "base/size.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/output.h"

static void print_attachment(const json_t *attachment)
{
	unsigned long long queues = field_number(attachment, "queues");

	print_field("attached", "%s, %s, %llu queue%s, %s", field_text(attachment, "kind"), field_text(attachment, "socket"),
		    queues, queues == 1 ? "" : "s", field_text(attachment, "state"));
	if (field_is_set(attachment, "reason"))
		print_field("reason", "%s", field_text(attachment, "reason"));
}

static int print_volume(const struct cli *cli, json_t *volume)
{
	if (cli->json) {
		print_json(volume);
	} else {
		const json_t *attachment = json_object_get(volume, "attachment"), *health = json_object_get(volume, "health");
		char size[SIZE_TEXT_SIZE];

		size_format(field_number(volume, "size_bytes"), size);
		print_field("name", "%s", field_text(volume, "name"));
		print_field("size", "%s (%llu bytes), blocks of %llu", size, (unsigned long long)field_number(volume, "size_bytes"),
			    (unsigned long long)field_number(volume, "block_size_bytes"));
		print_field("backend", "%s%s%s%s", field_text(volume, "backend"), field_is_set(volume, "path") ? " " : "",
			    field_is_set(volume, "path") ? field_text(volume, "path") : "",
			    field_true(volume, "read_only") ? ", read only" : "");
		print_field("encrypted", "%s%s", field_true(volume, "encrypted") ? "AES-256-XTS, key wrapped under " : "no",
			    field_true(volume, "encrypted") ? field_text(volume, "kek") : "");
		print_limits(volume);
		print_tags(json_object_get(volume, "tags"));
		print_field("state", "%s", field_text(volume, "state"));
		if (json_is_object(attachment))
			print_attachment(attachment);
		if (field_is_set(health, "message"))
			print_field("health", "%s: %s", field_text(health, "state"), field_text(health, "message"));
		print_field("created", "%s", field_text(volume, "created_at"));
		print_field("id", "%s", field_text(volume, "id"));
	}
	json_decref(volume);
	return 0;
}

static void add_limits(const struct cli *cli, json_t *body)
{
	/* 0 is how a person says "no limit"; the API says null. */
	if (cli_option(cli, "iops") != NULL)
		json_object_set_new(body, "iops",
				    cli_number(cli, "iops", 0) == 0 ? json_null()
								    : json_integer((json_int_t)cli_number(cli, "iops", 0)));
	if (cli_option(cli, "throughput") != NULL)
		json_object_set_new(body, "throughput_mib",
				    cli_number(cli, "throughput", 0) == 0
					    ? json_null()
					    : json_integer((json_int_t)cli_number(cli, "throughput", 0)));
}

static const struct cli_option create_options[] = {
	{"size", 's', CLI_SIZE, "SIZE", "its size: 512M, 10G, 1T (binary units) or bytes", true},
	{"backend", 'b', CLI_CHOICE, "file|memory|null", "where the data live (default: file); null keeps nothing", false},
	{"path", 'p', CLI_FILE, "FILE", "a file that is not there yet, or a block device (default: in the state directory)", false},
	{"encrypted", 'e', CLI_FLAG, NULL, "AES-256-XTS; the key is the vault's, the host never sees it", false},
	{"kek", 'k', CLI_KEY, "KEY", "key that wraps the volume's key (default: \"default\"), see \"key\"", false},
	{"iops", 0, CLI_NUMBER, "N", "at most N requests (of up to 256 KiB) a second", false},
	{"throughput", 0, CLI_NUMBER, "MIB", "at most so many MiB a second", false},
	{"burst", 0, CLI_FLAG, NULL, "gp2: 3 IOPS a GiB, at least 100; saved up, for bursts of 3,000", false},
	{"block-size", 0, CLI_CHOICE, "512|4096", "the guest's logical block (default: 4096)", false},
	{"read-only", 0, CLI_FLAG, NULL, "guests may only read", false},
	{"tags", 0, CLI_TEXT, "KEY=VALUE,...", "for you to find it again", false},
	{0},
};

static int create(struct cli *cli)
{
	const char *path = cli_text(cli, "path", NULL);
	json_t *body, *volume;
	int status;

	if (cli_option(cli, "kek") != NULL && !cli_flag(cli, "encrypted"))
		return cli_usage(cli, "--kek has no meaning without --encrypted");
	body = json_pack("{s:s,s:I,s:s,s:b,s:b,s:b}", "name", cli->argument[0], "size_bytes",
			 (json_int_t)cli_number(cli, "size", 0), "backend", cli_text(cli, "backend", "file"), "encrypted",
			 cli_flag(cli, "encrypted"), "read_only", cli_flag(cli, "read-only"), "burst", cli_flag(cli, "burst"));
	json_object_set_new(body, "block_size_bytes",
			    json_integer(strcmp(cli_text(cli, "block-size", "4096"), "512") == 0 ? 512 : 4096));
	if (path != NULL)
		json_object_set_new(body, "path", json_string_absolute(path));
	if (cli_option(cli, "kek") != NULL)
		json_object_set_new(body, "kek", json_string(cli_text(cli, "kek", NULL)));
	add_limits(cli, body);
	status = fields_add_tags(cli, body);
	if (status >= 0) {
		json_decref(body);
		return status;
	}
	status = api_call(cli, "POST", body, &volume, "/v1/volumes");
	return status != 0 ? status : print_volume(cli, volume);
}

const struct cli_command command_volume_create = {
	.name = "volume create",
	.summary = "Make a volume",
	.arguments = {{"NAME", CLI_NAME}},
	.options = create_options,
	.details = "A volume is a disk that is not attached to anything yet. Its name is yours to choose;\n"
		   "creating the same volume twice is no error. Blocks of an encrypted volume are encrypted\n"
		   "on their way from guest memory to the back end: the backing file holds ciphertext only,\n"
		   "and can be opened with the exported key by dm-crypt and others.",
	.examples = "  outboard volume create disk1 --size 10G\n"
		    "      in a file in the state directory\n"
		    "  outboard volume create disk2 --size 1T --path /srv/disk2.img --encrypted\n"
		    "      encrypted, in a file of your choice\n"
		    "  outboard volume create lv1 --size 100G --path /dev/vg0/lv1 --encrypted\n"
		    "      on a block device, which stays when the volume is deleted\n"
		    "  outboard volume create disk3 --size 100G --iops 3000 --throughput 125\n"
		    "      provisioned like a gp3 volume\n"
		    "  outboard volume create scratch --size 1G --backend memory\n"
		    "      in memory: fast, and gone when the card is stopped",
	.run = create,
};

/* What matters most: errors, then that an attachment is wanted but not there (the vault is locked, the card is down). */
static const char *state_in_a_word(const json_t *volume)
{
	if (strcmp(field_text(json_object_get(volume, "health"), "state"), "degraded") == 0)
		return "degraded";
	if (strcmp(field_text(json_object_get(volume, "attachment"), "state"), "pending") == 0)
		return "pending";
	return field_text(volume, "state");
}

static int list(struct cli *cli)
{
	static const char *const headings[] = {"NAME", ">SIZE", "BACKEND", "ENCRYPTED", "STATE", "ATTACHED"};
	struct text_table *table;
	json_t *volumes, *volume;
	size_t i;
	int status = api_call(cli, "GET", NULL, &volumes, "/v1/volumes");

	if (status != 0)
		return status;
	if (cli->json)
		return print_list("volumes", volumes);
	table = table_new(6, headings);
	json_array_foreach (volumes, i, volume) {
		const json_t *attachment = json_object_get(volume, "attachment");
		char size[SIZE_TEXT_SIZE];

		size_format(field_number(volume, "size_bytes"), size);
		table_add(table, "%s", field_text(volume, "name"));
		table_add(table, "%s", size);
		table_add(table, "%s", field_text(volume, "backend"));
		table_add(table, "%s", field_true(volume, "encrypted") ? field_text(volume, "kek") : "-");
		table_add(table, "%s", state_in_a_word(volume));
		table_add(table, "%s", json_is_object(attachment) ? field_text(attachment, "socket") : "-");
	}
	if (json_array_size(volumes) == 0)
		printf("No volumes yet. \"outboard volume create NAME --size 10G\" makes one.\n");
	table_print(table, json_array_size(volumes) == 0 ? NULL : stdout);
	json_decref(volumes);
	return 0;
}

const struct cli_command command_volume_list = {
	.name = "volume list",
	.summary = "All volumes, one a line",
	.examples = "  outboard volume list --json | jq '.volumes[] | select(.encrypted) | .name'",
	.run = list,
};

static int show(struct cli *cli)
{
	json_t *volume;
	int status = api_call(cli, "GET", NULL, &volume, "/v1/volumes/%s", cli->argument[0]);

	return status != 0 ? status : print_volume(cli, volume);
}

const struct cli_command command_volume_show = {
	.name = "volume show",
	.summary = "Everything about one volume",
	.arguments = {{"NAME", CLI_VOLUME}},
	.run = show,
};

static int change(struct cli *cli, json_t *body)
{
	json_t *volume;
	int status = api_call(cli, "PATCH", body, &volume, "/v1/volumes/%s", cli->argument[0]);

	return status != 0 ? status : print_volume(cli, volume);
}

static const struct cli_option resize_options[] = {
	{"size", 's', CLI_SIZE, "SIZE", "the new size; a volume only grows", true},
	{0},
};

static int resize(struct cli *cli)
{
	return change(cli, json_pack("{s:I}", "size_bytes", (json_int_t)cli_number(cli, "size", 0)));
}

const struct cli_command command_volume_resize = {
	.name = "volume resize",
	.summary = "Make a volume larger, also while a guest uses it",
	.arguments = {{"NAME", CLI_VOLUME}},
	.options = resize_options,
	.details = "The guest is told at once. A file system grows when the guest says so (resize2fs, xfs_growfs).",
	.examples = "  outboard volume resize disk1 --size 20G",
	.run = resize,
};

static const struct cli_option limit_options[] = {
	{"iops", 0, CLI_NUMBER, "N", "at most N requests (of up to 256 KiB) a second; 0: no limit", false},
	{"throughput", 0, CLI_NUMBER, "MIB", "at most so many MiB a second; 0: no limit", false},
	{0},
};

static int limit(struct cli *cli)
{
	json_t *body;

	if (cli_option(cli, "iops") == NULL && cli_option(cli, "throughput") == NULL)
		return cli_usage(cli, "which limit: --iops or --throughput?");
	body = json_object();
	add_limits(cli, body);
	return change(cli, body);
}

const struct cli_command command_volume_limit = {
	.name = "volume limit",
	.summary = "Change what a volume may do in a second",
	.arguments = {{"NAME", CLI_VOLUME}},
	.options = limit_options,
	.examples = "  outboard volume limit disk1 --iops 16000 --throughput 1000\n"
		    "  outboard volume limit disk1 --iops 0\n"
		    "      as many as it can",
	.run = limit,
};

static const struct cli_option rewrap_options[] = {
	{"kek", 'k', CLI_KEY, "KEY", "the key that is to wrap the volume's own", true},
	{0},
};

static int rewrap(struct cli *cli)
{
	json_t *volume;
	int status = api_call(cli, "POST", json_pack("{s:s}", "kek", cli_text(cli, "kek", NULL)), &volume, "/v1/volumes/%s/rewrap",
			      cli->argument[0]);

	return status != 0 ? status : print_volume(cli, volume);
}

const struct cli_command command_volume_rewrap = {
	.name = "volume rewrap",
	.summary = "Put an encrypted volume's key under another key; its data stay as they are",
	.arguments = {{"NAME", CLI_VOLUME}},
	.options = rewrap_options,
	.examples = "  outboard key create tenant-7\n"
		    "  outboard volume rewrap disk2 --kek tenant-7",
	.run = rewrap,
};

static int delete (struct cli *cli)
{
	int status = api_call(cli, "DELETE", NULL, NULL, "/v1/volumes/%s", cli->argument[0]);

	return status != 0 ? status : print_done(cli, "deleted", cli->argument[0]);
}

const struct cli_command command_volume_delete = {
	.name = "volume delete",
	.summary = "Destroy a volume: its key first, then its data",
	.arguments = {{"NAME", CLI_VOLUME}},
	.details = "There is no way back, and no question. A volume that is attached is refused: detach it first.\n"
		   "A block device is left as it is: only an encrypted volume's data are lost with its key.",
	.run = delete,
};
