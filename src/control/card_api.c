/* Cards, their counters, and whether everything is well. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "control/metrics.h"
#include "control/vault_view.h"

static const char local[] = "local";

static json_t *said(const struct card *card, const char *field)
{
	json_t *value = json_object_get(card->hello, field);

	return value == NULL ? json_null() : json_incref(value);
}

static json_t *view_card(struct control *control)
{
	const struct card *card = &control->card;
	json_t *pollers = json_object_get(card->hello, "pollers"), *wires = json_object_get(card->hello, "wires");
	int64_t attachments = 0;

	store_attachment_count(&control->store, &attachments);
	return json_pack(
		"{s:s,s:s,s:o,s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:I}", "name", local, "state", card->up ? "up" : "down", "incarnation",
		card->incarnation[0] == '\0' ? json_null() : json_string(card->incarnation), "version", said(card, "version"),
		"restarts", (json_int_t)card->restarts, "pollers", pollers == NULL ? json_array() : json_incref(pollers), "wires",
		wires == NULL ? json_array() : json_incref(wires), "xts_kernel", said(card, "xts_kernel"), "secret_memory",
		said(card, "secret_memory"), "huge_pages", said(card, "huge_pages"), "attachments", (json_int_t)attachments);
}

void api_card_list(struct control *control, struct http_request *request)
{
	http_reply(request, 200, json_pack("[o]", view_card(control)));
}

/* False: answered. */
static bool is_local(struct http_request *request)
{
	struct failure failure;

	if (strcmp(http_parameter(request), local) == 0)
		return true;
	failure_set(&failure, ERROR_CARD_NOT_FOUND, "Card \"%s\" does not exist; there is one, \"local\".",
		    http_parameter(request));
	http_fail(request, &failure);
	return false;
}

void api_card_show(struct control *control, struct http_request *request)
{
	if (is_local(request))
		http_reply(request, 200, view_card(control));
}

/* ---- counters ---- */

static json_t *stats_command(bool all)
{
	return json_pack("{s:s,s:b}", "op", "stats", "all", (int)all);
}

static void stats_done(void *context, const struct peer_answer *answer)
{
	struct http_request *request = context;
	struct failure failure;
	json_t *reply;

	card_failure(&failure, answer, "read the counters of card \"local\"");
	if (answer->outcome != PEER_OK) {
		http_fail(request, &failure);
		return;
	}
	reply = json_copy((json_t *)(size_t)answer->reply);
	json_object_del(reply, "id");
	json_object_del(reply, "ok");
	http_reply(request, 200, reply);
}

void api_card_stats(struct control *control, struct http_request *request)
{
	const char *all = http_query(request, "all");
	struct failure failure;

	if (!is_local(request))
		return;
	if (all != NULL && strcmp(all, "0") != 0 && strcmp(all, "1") != 0)
		failure_set(&failure, ERROR_INVALID_FIELD, "Parameter \"all\" must be 0 or 1.");
	else if (card_ready(control, &failure)) {
		card_request(control, stats_command(all != NULL && all[0] == '1'), CARD_TIMEOUT_MS, stats_done, request);
		return;
	}
	http_fail(request, &failure);
}

struct scrape {
	struct control *control;
	struct http_request *request;
};

static int add_health(void *context, struct volume_row *row)
{
	return json_object_set_new(context, row->name, json_integer(row->errors)) == 0 ? 0 : -1;
}

static void scrape_done(void *context, const struct peer_answer *answer)
{
	struct scrape *s = context;
	const struct card *card = &s->control->card;
	struct metrics m = {.card_up = card->up,
			    .restarts = card->restarts,
			    .errors = json_object(),
			    .stats = answer->outcome == PEER_OK ? answer->reply : NULL};
	struct failure failure;
	char *text = NULL;

	store_attachment_count(&s->control->store, &m.attachments);
	if (store_volume_each(&s->control->store, add_health, m.errors) == 0)
		text = metrics_text(&m);
	json_decref(m.errors);
	if (text != NULL) {
		http_reply_text(s->request, "text/plain; version=0.0.4; charset=utf-8", text);
	} else {
		failure_set(&failure, ERROR_INTERNAL, "The metrics could not be put together; see the log of outboard-control.");
		http_fail(s->request, &failure);
	}
	free(s);
}

void api_metrics(struct control *control, struct http_request *request)
{
	struct scrape *s = malloc(sizeof(*s));

	if (s == NULL) {
		fail_store(request, -ENOMEM, "read the counters");
		return;
	}
	*s = (struct scrape){control, request};
	if (control->card.up)
		card_request(control, stats_command(false), CARD_TIMEOUT_MS, scrape_done, s);
	else
		scrape_done(s, &(struct peer_answer){.outcome = PEER_GONE});
}

/* ---- health and version ---- */

static void answer_health(struct vault_question *q)
{
	const char *vault = vault_state_name(q->error, &q->status);
	bool up = q->control->card.up, well = up && strcmp(vault, "unlocked") == 0 && q->control->net.refused[0] == '\0';

	http_reply(q->request, 200,
		   json_pack("{s:s,s:s,s:s,s:o,s:s}", "status", well ? "ok" : "degraded", "card", up ? "up" : "down", "vault",
			     vault, "network", net_health(q->control), "version", OUTBOARD_VERSION));
}

void api_health(struct control *control, struct http_request *request)
{
	vault_ask(control, request, answer_health);
}

void api_version(struct control *control, struct http_request *request)
{
	(void)control;
	http_reply(request, 200, json_pack("{s:s,s:s}", "version", OUTBOARD_VERSION, "api", "v1"));
}
