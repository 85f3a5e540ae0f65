#include "control/bodies.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

const char *const backend_names[] = {[BACKEND_MEMORY] = "memory", [BACKEND_NULL] = "null", [BACKEND_FILE] = "file", NULL};
const char *const attachment_names[] = {[ATTACHMENT_VHOST_USER_BLK] = "vhost-user-blk", [ATTACHMENT_NBD] = "nbd", NULL};

static const struct field volume_create_fields[] = {
	FIELD(volume_create, name, FIELD_NAME, .required = true),
	FIELD(volume_create, size_bytes, FIELD_INTEGER, .required = true, .min = VOLUME_SIZE_MIN_BYTES,
	      .max = VOLUME_SIZE_MAX_BYTES),
	FIELD(volume_create, block_size_bytes, FIELD_NUMBER_CHOICE, .min = 512, .max = 4096),
	FIELD(volume_create, backend, FIELD_CHOICE, .required = true, .choices = backend_names),
	FIELD(volume_create, path, FIELD_PATH, .nullable = true, .max = PATH_SIZE - 1),
	FIELD(volume_create, read_only, FIELD_BOOL),
	FIELD(volume_create, iops, FIELD_INTEGER, .nullable = true, .min = 1, .max = VOLUME_IOPS_MAX),
	FIELD(volume_create, throughput_mib, FIELD_INTEGER, .nullable = true, .min = 1, .max = VOLUME_THROUGHPUT_MAX_MIB),
	FIELD(volume_create, burst, FIELD_BOOL),
	FIELD(volume_create, encrypted, FIELD_BOOL),
	FIELD(volume_create, kek, FIELD_NAME, .nullable = true),
	FIELD(volume_create, tags, FIELD_TAGS),
};

int body_volume_create(const json_t *body, struct volume_create *out, struct failure *failure)
{
	uint32_t present;
	int rc;

	*out = (struct volume_create){.block_size_bytes = 4096};
	rc = fields_parse(volume_create_fields, FIELDS_COUNT(volume_create_fields), body, out, &present, failure);
	if (rc < 0)
		return rc;
	if (out->size_bytes % out->block_size_bytes != 0)
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "Field \"size_bytes\" must be a multiple of the block size, %" PRId64 " bytes.",
				   out->block_size_bytes);
	if (out->path[0] != '\0' && out->backend != BACKEND_FILE)
		return failure_set(failure, ERROR_INVALID_FIELD, "Field \"path\" belongs to volumes with backend \"file\" only.");
	if (out->kek[0] != '\0' && !out->encrypted)
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "Field \"kek\" belongs to encrypted volumes only; set \"encrypted\".");
	return 0;
}

static const struct field volume_change_fields[] = {
	FIELD(volume_change, size_bytes, FIELD_INTEGER, .min = VOLUME_SIZE_MIN_BYTES, .max = VOLUME_SIZE_MAX_BYTES),
	FIELD(volume_change, iops, FIELD_INTEGER, .nullable = true, .min = 1, .max = VOLUME_IOPS_MAX),
	FIELD(volume_change, throughput_mib, FIELD_INTEGER, .nullable = true, .min = 1, .max = VOLUME_THROUGHPUT_MAX_MIB),
	FIELD(volume_change, burst, FIELD_BOOL),
	FIELD(volume_change, tags, FIELD_TAGS),
};

int body_volume_change(const json_t *body, struct volume_change *out, struct failure *failure)
{
	uint32_t present;
	int rc;

	*out = (struct volume_change){0};
	rc = fields_parse(volume_change_fields, FIELDS_COUNT(volume_change_fields), body, out, &present, failure);
	out->has.size = present & 1;
	out->has.iops = present & 2;
	out->has.throughput = present & 4;
	out->has.burst = present & 8;
	out->has.tags = present & 16;
	return rc;
}

static const struct field attachment_create_fields[] = {
	FIELD(attachment_create, volume, FIELD_NAME, .required = true),
	FIELD(attachment_create, kind, FIELD_CHOICE, .choices = attachment_names),
	FIELD(attachment_create, queues, FIELD_INTEGER, .min = 1, .max = ATTACHMENT_QUEUES_MAX),
	FIELD(attachment_create, packed, FIELD_BOOL),
	FIELD(attachment_create, read_only, FIELD_BOOL),
	FIELD(attachment_create, socket, FIELD_PATH, .nullable = true, .max = SOCKET_PATH_SIZE - 1),
	FIELD(attachment_create, uid, FIELD_INTEGER, .nullable = true, .max = UINT32_MAX - 1),
	FIELD(attachment_create, gid, FIELD_INTEGER, .nullable = true, .max = UINT32_MAX - 1),
	FIELD(attachment_create, mode, FIELD_MODE),
};

int body_attachment_create(const json_t *body, struct attachment_create *out, struct failure *failure)
{
	uint32_t present;

	*out = (struct attachment_create){.queues = 16, .packed = true, .uid = -1, .gid = -1, .mode = 0600};
	return fields_parse(attachment_create_fields, FIELDS_COUNT(attachment_create_fields), body, out, &present, failure);
}

int body_key_create(const json_t *body, struct key_create *out, struct failure *failure)
{
	static const struct field fields[] = {FIELD(key_create, name, FIELD_NAME, .required = true)};
	uint32_t present;

	return fields_parse(fields, FIELDS_COUNT(fields), body, out, &present, failure);
}

int body_rewrap(const json_t *body, struct rewrap *out, struct failure *failure)
{
	static const struct field fields[] = {FIELD(rewrap, kek, FIELD_NAME, .required = true)};
	uint32_t present;

	return fields_parse(fields, FIELDS_COUNT(fields), body, out, &present, failure);
}

int body_export_key(const json_t *body, struct export_key *out, struct failure *failure)
{
	static const struct field fields[] = {
		FIELD(export_key, recipient, FIELD_HEX, .required = true, .min = PUBLIC_KEY_BYTES, .max = PUBLIC_KEY_BYTES)};
	uint32_t present;

	return fields_parse(fields, FIELDS_COUNT(fields), body, out, &present, failure);
}

int body_unlock(const json_t *body, struct unlock *out, struct failure *failure)
{
	static const struct field fields[] = {
		FIELD(unlock, sealed, FIELD_HEX, .required = true, .min = 1, .max = SEALED_MAX_BYTES)};
	uint32_t present;

	return fields_parse(fields, FIELDS_COUNT(fields), body, out, &present, failure);
}

int body_nothing(const json_t *body, struct failure *failure)
{
	uint32_t present;

	return fields_parse(NULL, 0, body, NULL, &present, failure);
}
