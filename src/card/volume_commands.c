/* Commands about volumes: their storage, and attaching them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "card/device.h"
#include "card/memory_store.h"
#include "card/request.h"

static int parse_volume(struct request *r, struct volume_spec *spec)
{
	int rc = spec_parse(json_object_get(r->body, "volume"), spec, r->error, sizeof(r->error));

	if (rc < 0)
		request_refuse(r, "bad_request");
	return rc;
}

static struct device *find_device(struct request *r, struct uuid *id)
{
	if (spec_parse_uuid(r->body, "volume_id", id, r->error, sizeof(r->error)) < 0) {
		request_refuse(r, "bad_request");
		return NULL;
	}
	return device_find(r->card, id);
}

static const char *storage_code(int rc)
{
	return rc == -EEXIST ? "exists" : rc == -ENOSPC ? "no_space" : rc == -ENOENT ? "not_found" : "storage";
}

static void do_storage_create(struct request *r)
{
	struct volume_spec spec;
	int fd = -1, rc;

	if (parse_volume(r, &spec) < 0)
		return;
	if (spec.config.backend == VOLUME_MEMORY && memory_store_find(r->card, &spec.config.id) >= 0) {
		commands_reply(r->card, r->id, NULL);
		return;
	}
	rc = volume_storage_create(&spec.config, r->card->config.huge, &fd, r->error, sizeof(r->error));
	if (rc == 0 && fd >= 0)
		rc = memory_store_add(r->card, &spec.config.id, fd);
	if (rc < 0)
		request_refuse(r, storage_code(rc));
	else
		commands_reply(r->card, r->id, NULL);
}

static void do_storage_delete(struct request *r)
{
	struct volume_spec spec;
	int rc;

	if (parse_volume(r, &spec) < 0)
		return;
	if (device_find(r->card, &spec.config.id) != NULL) {
		commands_reply_error(r->card, r->id, "conflict", "volume \"%s\" is attached: detach it first", spec.name);
		return;
	}
	memory_store_remove(r->card, &spec.config.id);
	rc = volume_storage_delete(&spec.config, r->error, sizeof(r->error));
	if (rc < 0 && rc != -ENOENT)
		request_refuse(r, storage_code(rc));
	else
		commands_reply(r->card, r->id, NULL);
}

static void do_attach(struct request *r)
{
	struct device_request request = {.request_id = r->id};
	struct volume_spec spec;

	if (parse_volume(r, &spec) < 0)
		return;
	if (request_socket(r, 1, DEVICE_QUEUES_MAX, &request.front) < 0) {
		request_refuse(r, "bad_request");
		return;
	}
	request.spec = &spec;
	device_attach(r->card, &request);
}

static void do_detach(struct request *r)
{
	const char *path = json_string_value(json_object_get(r->body, "socket"));
	struct uuid id;

	if (spec_parse_uuid(r->body, "volume_id", &id, r->error, sizeof(r->error)) < 0) {
		request_refuse(r, "bad_request");
		return;
	}
	if (path != NULL && device_find(r->card, &id) == NULL)
		unix_socket_tidy(path);
	device_detach(r->card, &id, r->id);
}

/* Not attached: the storage is opened for the moment it takes. */
static int resize_storage(struct request *r, uint64_t size_bytes)
{
	struct volume_spec spec;
	struct volume *volume;
	int rc = spec_parse(json_object_get(r->body, "volume"), &spec, r->error, sizeof(r->error));

	if (rc < 0)
		return rc;
	spec.config.memory_fd = memory_store_find(r->card, &spec.config.id);
	if (spec.config.backend == VOLUME_MEMORY && spec.config.memory_fd < 0)
		return 0; /* made with its new size when it is attached */
	rc = volume_open(&volume, &spec.config, r->error, sizeof(r->error));
	if (rc < 0)
		return rc;
	rc = volume_resize(volume, size_bytes, r->error, sizeof(r->error));
	volume_close(volume);
	return rc;
}

static void do_resize(struct request *r)
{
	struct uuid id;
	struct device *d = find_device(r, &id);
	struct fields f = request_fields(r);
	json_int_t size = 0;
	int rc;

	if (r->error[0] != '\0')
		return;
	if (fields_number(&f, "size_bytes", true, 512, INT64_MAX, &size) < 0) {
		request_refuse(r, "bad_request");
		return;
	}
	if (d != NULL)
		rc = device_resize(d, (uint64_t)size, r->error, sizeof(r->error));
	else
		rc = resize_storage(r, (uint64_t)size);
	if (rc == 0) {
		commands_reply(r->card, r->id, NULL);
		return;
	}
	if (r->error[0] == '\0')
		snprintf(r->error, sizeof(r->error), "the volume cannot be resized now: %s", strerror(-rc));
	request_refuse(r, rc == -EINVAL ? "bad_request" : storage_code(rc));
}

static void do_rate(struct request *r)
{
	struct uuid id;
	struct device *d = find_device(r, &id);
	struct volume_rate rate;
	int rc;

	if (r->error[0] != '\0')
		return;
	if (spec_parse_rate(r->body, &rate, r->error, sizeof(r->error)) < 0) {
		request_refuse(r, "bad_request");
		return;
	}
	rc = d == NULL ? 0 : device_set_rate(d, &rate); /* not attached: it comes with the next attach */
	if (rc < 0)
		commands_reply_error(r->card, r->id, "conflict", "volume \"%s\" is not ready", d->name);
	else
		commands_reply(r->card, r->id, NULL);
}

const struct operation volume_operations[] = {
	{"storage_create", do_storage_create},
	{"storage_delete", do_storage_delete},
	{"attach", do_attach},
	{"detach", do_detach},
	{"resize", do_resize},
	{"rate", do_rate},
	{NULL, NULL},
};
