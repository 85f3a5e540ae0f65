/* Commands about the network: changing it, attaching ENIs, and looking at one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "card/eni.h"
#include "card/net_capture.h"
#include "card/net_spec.h"
#include "card/request.h"

/* ---- net_apply ---- */

/* One change of the list. 0, or -EINVAL, -ENOMEM with r->error; *id is whose fault it is. */
static int apply_one(struct request *r, struct model_change *change, const json_t *item, struct uuid *id)
{
	struct fields f = {.object = item, .error = r->error, .error_size = sizeof(r->error)};
	const json_t *object = json_object_get(item, "object");
	struct net_spec spec;
	enum net_kind kind;
	int rc;

	if (net_kind_parse(json_string_value(json_object_get(item, "kind")), &kind) < 0)
		return fields_refuse(&f, "kind", "of a change is none that this card knows");
	rc = fields_uuid(&f, "id", id);
	if (rc < 0)
		return rc;
	if (object == NULL || json_is_null(object))
		return model_change_delete(change, kind, id);
	rc = net_spec_parse(kind, id, object, &spec, r->error, sizeof(r->error));
	if (rc < 0)
		return rc;
	rc = model_change_put(change, &spec);
	net_spec_free(&spec);
	return rc;
}

static int apply_all(struct request *r, struct model_change *change, struct uuid *culprit)
{
	const json_t *changes = json_object_get(r->body, "changes"), *item;
	int rc = json_is_true(json_object_get(r->body, "reset")) ? model_change_reset(change) : 0;
	size_t i;

	for (i = 0; rc == 0 && i < json_array_size(changes); i++) {
		item = json_array_get(changes, i);
		rc = apply_one(r, change, item, culprit);
	}
	return rc;
}

static void do_apply(struct request *r)
{
	struct network *n = &r->card->network;
	struct uuid culprit = {{0}};
	struct model_change *change;
	int rc;

	if (!json_is_array(json_object_get(r->body, "changes"))) {
		snprintf(r->error, sizeof(r->error), "field \"changes\" must be a list");
		request_refuse(r, "bad_request");
		return;
	}
	if (n->vpc == NULL && json_array_size(json_object_get(r->body, "changes")) == 0) {
		commands_reply(r->card, r->id, NULL); /* nothing of nothing: no network is opened for that */
		return;
	}
	rc = network_open(n, r->error, sizeof(r->error));
	if (rc == 0)
		rc = model_change_begin(n->model, &change);
	if (rc < 0) {
		if (r->error[0] == '\0')
			snprintf(r->error, sizeof(r->error), "the network cannot be changed: %s", strerror(-rc));
		request_refuse(r, "internal");
		return;
	}
	rc = apply_all(r, change, &culprit);
	if (rc == 0) {
		network_commit(n, change, r->id);
		return;
	}
	model_change_cancel(change);
	if (r->error[0] == '\0')
		snprintf(r->error, sizeof(r->error), "%s", strerror(-rc));
	commands_reply_culprit(r->card, r->id, rc == -ENOMEM ? "internal" : "bad_request", &culprit, r->error);
}

/* ---- ENIs ---- */

static int get_eni(struct request *r, struct uuid *id)
{
	struct fields f = request_fields(r);
	int rc = fields_uuid(&f, "eni_id", id);

	if (rc < 0)
		request_refuse(r, "bad_request");
	return rc;
}

static int parse_tap(struct request *r, struct eni_request *out)
{
	struct fields f = request_fields(r);
	struct tap_request tap = {.mac.bytes = {2}, .mtu = out->mtu}; /* what of it is the ENI's own is right */
	int rc = fields_text(&f, "tap", out->tap, sizeof(out->tap));

	if (rc == 0 && fields_has(&f, "netns"))
		rc = fields_text(&f, "netns", out->netns, sizeof(out->netns));
	if (rc < 0)
		return rc;
	memcpy(tap.name, out->tap, sizeof(tap.name));
	memcpy(tap.netns, out->netns, sizeof(tap.netns));
	return tap_request_check(&tap, r->error, sizeof(r->error));
}

static int parse_attach(struct request *r, struct eni_request *out)
{
	const char *kind = json_string_value(json_object_get(r->body, "kind"));
	struct fields f = request_fields(r);
	json_int_t mtu = network_guest_mtu(&r->card->network);
	int rc;

	memset(out, 0, sizeof(*out));
	out->request_id = r->id;
	rc = fields_number(&f, "mtu", false, 1280, TAP_MTU_MAX, &mtu);
	if (rc < 0)
		return rc;
	out->mtu = (uint16_t)mtu;
	if (kind == NULL || strcmp(kind, "vhost-user") == 0) {
		out->kind = ENI_VHOST_USER;
		return request_socket(r, 4, VIRTIO_NET_PAIRS_MAX, &out->front);
	}
	out->kind = ENI_TAP;
	if (strcmp(kind, "tap") == 0)
		return parse_tap(r, out);
	return fields_refuse(&f, "kind", "must be vhost-user or tap");
}

static void do_attach(struct request *r)
{
	struct eni_request request;
	struct uuid id;

	if (get_eni(r, &id) < 0)
		return;
	if (parse_attach(r, &request) < 0) {
		request_refuse(r, "bad_request");
		return;
	}
	eni_attach(r->card, &id, &request);
}

static void do_detach(struct request *r)
{
	const char *path = json_string_value(json_object_get(r->body, "socket"));
	struct uuid id;

	if (get_eni(r, &id) < 0)
		return;
	if (path != NULL && eni_find(&r->card->network, &id) == NULL)
		unix_socket_tidy(path); /* what a card that was killed left */
	eni_detach(r->card, &id, r->id);
}

static void do_capture(struct request *r)
{
	struct uuid id;

	if (get_eni(r, &id) == 0)
		net_capture_run(r, &id);
}

/* ---- traces ---- */

struct tracing {
	struct message message; /* to the poller, and back */
	struct card *card;
	int64_t request_id;
	uint32_t slot;
	uint8_t bytes[PACKET_HEAD_BYTES];
	struct packet packet;
	struct trace trace;
};

static void traced(struct message *message)
{
	struct tracing *t = container_of(message, struct tracing, message);
	bool arrives = t->trace.drop == DROP_NONE;
	json_t *lines = json_array();

	for (unsigned i = 0; i < t->trace.count; i++) {
		const struct trace_line *line = &t->trace.lines[i];

		json_array_append_new(
			lines, json_pack("{s:s,s:s,s:s}", "stage", line->stage, "verdict", line->verdict, "detail", line->detail));
	}
	commands_reply(t->card, t->request_id,
		       json_pack("{s:o,s:o,s:s}", "lines", lines, "drop",
				 arrives ? json_null() : json_string(drop_name(t->trace.drop)), "sentence",
				 arrives ? t->trace.end : drop_sentence(t->trace.drop)));
	free(t);
}

static void trace_on_poller(struct message *message)
{
	struct tracing *t = container_of(message, struct tracing, message);

	vpc_trace(t->card->network.vpc, t->slot, &t->packet, &t->trace, clock_tsc());
	t->message.run = traced;
	mailbox_post(&t->card->loop.mailbox, &t->message);
}

static void do_trace(struct request *r)
{
	const char *text = json_string_value(json_object_get(r->body, "packet"));
	const struct policy_endpoint *endpoint;
	struct tracing *t;
	struct uuid id;

	if (get_eni(r, &id) < 0)
		return;
	endpoint = network_endpoint(&r->card->network, &id);
	if (endpoint == NULL || endpoint->kind != ENDPOINT_ENI) {
		commands_reply_error(r->card, r->id, "not_found", "this card has no ENI of that id");
		return;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL) {
		commands_reply_error(r->card, r->id, "internal", "out of memory");
		return;
	}
	t->card = r->card;
	t->request_id = r->id;
	t->slot = endpoint->slot;
	t->packet.head = t->bytes + PACKET_HEADROOM_BYTES;
	t->packet.headroom_bytes = PACKET_HEADROOM_BYTES;
	if (trace_packet_parse(text == NULL ? "" : text, endpoint, &t->packet, r->error, sizeof(r->error)) < 0) {
		request_refuse(r, "bad_request");
		free(t);
		return;
	}
	t->message.run = trace_on_poller;
	poller_post(r->card->network.poller, &t->message);
}

const struct operation net_operations[] = {
	{"net_apply", do_apply}, {"eni_attach", do_attach},   {"eni_detach", do_detach},
	{"eni_trace", do_trace}, {"eni_capture", do_capture}, {NULL, NULL},
};
