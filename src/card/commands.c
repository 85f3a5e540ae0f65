#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/inherited.h"
#include "base/log.h"
#include "base/secret.h"
#include "card/command.h"
#include "card/device.h"
#include "card/memory_store.h"

/* ---- what goes out ---- */

struct outgoing {
	struct list link;
	json_t *message;
};

static void watch_output(struct card *card, bool wanted)
{
	loop_change(&card->loop, &card->control, EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0));
}

static void flush(struct card *card)
{
	list_for_each_safe (node, after, &card->outbox) {
		struct outgoing *o = list_entry(node, struct outgoing, link);
		int rc = command_send(card->config.control_channel, o->message);

		if (rc == -EAGAIN)
			return;
		if (rc < 0)
			log_warning("a message to control was lost: %s", strerror(-rc));
		list_del(&o->link);
		json_decref(o->message);
		free(o);
		card->outbox_count--;
	}
	watch_output(card, false);
}

static void send_message(struct card *card, json_t *message)
{
	struct outgoing *o;

	if (message == NULL ||
	    card->outbox_count >= CARD_OUTBOX_MAX) { /* control is gone for long: it will ask for everything anew */
		json_decref(message);
		return;
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL) {
		json_decref(message);
		return;
	}
	o->message = message;
	list_add_tail(&card->outbox, &o->link);
	card->outbox_count++;
	watch_output(card, true);
	if (card->outbox_count == 1)
		flush(card);
}

void commands_reply(struct card *card, int64_t request_id, json_t *fields)
{
	json_t *reply = fields == NULL ? json_object() : fields;

	json_object_set_new(reply, "id", json_integer(request_id));
	json_object_set_new(reply, "ok", json_true());
	send_message(card, reply);
}

void commands_reply_error(struct card *card, int64_t request_id, const char *code, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	send_message(card, json_pack("{s:I,s:b,s:{s:s,s:s}}", "id", (json_int_t)request_id, "ok", 0, "error", "code", code,
				     "message", message));
}

void commands_event(struct card *card, const char *event, json_t *fields)
{
	json_t *message = fields == NULL ? json_object() : fields;

	json_object_set_new(message, "event", json_string(event));
	send_message(card, message);
}

json_t *commands_uuid(const struct uuid *id)
{
	char text[UUID_TEXT_SIZE];

	uuid_format(id, text);
	return json_string(text);
}

static json_t *hello_fields(struct card *card)
{
	json_t *pollers = json_array(), *attachments = json_array();

	for (unsigned i = 0; i < card->poller_count; i++)
		json_array_append_new(pollers, json_integer(card->pollers[i].config.core));
	for (unsigned i = 0; i < CARD_BUCKETS; i++)
		list_for_each_safe (node, after, &card->devices[i])
			json_array_append_new(attachments, commands_uuid(&list_entry(node, struct device, link)->volume_id));
	return json_pack("{s:o,s:s,s:i,s:o,s:o,s:s,s:s,s:b}", "incarnation", commands_uuid(&card->incarnation), "version",
			 OUTBOARD_VERSION, "pid", (int)getpid(), "pollers", pollers, "attachments", attachments, "xts_kernel",
			 volume_crypt_kernel(), "secret_memory", secret_kind(), "huge_pages", card->config.huge);
}

/* ---- what comes in ---- */

struct request {
	struct card *card;
	int64_t id;
	const json_t *body;
	char error[512];
};

static void refuse(struct request *r, const char *code)
{
	commands_reply_error(r->card, r->id, code, "%s", r->error);
}

static int parse_volume(struct request *r, struct volume_spec *spec)
{
	int rc = spec_parse(json_object_get(r->body, "volume"), spec, r->error, sizeof(r->error));

	if (rc < 0)
		refuse(r, "bad_request");
	return rc;
}

static struct device *find_device(struct request *r, struct uuid *id)
{
	if (spec_parse_uuid(r->body, "volume_id", id, r->error, sizeof(r->error)) < 0) {
		refuse(r, "bad_request");
		return NULL;
	}
	return device_find(r->card, id);
}

static void do_hello(struct request *r)
{
	commands_reply(r->card, r->id, hello_fields(r->card));
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
		refuse(r, storage_code(rc));
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
		refuse(r, storage_code(rc));
	else
		commands_reply(r->card, r->id, NULL);
}

static int get_number(const json_t *object, const char *field, json_int_t fallback, json_int_t min, json_int_t max, json_int_t *out)
{
	const json_t *value = json_object_get(object, field);

	*out = json_is_integer(value) ? json_integer_value(value) : fallback;
	return (value == NULL || json_is_null(value) || json_is_integer(value)) && *out >= min && *out <= max ? 0 : -EINVAL;
}

static int parse_attach(struct request *r, struct device_request *out)
{
	const char *path = json_string_value(json_object_get(r->body, "socket"));
	json_int_t queues, uid, gid, mode;

	if (path == NULL || path[0] != '/' || strlen(path) >= sizeof(out->socket.path)) {
		snprintf(r->error, sizeof(r->error), "the socket must be an absolute path of at most %zu bytes",
			 sizeof(out->socket.path) - 1);
		return -EINVAL;
	}
	if (get_number(r->body, "queues", 1, 1, DEVICE_QUEUES_MAX, &queues) < 0) {
		snprintf(r->error, sizeof(r->error), "queues must be between 1 and %d", DEVICE_QUEUES_MAX);
		return -EINVAL;
	}
	if (get_number(r->body, "uid", -1, -1, UINT32_MAX - 1, &uid) < 0 ||
	    get_number(r->body, "gid", -1, -1, UINT32_MAX - 1, &gid) < 0 || get_number(r->body, "mode", 0600, 0, 0777, &mode) < 0) {
		snprintf(r->error, sizeof(r->error), "uid, gid and mode must be numbers of a user, a group and permissions");
		return -EINVAL;
	}
	memset(out, 0, sizeof(*out));
	memcpy(out->socket.path, path, strlen(path));
	out->socket.owner.uid = (uid_t)uid;
	out->socket.owner.gid = (gid_t)gid;
	out->socket.owner.mode = (mode_t)mode;
	out->queues = (uint16_t)queues;
	out->packed = !json_is_false(json_object_get(r->body, "packed"));
	out->request_id = r->id;
	return 0;
}

static void do_attach(struct request *r)
{
	struct device_request request;
	struct volume_spec spec;

	if (parse_volume(r, &spec) < 0)
		return;
	if (parse_attach(r, &request) < 0) {
		refuse(r, "bad_request");
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
		refuse(r, "bad_request");
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
	json_int_t size;
	int rc;

	if (r->error[0] != '\0')
		return;
	if (get_number(r->body, "size_bytes", 0, 512, INT64_MAX, &size) < 0) {
		snprintf(r->error, sizeof(r->error), "size_bytes must be given");
		refuse(r, "bad_request");
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
	refuse(r, rc == -EINVAL ? "bad_request" : storage_code(rc));
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
		refuse(r, "bad_request");
		return;
	}
	rc = d == NULL ? 0 : device_set_rate(d, &rate); /* not attached: it comes with the next attach */
	if (rc < 0)
		commands_reply_error(r->card, r->id, "conflict", "volume \"%s\" is not ready", d->name);
	else
		commands_reply(r->card, r->id, NULL);
}

static void do_stats(struct request *r)
{
	commands_reply(r->card, r->id, stats_build(r->card, json_is_true(json_object_get(r->body, "all"))));
}

static const struct {
	const char *op;
	void (*run)(struct request *request);
} operations[] = {
	{"hello", do_hello},
	{"storage_create", do_storage_create},
	{"storage_delete", do_storage_delete},
	{"attach", do_attach},
	{"detach", do_detach},
	{"resize", do_resize},
	{"rate", do_rate},
	{"stats", do_stats},
};

static void run_request(struct card *card, const json_t *body)
{
	struct request r = {.card = card, .body = body, .id = json_integer_value(json_object_get(body, "id"))};
	const char *op = json_string_value(json_object_get(body, "op"));

	for (size_t i = 0; op != NULL && i < sizeof(operations) / sizeof(operations[0]); i++)
		if (strcmp(operations[i].op, op) == 0) {
			operations[i].run(&r);
			return;
		}
	commands_reply_error(card, r.id, "bad_request", "this card knows no op \"%s\"", op == NULL ? "" : op);
}

static void control_ready(struct watch *watch, uint32_t events)
{
	struct card *card = container_of(watch, struct card, control);
	json_t *body;
	int rc;

	if ((events & EPOLLOUT) != 0)
		flush(card);
	if ((events & EPOLLIN) == 0 && (events & (EPOLLHUP | EPOLLERR)) == 0)
		return;
	rc = command_receive(card->config.control_channel, &body);
	if (rc == 0) {
		run_request(card, body);
		json_decref(body);
	} else if (rc == -ECONNRESET) {
		log_error("the channel to control was closed: whoever started the card is gone; stopping");
		loop_remove(&card->loop, &card->control);
		card->stopping = true;
		device_detach_all(card);
	} else if (rc != -EAGAIN) {
		log_warning("a message from control was dropped: %s", strerror(-rc));
	}
}

int commands_open(struct card *card)
{
	int rc;

	list_init(&card->outbox);
	card->control.ready = control_ready;
	rc = loop_add(&card->loop, &card->control, card->config.control_channel, EPOLLIN);
	if (rc == 0)
		commands_event(card, "hello", hello_fields(card));
	return rc;
}
