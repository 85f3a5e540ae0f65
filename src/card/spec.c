#include "card/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "card/fields.h"

int spec_parse_uuid(const json_t *object, const char *field, struct uuid *out, char *error, size_t error_size)
{
	return fields_uuid(&(struct fields){.object = object, .error = error, .error_size = error_size}, field, out);
}

static int get_blob(const struct fields *f, const char *field, struct vault_blob *out)
{
	const json_t *value = json_object_get(f->object, field);
	size_t length = json_string_length(value), size;
	const char *text = json_string_value(value);

	if (text == NULL || strlen(text) != length || length == 0 || hex_parse(text, out->bytes, sizeof(out->bytes), &size) < 0)
		return fields_refuse(f, field, "must be the hex of a wrapped key");
	out->size = (uint16_t)size;
	return 0;
}

static int parse_encryption(const struct fields *volume, struct volume_spec *out)
{
	const json_t *object = json_object_get(volume->object, "encryption");
	struct fields f = {.object = object, .error = volume->error, .error_size = volume->error_size};
	uint64_t dek_version, kek_version;
	int rc;

	out->encrypted = object != NULL && !json_is_null(object);
	if (!out->encrypted)
		return 0;
	out->dek.volume = out->config.id;
	if ((rc = fields_count(&f, "dek_version", true, &dek_version)) < 0 || (rc = fields_uuid(&f, "kek_id", &out->dek.kek)) < 0 ||
	    (rc = fields_count(&f, "kek_version", true, &kek_version)) < 0 ||
	    (rc = get_blob(&f, "wrapped_kek", &out->dek.wrapped_kek)) < 0 ||
	    (rc = get_blob(&f, "wrapped_dek", &out->dek.wrapped_dek)) < 0)
		return rc;
	if (dek_version > UINT32_MAX || kek_version > UINT32_MAX)
		return fields_refuse(&f, "version", "is out of range");
	out->dek.version = (uint32_t)dek_version;
	out->dek.kek_version = (uint32_t)kek_version;
	return 0;
}

int spec_parse_rate(const json_t *object, struct volume_rate *out, char *error, size_t error_size)
{
	struct fields f = {.object = object, .error = error, .error_size = error_size};
	int rc;

	if ((rc = fields_count(&f, "iops", false, &out->iops)) < 0 ||
	    (rc = fields_count(&f, "throughput_bytes", false, &out->throughput_bytes)) < 0)
		return rc;
	out->burst = json_is_true(json_object_get(object, "burst"));
	return 0;
}

static int parse_backend(const struct fields *f, struct volume_spec *out)
{
	char backend[16];
	int rc = fields_text(f, "backend", backend, sizeof(backend));

	if (rc < 0)
		return rc;
	if (strcmp(backend, "memory") == 0)
		out->config.backend = VOLUME_MEMORY;
	else if (strcmp(backend, "null") == 0)
		out->config.backend = VOLUME_NULL;
	else if (strcmp(backend, "file") == 0)
		out->config.backend = VOLUME_FILE;
	else
		return fields_refuse(f, "backend", "is none of memory, null, file");
	if (out->config.backend != VOLUME_FILE)
		return 0;
	out->config.path = out->path;
	return fields_text(f, "path", out->path, sizeof(out->path));
}

int spec_parse(const json_t *volume, struct volume_spec *out, char *error, size_t error_size)
{
	struct fields f = {.object = volume, .error = error, .error_size = error_size};
	uint64_t block;
	int rc;

	memset(out, 0, sizeof(*out));
	out->config.name = out->name;
	out->config.memory_fd = -1;
	if (!json_is_object(volume))
		return fields_refuse(&f, "volume", "must be an object");
	if ((rc = fields_uuid(&f, "id", &out->config.id)) < 0 || (rc = fields_text(&f, "name", out->name, sizeof(out->name))) < 0 ||
	    (rc = fields_count(&f, "size_bytes", true, &out->config.size_bytes)) < 0 ||
	    (rc = fields_count(&f, "block_size_bytes", true, &block)) < 0 || (rc = parse_backend(&f, out)) < 0 ||
	    (rc = spec_parse_rate(volume, &out->config.rate, error, error_size)) < 0 || (rc = parse_encryption(&f, out)) < 0)
		return rc;
	if (block != 512 && block != 4096)
		return fields_refuse(&f, "block_size_bytes", "must be 512 or 4096");
	out->config.block_size_bytes = (uint32_t)block;
	if (out->config.size_bytes == 0 || out->config.size_bytes % block != 0)
		return fields_refuse(&f, "size_bytes", "must be a multiple of the block size, and not 0");
	out->config.read_only = json_is_true(json_object_get(volume, "read_only"));
	return 0;
}
