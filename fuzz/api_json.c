/*
 * Request bodies of the API: the first byte chooses the body, the rest is its text, as a client sends it. Whatever is accepted must
 * be inside the bounds that the rest of control relies on; whatever is refused has a code and a sentence that can be sent.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "control/bodies.h"
#include "control/http.h"

static void check_volume(const struct volume_create *v)
{
	assert(name_valid(v->name));
	assert(v->size_bytes >= VOLUME_SIZE_MIN_BYTES && v->size_bytes <= VOLUME_SIZE_MAX_BYTES);
	assert(v->block_size_bytes == 512 || v->block_size_bytes == 4096);
	assert(v->size_bytes % v->block_size_bytes == 0);
	assert(v->backend >= BACKEND_MEMORY && v->backend <= BACKEND_FILE);
	assert(v->path[0] == '\0' || (v->path[0] == '/' && strlen(v->path) < PATH_SIZE));
	assert(v->iops >= 0 && v->iops <= VOLUME_IOPS_MAX && v->throughput_mib >= 0 &&
	       v->throughput_mib <= VOLUME_THROUGHPUT_MAX_MIB);
	assert(v->kek[0] == '\0' || name_valid(v->kek));
	assert(v->tags == NULL || json_object_size(v->tags) <= TAGS_MAX);
}

static void check_change(const struct volume_change *v)
{
	assert(!v->has.size || (v->size_bytes >= VOLUME_SIZE_MIN_BYTES && v->size_bytes <= VOLUME_SIZE_MAX_BYTES));
	assert(v->iops >= 0 && v->iops <= VOLUME_IOPS_MAX && v->throughput_mib >= 0 &&
	       v->throughput_mib <= VOLUME_THROUGHPUT_MAX_MIB);
	assert(!v->has.tags || json_object_size(v->tags) <= TAGS_MAX);
}

static void check_attachment(const struct attachment_create *a)
{
	assert(name_valid(a->volume));
	assert(a->kind == ATTACHMENT_VHOST_USER_BLK || a->kind == ATTACHMENT_NBD);
	assert(a->queues >= 1 && a->queues <= ATTACHMENT_QUEUES_MAX);
	assert(a->socket[0] == '\0' || (a->socket[0] == '/' && strlen(a->socket) < SOCKET_PATH_SIZE));
	assert(a->uid >= -1 && a->uid < UINT32_MAX && a->gid >= -1 && a->gid < UINT32_MAX);
	assert(a->mode >= 0 && a->mode <= 0777);
}

static int parse(uint8_t which, const json_t *body, struct failure *failure)
{
	union {
		struct volume_create volume;
		struct volume_change change;
		struct attachment_create attachment;
		struct key_create key;
		struct rewrap rewrap;
		struct export_key export_key;
		struct unlock unlock;
	} out;
	int rc;

	switch (which % 8) {
	case 0:
		rc = body_volume_create(body, &out.volume, failure);
		if (rc == 0)
			check_volume(&out.volume);
		return rc;
	case 1:
		rc = body_volume_change(body, &out.change, failure);
		if (rc == 0)
			check_change(&out.change);
		return rc;
	case 2:
		rc = body_attachment_create(body, &out.attachment, failure);
		if (rc == 0)
			check_attachment(&out.attachment);
		return rc;
	case 3:
		return body_key_create(body, &out.key, failure);
	case 4:
		return body_rewrap(body, &out.rewrap, failure);
	case 5:
		rc = body_export_key(body, &out.export_key, failure);
		assert(rc < 0 || strlen(out.export_key.recipient) == 2 * PUBLIC_KEY_BYTES);
		return rc;
	case 6:
		rc = body_unlock(body, &out.unlock, failure);
		assert(rc < 0 || strlen(out.unlock.sealed) % 2 == 0);
		return rc;
	default:
		return body_nothing(body, failure);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct failure failure = {0};
	json_t *body = NULL;
	int rc;

	if (size == 0)
		return 0;
	rc = http_parse_body((const char *)data + 1, size - 1, &body, &failure);
	if (rc == 0)
		rc = parse(data[0], body, &failure);
	if (rc < 0) {
		assert(failure.code > ERROR_NONE && failure.code < ERROR_COUNT);
		assert(failure.message[0] != '\0' && strlen(failure.message) < FAILURE_MESSAGE_SIZE);
	}
	json_decref(body);
	return 0;
}
