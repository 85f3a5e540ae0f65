/* Looking at an ENI: its counters, what would be done with a packet, what goes through it, its flow log. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "control/net_bodies.h"
#include "control/net_flow_log.h"
#include "control/store_net.h"

struct probe {
	struct control *control;
	struct http_request *request;
	char eni[NAME_SIZE];
	char id[UUID_TEXT_SIZE];
	const char *verb; /* "trace a packet of" */
	bool capture;
};

/* NULL: the request was answered. */
static struct probe *probe_new(struct control *control, struct http_request *request, const char *verb)
{
	const char *name = http_parameter(request);
	struct failure failure;
	struct probe *p = calloc(1, sizeof(*p));
	struct uuid id, vpc;
	int rc = p == NULL ? -ENOMEM : store_net_find(&control->store, NET_ENI, name, &id, &vpc);

	if (rc == -ENOENT)
		failure_set(&failure, ERROR_OBJECT_NOT_FOUND, "ENI \"%s\" does not exist. `outboard eni list` shows those that do.",
			    name);
	else if (rc < 0)
		store_failure(&failure, rc, "find the ENI");
	else if (card_ready(control, &failure)) {
		*p = (struct probe){.control = control, .request = request, .verb = verb};
		strcpy(p->eni, name);
		uuid_format(&id, p->id);
		return p;
	}
	free(p);
	http_fail(request, &failure);
	return NULL;
}

/* Likewise, for what only the card can do that the ENI is on. */
static struct probe *probe_new_here(struct control *control, struct http_request *request, const char *verb)
{
	struct probe *p = probe_new(control, request, verb);
	struct failure failure;
	struct net_row row;
	json_t *object;
	int rc = 0;

	if (p == NULL || store_net_get(&control->store, NET_ENI, p->eni, &row) < 0)
		return p;
	object = json_loads(row.body, 0, NULL);
	if (json_is_string(json_object_get(object, "host")))
		rc = failure_set(&failure, ERROR_CONFLICT, "ENI \"%s\" is on host \"%s\", not on this card.", p->eni,
				 json_string_value(json_object_get(object, "host")));
	json_decref(object);
	net_row_clear(&row);
	if (rc == 0)
		return p;
	http_fail(request, &failure);
	free(p);
	return NULL;
}

/* True: the card did it; else the request was answered and the probe is gone. */
static bool answered_well(struct probe *p, const struct peer_answer *answer)
{
	char what[NAME_SIZE + 48];
	struct failure failure;

	if (answer->outcome == PEER_OK)
		return true;
	snprintf(what, sizeof(what), "%s eni \"%s\"", p->verb, p->eni);
	net_failure(p->control, &failure, answer, what);
	if (p->capture && failure.code == ERROR_OBJECT_NOT_FOUND)
		failure.code = ERROR_CAPTURE_NOT_FOUND;
	http_fail(p->request, &failure);
	free(p);
	return false;
}

/* ---- what the card answers is the answer ---- */

static void passed_on(void *context, const struct peer_answer *answer)
{
	struct probe *p = context;
	json_t *reply;

	if (!answered_well(p, answer))
		return;
	reply = json_copy((json_t *)(size_t)answer->reply);
	json_object_del(reply, "id");
	json_object_del(reply, "ok");
	http_reply(p->request, 200, reply);
	free(p);
}

void api_net_trace(struct control *control, struct http_request *request)
{
	struct eni_trace_body body;
	struct failure failure;
	struct probe *p;

	if (body_eni_trace(http_body(request), &body, &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	p = probe_new_here(control, request, "trace a packet of");
	if (p != NULL)
		card_request(control, json_pack("{s:s,s:s,s:s}", "op", "eni_trace", "eni_id", p->id, "packet", body.packet),
			     NET_PROBE_TIMEOUT_MS, passed_on, p);
}

static json_t *capture_command(const struct eni_capture_body *body, const char *id)
{
	json_t *command =
		json_pack("{s:s,s:s,s:s}", "op", "eni_capture", "eni_id", id, "action", eni_capture_actions[body->action]);

	if (body->action == ENI_CAPTURE_START)
		json_object_update_new(
			command, json_pack("{s:I,s:b}", "snap_bytes", (json_int_t)body->snap_bytes, "drops", (int)body->drops));
	else
		json_object_set_new(command, "capture", json_integer(body->capture));
	return command;
}

void api_net_capture(struct control *control, struct http_request *request)
{
	struct eni_capture_body body;
	struct failure failure;
	struct probe *p;

	if (body_eni_capture(http_body(request), &body, &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	p = probe_new_here(control, request, "capture the packets of");
	if (p == NULL)
		return;
	p->capture = body.action != ENI_CAPTURE_START;
	card_request(control, capture_command(&body, p->id), NET_PROBE_TIMEOUT_MS, passed_on, p);
}

/* ---- counters: one ENI's of all ---- */

static void counted(void *context, const struct peer_answer *answer)
{
	struct probe *p = context;
	struct failure failure;
	json_t *eni;
	size_t at;

	if (!answered_well(p, answer))
		return;
	json_array_foreach (json_object_get(answer->reply, "enis"), at, eni) {
		const char *id = json_string_value(json_object_get(eni, "id"));

		if (id == NULL || strcmp(id, p->id) != 0)
			continue;
		http_reply(p->request, 200, json_incref(eni));
		free(p);
		return;
	}
	failure_set(&failure, ERROR_ATTACHMENT_NOT_FOUND, "ENI \"%s\" was never attached to this card: it has no counters.",
		    p->eni);
	http_fail(p->request, &failure);
	free(p);
}

void api_net_stats(struct control *control, struct http_request *request)
{
	struct probe *p = probe_new(control, request, "read the counters of");

	if (p != NULL)
		card_request(control, json_pack("{s:s,s:b,s:s}", "op", "stats", "all", 1, "eni_id", p->id), CARD_TIMEOUT_MS,
			     counted, p);
}

/* ---- the flow log ---- */

static int lines_wanted(struct http_request *request, size_t *lines, struct failure *failure)
{
	const char *text = http_query(request, "lines");
	char *end;

	*lines = NET_FLOW_LOG_LINES_DEFAULT;
	if (text == NULL)
		return 0;
	errno = 0;
	*lines = strtoul(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *lines >= 1 && *lines <= NET_FLOW_LOG_LINES_MAX)
		return 0;
	return failure_set(failure, ERROR_INVALID_FIELD, "Parameter \"lines\" must be a whole number from 1 to %d.",
			   NET_FLOW_LOG_LINES_MAX);
}

void api_net_flow_log(struct control *control, struct http_request *request)
{
	const char *name = http_parameter(request);
	struct failure failure;
	struct uuid id, vpc;
	size_t count;
	json_t *lines;
	int rc = store_net_find(&control->store, NET_ENI, name, &id, &vpc);

	if (rc == -ENOENT) {
		failure_set(&failure, ERROR_OBJECT_NOT_FOUND, "ENI \"%s\" does not exist. `outboard eni list` shows those that do.",
			    name);
	} else if (rc < 0) {
		store_failure(&failure, rc, "find the ENI");
	} else if (lines_wanted(request, &count, &failure) == 0) {
		lines = net_flow_log_tail(control->state_dir, name, count);
		if (lines != NULL) {
			http_reply(request, 200, json_pack("{s:o}", "lines", lines));
			return;
		}
		failure_set(&failure, ERROR_INTERNAL, "The flow log of ENI \"%s\" cannot be read: %s.", name, strerror(errno));
	}
	http_fail(request, &failure);
}
