/* The vault, as seen from here: its state, and the passphrase on its way to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "control/control.h"
#include "control/settle.h"
#include "control/vault_view.h"

void vault_failure(struct failure *failure, enum vault_error error, const char *what)
{
	enum api_error code = ERROR_INTERNAL;

	switch (error) {
	case VAULT_LOCKED:
		code = ERROR_VAULT_LOCKED;
		break;
	case VAULT_WRONG_PASSPHRASE:
	case VAULT_TOO_MANY_ATTEMPTS:
		code = ERROR_WRONG_PASSPHRASE;
		break;
	case VAULT_TAMPERED:
	case VAULT_FORBIDDEN:
		code = ERROR_KEY_REFUSED;
		break;
	case VAULT_UNAVAILABLE:
		code = ERROR_VAULT_UNAVAILABLE;
		break;
	default:
		break;
	}
	failure_set(failure, code, "Cannot %s: %s.", what, vault_error_text(error));
}

const char *vault_state_name(enum vault_error error, const struct vault_status *status)
{
	return error != VAULT_OK ? "down" : status->unlocked ? "unlocked" : "locked";
}

/* ---- asking for the status, then answering whatever was asked ---- */

/* One question to the vault at a time: whoever asks meanwhile waits for the same answer, so that a vault that is silent costs all
 * of them one timeout, not one each after the other. */
static void status_run(struct job *job)
{
	struct vault_status_job *s = container_of(job, struct vault_status_job, job);

	s->error = vault_status(s->channel, &s->status, VAULT_HEALTH_TIMEOUT_MS);
}

static void answer_all(struct vault_status_job *s)
{
	s->running = false;
	while (!list_empty(&s->questions)) {
		struct vault_question *q = list_entry(s->questions.next, struct vault_question, node);

		list_del(&q->node);
		q->error = s->error;
		q->status = s->status;
		q->answer(q);
		free(q);
	}
}

static void status_done(struct job *job)
{
	answer_all(container_of(job, struct vault_status_job, job));
}

void vault_view_open(struct control *control, int channel)
{
	control->vault_channel = channel;
	control->vault_status = (struct vault_status_job){.job = {.run = status_run, .done = status_done}, .channel = channel};
	list_init(&control->vault_status.questions);
}

void vault_ask(struct control *control, struct http_request *request, void (*answer)(struct vault_question *question))
{
	struct vault_status_job *s = &control->vault_status;
	struct vault_question *q = calloc(1, sizeof(*q));

	if (q == NULL) {
		fail_store(request, -ENOMEM, "ask the vault");
		return;
	}
	*q = (struct vault_question){.control = control, .request = request, .answer = answer};
	list_add_tail(&s->questions, &q->node);
	if (s->running)
		return;
	s->running = worker_submit(&control->worker, &s->job) == 0;
	if (s->running)
		return;
	s->error = VAULT_UNAVAILABLE; /* it has been silent for so long that no more questions fit */
	answer_all(s);
}

static void answer_vault(struct vault_question *q)
{
	char key[2 * VAULT_PUBLIC_KEY_BYTES + 1];

	if (q->error != VAULT_OK) {
		http_reply(q->request, 200,
			   json_pack("{s:s,s:n,s:n,s:n,s:n}", "state", "down", "root", "public_key", "memory", "export_allowed"));
		return;
	}
	hex_format(q->status.public_key, VAULT_PUBLIC_KEY_BYTES, key);
	q->status.memory_kind[sizeof(q->status.memory_kind) - 1] = '\0';
	http_reply(q->request, 200,
		   json_pack("{s:s,s:s,s:s,s:s,s:b}", "state", vault_state_name(q->error, &q->status), "root",
			     q->status.root_kind == 0 ? "file" : "passphrase", "public_key", key, "memory", q->status.memory_kind,
			     "export_allowed", (int)q->status.export_allowed));
}

void api_vault_show(struct control *control, struct http_request *request)
{
	vault_ask(control, request, answer_vault);
}

/* ---- unlock ---- */

struct unlocking {
	struct job job;
	struct control *control;
	struct http_request *request;
	uint8_t sealed[SEALED_MAX_BYTES];
	size_t size;
	enum vault_error error;
};

static void unlock_run(struct job *job)
{
	struct unlocking *u = container_of(job, struct unlocking, job);

	u->error = vault_unlock(u->control->vault_channel, u->sealed, u->size, worker_time_left_ms(job, VAULT_UNLOCK_TIMEOUT_MS));
}

static void unlock_done(struct job *job)
{
	struct unlocking *u = container_of(job, struct unlocking, job);
	struct failure failure;

	if (u->error == VAULT_OK) {
		settle_soon(u->control); /* what waited for it */
		vault_ask(u->control, u->request, answer_vault);
	} else {
		vault_failure(&failure, u->error, "unlock the vault");
		http_fail(u->request, &failure);
	}
	free(u);
}

void api_vault_unlock(struct control *control, struct http_request *request)
{
	struct failure failure;
	struct unlocking *u;
	struct unlock b;

	if (body_unlock(http_body(request), &b, &failure) < 0) {
		http_fail(request, &failure);
		return;
	}
	u = calloc(1, sizeof(*u));
	if (u == NULL) {
		fail_store(request, -ENOMEM, "unlock the vault");
		return;
	}
	u->job = (struct job){.run = unlock_run, .done = unlock_done};
	u->control = control;
	u->request = request;
	hex_parse(b.sealed, u->sealed, sizeof(u->sealed), &u->size);
	if (worker_submit(&control->worker, &u->job) == 0)
		return;
	failure_set(&failure, ERROR_BUSY, "Cannot unlock the vault: too many requests wait for it. Try again.");
	http_fail(request, &failure);
	free(u);
}
