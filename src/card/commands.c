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
#include "card/request.h"

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

void commands_reply_culprit(struct card *card, int64_t request_id, const char *code, const struct uuid *culprit,
			    const char *message)
{
	static const struct uuid none;
	json_t *error = json_pack("{s:s,s:s}", "code", code, "message", message);

	if (memcmp(culprit, &none, sizeof(none)) != 0)
		json_object_set_new(error, "culprit", commands_uuid(culprit));
	send_message(card, json_pack("{s:I,s:b,s:o}", "id", (json_int_t)request_id, "ok", 0, "error", error));
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
	return json_pack("{s:o,s:s,s:i,s:o,s:o,s:s,s:s,s:b,s:o}", "incarnation", commands_uuid(&card->incarnation), "version",
			 OUTBOARD_VERSION, "pid", (int)getpid(), "pollers", pollers, "attachments", attachments, "xts_kernel",
			 volume_crypt_kernel(), "secret_memory", secret_kind(), "huge_pages", card->config.huge, "wires",
			 network_wires_json(&card->network));
}

/* ---- what comes in ---- */

void request_refuse(struct request *r, const char *code)
{
	commands_reply_error(r->card, r->id, code, "%s", r->error);
}

struct fields request_fields(struct request *r)
{
	return (struct fields){.object = r->body, .error = r->error, .error_size = sizeof(r->error)};
}

void request_answer(struct card *card, int64_t *request_id, const char *code, const char *message)
{
	if (*request_id == NO_REQUEST)
		return;
	if (code == NULL)
		commands_reply(card, *request_id, NULL);
	else
		commands_reply_error(card, *request_id, code, "%s", message);
	*request_id = NO_REQUEST;
}

int request_socket(struct request *r, unsigned queues_default, unsigned queues_max, struct socket_request *out)
{
	const char *path = json_string_value(json_object_get(r->body, "socket"));
	struct fields f = request_fields(r);
	json_int_t queues = queues_default, uid = -1, gid = -1, mode = 0600;

	if (path == NULL || path[0] != '/' || strlen(path) >= sizeof(out->socket.path)) {
		snprintf(r->error, sizeof(r->error), "the socket must be an absolute path of at most %zu bytes",
			 sizeof(out->socket.path) - 1);
		return -EINVAL;
	}
	if (fields_number(&f, "queues", false, 1, queues_max, &queues) < 0 ||
	    fields_number(&f, "uid", false, -1, UINT32_MAX - 1, &uid) < 0 ||
	    fields_number(&f, "gid", false, -1, UINT32_MAX - 1, &gid) < 0 || fields_number(&f, "mode", false, 0, 0777, &mode) < 0)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	memcpy(out->socket.path, path, strlen(path));
	out->socket.owner = (struct unix_socket_owner){.uid = (uid_t)uid, .gid = (gid_t)gid, .mode = (mode_t)mode};
	out->queues = (uint16_t)queues;
	out->packed = !json_is_false(json_object_get(r->body, "packed"));
	return 0;
}

static void do_hello(struct request *r)
{
	commands_reply(r->card, r->id, hello_fields(r->card));
}

static void do_stats(struct request *r)
{
	commands_reply(r->card, r->id, stats_build(r->card, json_is_true(json_object_get(r->body, "all"))));
}

static const struct operation own_operations[] = {{"hello", do_hello}, {"stats", do_stats}, {NULL, NULL}};
static const struct operation *const operations[] = {own_operations, volume_operations, net_operations};

static void run_request(struct card *card, const json_t *body)
{
	struct request r = {.card = card, .body = body, .id = json_integer_value(json_object_get(body, "id"))};
	const char *op = json_string_value(json_object_get(body, "op"));

	for (size_t i = 0; op != NULL && i < sizeof(operations) / sizeof(operations[0]); i++)
		for (const struct operation *o = operations[i]; o->op != NULL; o++)
			if (strcmp(o->op, op) == 0) {
				o->run(&r);
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
		card_stop(card);
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
