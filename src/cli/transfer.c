/*
 * `outboard volume import|export`: the card serves the volume over NBD for the time of it, qemu-img copies, and the attachment
 * goes away again whatever happened: qemu-img failed, Ctrl-C, a closed terminal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/convert.h"
#include "cli/fields.h"
#include "cli/image.h"
#include "cli/nbd.h"
#include "cli/output.h"

static const struct cli_option import_options[] = {
	{"format", 'f', CLI_CHOICE, "raw|qcow2", "what IMAGE is (default: found out by its header)", false},
	{"create", 'c', CLI_FLAG, NULL, "make the volume first, as large as the image", false},
	{"backend", 'b', CLI_CHOICE, "file|memory|null", "with --create: as in \"volume create\" (default: file)", false},
	{"path", 'p', CLI_FILE, "FILE", "with --create: the backing file, or a block device", false},
	{"encrypted", 'e', CLI_FLAG, NULL, "with --create: encrypt it", false},
	{"kek", 'k', CLI_KEY, "KEY", "with --create: the key that wraps its key", false},
	{0},
};

static const struct cli_option export_options[] = {
	{"format", 'f', CLI_CHOICE, "raw|qcow2", "what IMAGE is to be (default: raw)", false},
	{"force", 0, CLI_FLAG, NULL, "replace IMAGE when it exists", false},
	{0},
};

static int create_volume(const struct cli *cli, const struct image *image, json_t **volume)
{
	const uint64_t block_bytes = 4096;
	uint64_t size_bytes = (image->size_bytes + block_bytes - 1) / block_bytes * block_bytes;
	const char *path = cli_text(cli, "path", NULL), *kek = cli_text(cli, "kek", NULL);
	json_t *body = json_pack("{s:s,s:I,s:s,s:b}", "name", cli->argument[0], "size_bytes", (json_int_t)size_bytes, "backend",
				 cli_text(cli, "backend", "file"), "encrypted", cli_flag(cli, "encrypted"));

	if (path != NULL)
		json_object_set_new(body, "path", json_string_absolute(path));
	if (kek != NULL)
		json_object_set_new(body, "kek", json_string(kek));
	return api_call(cli, "POST", body, volume, "/v1/volumes");
}

/* Whether --create would make the volume; it may be there already. */
static bool is_absent(const struct cli *cli)
{
	struct api_error error;
	char path[128];

	snprintf(path, sizeof(path), "/v1/volumes/%s", cli->argument[0]);
	return api_request(cli->api_socket, cli->api_patience_s, "GET", path, NULL, NULL, &error) != 0 &&
	       strcmp(error.code, "volume_not_found") == 0;
}

/* A volume that holds part of an image is of no use to whoever asked for the whole. */
static void unmake_volume(const struct cli *cli)
{
	struct api_error error;
	char path[128];

	snprintf(path, sizeof(path), "/v1/volumes/%s", cli->argument[0]);
	if (api_request(cli->api_socket, cli->api_patience_s, "DELETE", path, NULL, NULL, &error) != 0 && !cli->json)
		fprintf(stderr, "outboard: volume %s, which holds part of the image, stays: %s\n", cli->argument[0], error.message);
}

/* The volume, which must be free. 0 or the exit status. */
static int find_volume(const struct cli *cli, json_t **volume)
{
	int status = api_call(cli, "GET", NULL, volume, "/v1/volumes/%s", cli->argument[0]);

	if (status != 0 || !field_is_set(*volume, "attachment"))
		return status;
	json_decref(*volume);
	return cli_fail(cli, "volume_attached", "volume %s is attached; detach it first: outboard volume detach %s",
			cli->argument[0], cli->argument[0]);
}

static int attach(const struct cli *cli, bool read_only, char **uri)
{
	json_t *attachment;
	int status =
		api_call(cli, "POST", json_pack("{s:s,s:s,s:b}", "volume", cli->argument[0], "kind", "nbd", "read_only", read_only),
			 &attachment, "/v1/attachments");

	if (status != 0)
		return status;
	*uri = nbd_uri(field_text(attachment, "socket"));
	json_decref(attachment);
	return 0;
}

/* Reports what went wrong first: with the copy, or else with taking the attachment away. */
static int finish(const struct cli *cli, int rc, const char *copy_error)
{
	struct api_error error;
	char path[128];
	int detached;

	snprintf(path, sizeof(path), "/v1/attachments/%s", cli->argument[0]);
	detached = api_request(cli->api_socket, cli->api_patience_s, "DELETE", path, NULL, NULL, &error);
	if (rc != 0)
		return cli_fail(cli, convert_interrupted() ? "interrupted" : "copy", "%s%s%s", copy_error,
				detached != 0 ? "; and the volume is still attached: " : "", detached != 0 ? error.message : "");
	return detached == 0
		       ? 0
		       : cli_fail(cli, error.code, "the copy is complete, but the volume is still attached: %s", error.message);
}

/* Serves, copies, and stops serving. `arguments` has one hole, for the URI. */
static int copy(const struct cli *cli, bool read_only, const char **arguments, unsigned hole, uint64_t size_bytes)
{
	bool terminal = isatty(STDERR_FILENO) == 1;
	char error[CONVERT_ERROR_SIZE] = "", what[80], *uri;
	struct progress progress;
	int status, rc;

	convert_catch_signals();
	status = attach(cli, read_only, &uri);
	if (status != 0)
		return status;
	snprintf(what, sizeof(what), "%s %s", read_only ? "exporting" : "importing", cli->argument[0]);
	arguments[hole] = uri;
	progress_start(&progress, cli->json ? NULL : stderr, terminal, what, size_bytes);
	rc = convert_run(arguments, &progress, error);
	progress_end(&progress);
	free(uri);
	return finish(cli, rc, error);
}

static int report(const struct cli *cli, const char *verb, const char *path, enum image_format format, uint64_t size_bytes)
{
	char size[SIZE_TEXT_SIZE];
	json_t *result;

	if (cli->json) {
		result = json_pack("{s:s,s:s,s:s,s:I}", "volume", cli->argument[0], "image", path, "format",
				   image_format_name(format), "size_bytes", (json_int_t)size_bytes);
		print_json(result);
		json_decref(result);
		return 0;
	}
	size_format(size_bytes, size);
	printf("%s %s %s (%s, %s)\n", cli->argument[0], verb, path, image_format_name(format), size);
	return 0;
}

static int import_into(struct cli *cli, const char *path, const struct image *image, const json_t *volume)
{
	/* -n: into a volume that exists. -t writeback: with a flush at the end, which the default leaves out. */
	const char *arguments[] = {"convert", "-p",  "-n", "-t", "writeback",
				   "-m",      "8",   "-W", "-f", image_format_name(image->format),
				   "-O",      "raw", path, NULL, NULL};
	uint64_t volume_bytes = field_number(volume, "size_bytes");
	char image_size[SIZE_TEXT_SIZE], volume_size[SIZE_TEXT_SIZE];
	int status;

	size_format(image->size_bytes, image_size);
	size_format(volume_bytes, volume_size);
	if (image->size_bytes > volume_bytes)
		return cli_fail(cli, "image_too_large", "the disk in %s has %s (%llu bytes), volume %s only %s (%llu bytes)", path,
				image_size, (unsigned long long)image->size_bytes, cli->argument[0], volume_size,
				(unsigned long long)volume_bytes);
	if (field_true(volume, "read_only"))
		return cli_fail(cli, "read_only", "volume %s is read only", cli->argument[0]);
	status = copy(cli, false, arguments, 13, image->size_bytes);
	return status != 0 ? status : report(cli, "imported from", path, image->format, image->size_bytes);
}

static int import(struct cli *cli)
{
	char *path = path_absolute(cli->argument[1]), error[IMAGE_ERROR_SIZE];
	bool create = cli_flag(cli, "create"), made = false;
	struct image image;
	json_t *volume;
	int status;

	if (!create && (cli_option(cli, "backend") != NULL || cli_option(cli, "path") != NULL || cli_flag(cli, "encrypted") ||
			cli_option(cli, "kek") != NULL))
		status = cli_usage(cli, "--backend, --path, --encrypted and --kek have no meaning without --create");
	else if (image_probe(path, image_format_parse(cli_text(cli, "format", NULL)), &image, error) != 0)
		status = cli_fail(cli, "image", "%s", error);
	else if (!create)
		status = 0;
	else {
		made = is_absent(cli);
		status = create_volume(cli, &image, &volume);
		made &= status == 0;
	}
	if (status == 0 && create)
		json_decref(volume);
	if (status == 0)
		status = find_volume(cli, &volume);
	if (status == 0) {
		status = import_into(cli, path, &image, volume);
		json_decref(volume);
	}
	if (status != 0 && made)
		unmake_volume(cli);
	free(path);
	return status;
}

const struct cli_command command_volume_import = {
	.name = "volume import",
	.summary = "Copy a disk image into a volume",
	.arguments = {{"NAME", CLI_VOLUME}, {"IMAGE", CLI_FILE}},
	.options = import_options,
	.details = "Takes raw and qcow2 images. A qcow2 image with a backing file is refused: it is no whole\n"
		   "disk. The volume must not be attached. One that --create made is deleted again when the\n"
		   "copy fails or is interrupted. Needs qemu-img (Debian: qemu-utils).",
	.examples = "  outboard volume import disk1 debian-12.qcow2 --create --encrypted\n"
		    "      makes an encrypted volume of the image\n"
		    "  outboard volume import disk1 backup.img\n"
		    "      replaces what is in disk1",
	.run = import,
};

static int export_to(struct cli *cli, const char *path, const char *partial, enum image_format format, uint64_t size_bytes)
{
	const char *arguments[] = {"convert", "-p",    "-t", "writeback", "-m", "8", "-f", "raw", "-O", image_format_name(format),
				   NULL,      partial, NULL};
	int status = copy(cli, true, arguments, 10, size_bytes);

	if (status != 0) {
		unlink(partial);
		return status;
	}
	if (rename(partial, path) != 0) {
		status = cli_fail(cli, "file", "cannot put the image at %s: %s", path, strerror(errno));
		unlink(partial);
		return status;
	}
	return report(cli, "exported to", path, format, size_bytes);
}

static int export(struct cli *cli)
{
	enum image_format format = image_format_parse(cli_text(cli, "format", "raw"));
	char *path = path_absolute(cli->argument[1]), *partial = NULL;
	json_t *volume;
	int status;

	if (!cli_flag(cli, "force") && access(path, F_OK) == 0) {
		status = cli_fail(cli, "file_exists", "%s exists; --force replaces it", path);
		goto out;
	}
	status = find_volume(cli, &volume);
	if (status != 0)
		goto out;
	if (asprintf(&partial, "%s.partial", path) < 0)
		status = cli_fail(cli, "out_of_memory", "out of memory");
	else
		status = export_to(cli, path, partial, format, field_number(volume, "size_bytes"));
	free(partial);
	json_decref(volume);
out:
	free(path);
	return status;
}

const struct cli_command command_volume_export = {
	.name = "volume export",
	.summary = "Copy a volume into a disk image",
	.arguments = {{"NAME", CLI_VOLUME}, {"IMAGE", CLI_FILE}},
	.options = export_options,
	.details = "The image is in clear, also that of an encrypted volume. IMAGE appears when it is complete.\n"
		   "The volume must not be attached. Needs qemu-img (Debian: qemu-utils).",
	.examples = "  outboard volume export disk1 disk1.qcow2 --format qcow2",
	.run = export,
};
