/* `outboard key list|create|rotate|delete|export|unlock`. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "base/hex.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "vault/vault_client.h"

static int list(struct cli *cli)
{
	static const char *const headings[] = {"NAME", ">VERSION", ">VOLUMES", "CREATED"};
	struct text_table *table;
	json_t *keys, *key;
	size_t i;
	int status = api_call(cli, "GET", NULL, &keys, "/v1/keys");

	if (status != 0)
		return status;
	if (cli->json)
		return print_list("keys", keys);
	table = table_new(4, headings);
	json_array_foreach (keys, i, key) {
		table_add(table, "%s", field_text(key, "name"));
		table_add(table, "%llu", (unsigned long long)field_number(key, "version"));
		table_add(table, "%llu", (unsigned long long)field_number(key, "volumes"));
		table_add(table, "%s", field_text(key, "created_at"));
	}
	if (json_array_size(keys) == 0)
		printf("No keys yet. The first encrypted volume makes one, \"default\".\n");
	table_print(table, json_array_size(keys) == 0 ? NULL : stdout);
	json_decref(keys);
	return 0;
}

const struct cli_command command_key_list = {
	.name = "key list",
	.summary = "All keys, and how many volumes each protects",
	.run = list,
};

/* Shows what the API returned: as it is, or as one line. */
static int show_key(const struct cli *cli, json_t *key, const char *what)
{
	if (cli->json)
		print_json(key);
	else
		printf("%s %s, version %llu\n", field_text(key, "name"), what, (unsigned long long)field_number(key, "version"));
	json_decref(key);
	return 0;
}

static int create(struct cli *cli)
{
	json_t *key;
	int status = api_call(cli, "POST", json_pack("{s:s}", "name", cli->argument[0]), &key, "/v1/keys");

	return status != 0 ? status : show_key(cli, key, "created");
}

const struct cli_command command_key_create = {
	.name = "key create",
	.summary = "Have the vault make a key that wraps the keys of volumes",
	.arguments = {{"KEY", CLI_NAME}},
	.details = "One key a tenant lets you rotate or destroy what is theirs, and nothing else.",
	.examples = "  outboard key create tenant-7\n"
		    "  outboard volume create disk7 --size 10G --encrypted --kek tenant-7",
	.run = create,
};

static int rotate(struct cli *cli)
{
	json_t *key;
	int status = api_call(cli, "POST", json_object(), &key, "/v1/keys/%s/rotate", cli->argument[0]);

	return status != 0 ? status : show_key(cli, key, "rotated");
}

const struct cli_command command_key_rotate = {
	.name = "key rotate",
	.summary = "Make a new version of a key, and put all its volumes' keys under it",
	.arguments = {{"KEY", CLI_KEY}},
	.details = "Data are not touched and guests go on: only wrapped keys are replaced, all or none.",
	.run = rotate,
};

static int delete (struct cli *cli)
{
	int status = api_call(cli, "DELETE", NULL, NULL, "/v1/keys/%s", cli->argument[0]);

	return status != 0 ? status : print_done(cli, "deleted", cli->argument[0]);
}

const struct cli_command command_key_delete = {
	.name = "key delete",
	.summary = "Forget a key that no volume uses",
	.arguments = {{"KEY", CLI_KEY}},
	.run = delete,
};

static const struct cli_option export_options[] = {
	{"out", 'o', CLI_FILE, "FILE", "where the key goes, readable by you alone; must not exist", true},
	{"hex", 0, CLI_FLAG, NULL, "128 hexadecimal digits instead of 64 bytes", false},
	{0},
};

/* The key in clear: only ever in secret memory. */
struct exported {
	uint8_t private_key[32];
	uint8_t key[VAULT_SEALED_MAX_BYTES];
	char hex[2 * VAULT_KEY_BYTES + 2];
};

static int write_key(const struct cli *cli, struct exported *secret, const char *path)
{
	bool as_hex = cli_flag(cli, "hex");
	const void *data = secret->key;
	size_t size = VAULT_KEY_BYTES;
	int fd, failed;

	if (as_hex) {
		hex_format(secret->key, VAULT_KEY_BYTES, secret->hex);
		strcat(secret->hex, "\n");
		data = secret->hex;
		size = strlen(secret->hex);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return cli_fail(cli, "file", "cannot make %s: %s", path, strerror(errno));
	failed = write(fd, data, size) != (ssize_t)size || fsync(fd) != 0 ? errno : 0;
	if (close(fd) != 0 && failed == 0)
		failed = errno;
	if (failed == 0)
		return 0;
	unlink(path);
	return cli_fail(cli, "file", "cannot write %s: %s", path, strerror(failed));
}

/* Asks for the key, sealed to a key pair of our own, and opens it. 0 or the exit status. */
static int fetch_key(const struct cli *cli, struct exported *secret, json_t **reply)
{
	uint8_t public_key[VAULT_PUBLIC_KEY_BYTES], sealed[VAULT_SEALED_MAX_BYTES];
	char recipient[2 * VAULT_PUBLIC_KEY_BYTES + 1];
	size_t sealed_size, key_size = sizeof(secret->key);
	int status;

	if (vault_seal_keypair(secret->private_key, public_key) != 0)
		return cli_fail(cli, "crypto", "cannot make a key pair");
	hex_format(public_key, sizeof(public_key), recipient);
	status = api_call(cli, "POST", json_pack("{s:s}", "recipient", recipient), reply, "/v1/volumes/%s/export-key",
			  cli->argument[0]);
	if (status != 0)
		return status;
	if (hex_parse(field_text(*reply, "sealed"), sealed, sizeof(sealed), &sealed_size) != 0 ||
	    vault_open_sealed(secret->private_key, sealed, sealed_size, secret->key, &key_size) != 0 || key_size != VAULT_KEY_BYTES)
		return cli_fail(cli, "protocol", "the vault's answer was altered on its way here, or is damaged");
	return 0;
}

static int export_done(const struct cli *cli, const json_t *reply, const char *path)
{
	unsigned block = (unsigned)field_number(reply, "block_size_bytes");

	if (cli->json) {
		json_t *result = json_pack("{s:s,s:s,s:s,s:i}", "volume", cli->argument[0], "file", path, "algorithm",
					   "aes-256-xts", "block_size_bytes", (int)block);

		print_json(result);
		json_decref(result);
		return 0;
	}
	printf("%s: AES-256-XTS, data unit of %u bytes, little-endian block number as tweak\n", path, block);
	if (!cli_flag(cli, "hex"))
		printf("To open the backing file with dm-crypt:\n"
		       "  cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 --key-file %s \\\n"
		       "    --sector-size %u%s BACKING-FILE %s\n",
		       path, block, block > 512 ? " --iv-large-sectors" : "", cli->argument[0]);
	return 0;
}

static int export(struct cli *cli)
{
	struct exported *secret = secret_alloc(sizeof(*secret));
	const char *path = cli_text(cli, "out", NULL);
	json_t *reply = NULL;
	int status;

	if (secret == NULL)
		return cli_fail(cli, "no_locked_memory", "cannot lock memory for the key: %s; see \"ulimit -l\"", strerror(errno));
	status = fetch_key(cli, secret, &reply);
	if (status == 0)
		status = write_key(cli, secret, path);
	if (status == 0)
		status = export_done(cli, reply, path);
	json_decref(reply);
	secret_free(secret, sizeof(*secret));
	return status;
}

const struct cli_command command_key_export = {
	.name = "key export",
	.summary = "Write the key of an encrypted volume to a file",
	.arguments = {{"VOLUME", CLI_VOLUME}},
	.options = export_options,
	.details = "Your volumes are yours: with this key other tools (dm-crypt, QEMU, any AES-XTS) can open\n"
		   "the backing file. The vault seals it to a key that this command makes for the purpose, so\n"
		   "nobody in between sees it. Whoever has the file has the data. A vault can be told never\n"
		   "to do this (\"export = no\" in the configuration).",
	.examples = "  outboard key export disk2 --out disk2.key",
	.run = export,
};

static const struct cli_option unlock_options[] = {
	{"passphrase-file", 'f', CLI_FILE, "FILE", "read it from a file instead of asking; - is standard input", false},
	{0},
};

static int unlock_with(const struct cli *cli, const char *passphrase, size_t size, json_t **vault)
{
	uint8_t public_key[VAULT_PUBLIC_KEY_BYTES], sealed[VAULT_SEALED_MAX_BYTES];
	char text[2 * VAULT_SEALED_MAX_BYTES + 1];
	size_t key_size, sealed_size = sizeof(sealed);
	json_t *status_reply;
	int status = api_call(cli, "GET", NULL, &status_reply, "/v1/vault");

	if (status != 0)
		return status;
	if (hex_parse(field_text(status_reply, "public_key"), public_key, sizeof(public_key), &key_size) != 0 ||
	    key_size != sizeof(public_key))
		status = cli_fail(cli, "vault_unavailable", "the vault is down; \"outboard status\" tells when it is back");
	json_decref(status_reply);
	if (status != 0)
		return status;
	if (vault_seal(public_key, (const uint8_t *)passphrase, size, sealed, &sealed_size) != 0)
		return cli_fail(cli, "crypto", "cannot seal the passphrase");
	hex_format(sealed, sealed_size, text);
	return api_call(cli, "POST", json_pack("{s:s}", "sealed", text), vault, "/v1/vault/unlock");
}

static int unlock(struct cli *cli)
{
	char *passphrase = secret_alloc(PASSPHRASE_SIZE), error[PASSPHRASE_ERROR_SIZE];
	json_t *vault = NULL;
	size_t size;
	int status;

	if (passphrase == NULL)
		return cli_fail(cli, "no_locked_memory", "cannot lock memory for the passphrase: %s; see \"ulimit -l\"",
				strerror(errno));
	if (passphrase_read(cli_text(cli, "passphrase-file", NULL), passphrase, &size, error) != 0)
		status = cli_fail(cli, "passphrase", "%s", error);
	else
		status = unlock_with(cli, passphrase, size, &vault);
	secret_free(passphrase, PASSPHRASE_SIZE);
	if (status != 0)
		return status;
	if (cli->json)
		print_json(vault);
	else
		printf("the vault is %s\n", field_text(vault, "state"));
	json_decref(vault);
	return 0;
}

const struct cli_command command_key_unlock = {
	.name = "key unlock",
	.summary = "Give the vault the passphrase that it waits for after a start",
	.options = unlock_options,
	.details = "Only for a vault whose root is a passphrase (\"root = passphrase\" in the configuration).\n"
		   "The first passphrase ever given becomes the passphrase. Volumes that wait for the vault\n"
		   "are attached as soon as it is right. It is sealed to the vault's public key: the API\n"
		   "passes it on and cannot read it.",
	.examples = "  outboard key unlock\n"
		    "      asks\n"
		    "  systemd-ask-password -n \"Outboard:\" | outboard key unlock --passphrase-file -",
	.run = unlock,
};
