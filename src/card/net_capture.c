/*
 * Captures of ENIs, as control asks for them: started, read piece by piece, stopped. Each belongs to whoever has its number; one that
 * nobody reads for CAPTURE_IDLE_S ends, so that a client which is gone leaves nothing behind.
 *
 * A capture is the pipeline's, on the poller; `capture` and what it fills belong to the poller while `busy`. A change of the policy that
 * takes the ENI off its slot ends the capture on the poller at that moment (network.c): nobody reads what a successor receives. Such a
 * change holds it until the poller has answered, even if whoever reads it lets go of it meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "card/card.h"
#include "card/net_capture.h"
#include "card/request.h"

enum {
	CAPTURE_IDLE_S = 30,
	CAPTURE_BUFFER_BYTES = 4 << 20,
	CAPTURE_READ_BYTES = 45 << 10, /* of one answer: as base64 it still fits a message */
	CAPTURE_SNAP_BYTES_MAX = 65535 + 64,
};

struct net_capture {
	struct list link;
	struct network *network;
	int64_t id;
	struct uuid eni;
	uint32_t slot;
	struct capture *capture; /* NULL: not started yet, or ended */
	struct capture_config config;
	struct message message;
	int64_t request_id;
	bool busy;
	unsigned held; /* by changes under way */
	bool gone;     /* and nobody else's any more */
	int error;
	uint64_t read_ns;
	size_t size;
	uint64_t lost;
	uint8_t data[CAPTURE_READ_BYTES];
};

static void capture_free(struct net_capture *c)
{
	list_del(&c->link);
	c->network->capture_count--;
	c->gone = true;
	if (c->held == 0)
		free(c);
}

static void post(struct net_capture *c, void (*run)(struct message *message), int64_t request_id)
{
	c->busy = true;
	c->request_id = request_id;
	c->message.run = run;
	poller_post(c->network->poller, &c->message);
}

static void answer_from_poller(struct net_capture *c, void (*run)(struct message *message))
{
	c->message.run = run;
	mailbox_post(&c->network->card->loop.mailbox, &c->message);
}

static void net_capture_end(struct net_capture *c)
{
	if (c->capture != NULL)
		vpc_capture_stop(c->network->vpc, c->capture);
	c->capture = NULL;
}

/* ---- start ---- */

static void started(struct message *message)
{
	struct net_capture *c = container_of(message, struct net_capture, message);

	c->busy = false;
	c->read_ns = clock_monotonic_ns();
	if (c->error == 0) {
		commands_reply(c->network->card, c->request_id, json_pack("{s:I}", "capture", (json_int_t)c->id));
		return;
	}
	commands_reply_error(c->network->card, c->request_id, "internal", "the capture cannot be started: %s", strerror(-c->error));
	capture_free(c);
}

static void start_on_poller(struct message *message)
{
	struct net_capture *c = container_of(message, struct net_capture, message);

	c->error = vpc_capture_start(c->network->vpc, &c->config, &c->capture);
	answer_from_poller(c, started);
}

static void start(struct request *r, const struct policy_endpoint *endpoint)
{
	struct network *n = &r->card->network;
	struct fields f = request_fields(r);
	json_int_t snap = CAPTURE_SNAP_BYTES_MAX;
	bool drops = false;
	struct net_capture *c;

	if (fields_number(&f, "snap_bytes", false, 14, CAPTURE_SNAP_BYTES_MAX, &snap) < 0 || fields_bool(&f, "drops", &drops) < 0) {
		request_refuse(r, "bad_request");
		return;
	}
	c = n->capture_count >= NET_CAPTURES_MAX ? NULL : calloc(1, sizeof(*c));
	if (c == NULL) {
		commands_reply_error(r->card, r->id, "limit", "this card runs at most %d captures; stop another first",
				     NET_CAPTURES_MAX);
		return;
	}
	c->network = n;
	c->id = ++n->capture_last_id;
	c->eni = endpoint->id;
	c->slot = endpoint->slot;
	c->config = (struct capture_config){
		.slot = endpoint->slot, .snap_bytes = (uint32_t)snap, .buffer_bytes = CAPTURE_BUFFER_BYTES, .drops = drops};
	list_add_tail(&n->captures, &c->link);
	n->capture_count++;
	post(c, start_on_poller, r->id);
}

/* ---- read and stop ---- */

static void was_read(struct message *message)
{
	struct net_capture *c = container_of(message, struct net_capture, message);
	char *text = malloc(BASE64_TEXT_SIZE(c->size));

	c->busy = false;
	c->read_ns = clock_monotonic_ns();
	if (c->error < 0 || text == NULL) {
		commands_reply_error(c->network->card, c->request_id, "not_found",
				     "the capture has ended: its ENI is not on this card any more");
		capture_free(c);
	} else {
		base64_format(c->data, c->size, text);
		commands_reply(c->network->card, c->request_id, json_pack("{s:s,s:I}", "data", text, "lost", (json_int_t)c->lost));
	}
	free(text);
}

static void read_on_poller(struct message *message)
{
	struct net_capture *c = container_of(message, struct net_capture, message);

	c->size = 0;
	c->error = c->capture == NULL ? -ENOENT : 0;
	if (c->capture != NULL)
		c->size = vpc_capture_read(c->capture, c->data, sizeof(c->data), &c->lost);
	answer_from_poller(c, was_read);
}

static void was_stopped(struct message *message)
{
	struct net_capture *c = container_of(message, struct net_capture, message);

	request_answer(c->network->card, &c->request_id, NULL, NULL);
	capture_free(c);
}

static void stop_on_poller(struct message *message)
{
	struct net_capture *c = container_of(message, struct net_capture, message);

	net_capture_end(c);
	answer_from_poller(c, was_stopped);
}

/* ---- the command ---- */

static struct net_capture *find(struct network *n, const struct uuid *eni, int64_t id)
{
	list_for_each_safe (node, after, &n->captures) {
		struct net_capture *c = list_entry(node, struct net_capture, link);

		if (c->id == id && memcmp(&c->eni, eni, sizeof(*eni)) == 0)
			return c;
	}
	return NULL;
}

static void run_on(struct request *r, const struct uuid *eni, void (*run)(struct message *message), bool may_be_gone)
{
	struct fields f = request_fields(r);
	json_int_t id = 0;
	struct net_capture *c;

	if (fields_number(&f, "capture", true, 1, INT64_MAX, &id) < 0) {
		request_refuse(r, "bad_request");
		return;
	}
	c = find(&r->card->network, eni, id);
	if (c == NULL && may_be_gone)
		commands_reply(r->card, r->id, NULL);
	else if (c == NULL)
		commands_reply_error(r->card, r->id, "not_found",
				     "there is no capture %lld of this ENI: it ended, or was not read for %d s", (long long)id,
				     CAPTURE_IDLE_S);
	else if (c->busy)
		commands_reply_error(r->card, r->id, "conflict", "capture %lld is being read already", (long long)id);
	else
		post(c, run, r->id);
}

void net_capture_run(struct request *r, const struct uuid *eni)
{
	const char *action = json_string_value(json_object_get(r->body, "action"));
	const struct policy_endpoint *endpoint = network_endpoint(&r->card->network, eni);

	if (action != NULL && strcmp(action, "start") == 0 && endpoint == NULL)
		commands_reply_error(r->card, r->id, "not_found", "this card has no ENI of that id");
	else if (action != NULL && strcmp(action, "start") == 0)
		start(r, endpoint);
	else if (action != NULL && strcmp(action, "read") == 0)
		run_on(r, eni, read_on_poller, false);
	else if (action != NULL && strcmp(action, "stop") == 0)
		run_on(r, eni, stop_on_poller, true);
	else
		commands_reply_error(r->card, r->id, "bad_request", "field \"action\" must be start, read or stop");
}

/* ---- ends ---- */

unsigned net_capture_ends(struct network *n, const struct policy *next, struct net_capture **ends)
{
	unsigned count = 0;

	list_for_each_safe (node, after, &n->captures) {
		struct net_capture *c = list_entry(node, struct net_capture, link);
		const struct policy_endpoint *endpoint = policy_endpoint_find(next, &c->eni);

		if (endpoint != NULL && endpoint->slot == c->slot)
			continue;
		c->held++;
		ends[count++] = c;
	}
	return count;
}

void net_capture_release(struct net_capture *const *ends, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (--ends[i]->held == 0 && ends[i]->gone)
			free(ends[i]);
}

void net_capture_end_all(struct net_capture *const *ends, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		net_capture_end(ends[i]);
}

void net_capture_tick(struct network *n)
{
	uint64_t now_ns = clock_monotonic_ns();

	list_for_each_safe (node, after, &n->captures) {
		struct net_capture *c = list_entry(node, struct net_capture, link);

		if (!c->busy && now_ns - c->read_ns > CAPTURE_IDLE_S * UINT64_C(1000000000))
			post(c, stop_on_poller, NO_REQUEST);
	}
}

void net_capture_close(struct network *n)
{
	list_for_each_safe (node, after, &n->captures) {
		struct net_capture *c = list_entry(node, struct net_capture, link);

		net_capture_end(c);
		capture_free(c);
	}
}
