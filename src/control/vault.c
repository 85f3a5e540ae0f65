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

static void status_run(struct job *job)
{
	struct vault_question *q = container_of(job, struct vault_question, job);

	q->error = vault_status(q->control->vault_channel, &q->status, VAULT_HEALTH_TIMEOUT_MS);
}

static void status_done(struct job *job)
{
	struct vault_question *q = container_of(job, struct vault_question, job);

	q->answer(q);
	free(q);
}

void vault_ask(struct control *control, struct http_request *request, void (*answer)(struct vault_question *question))
{
	struct vault_question *q = calloc(1, sizeof(*q));

	if (q == NULL) {
		fail_store(request, -ENOMEM, "ask the vault");
		return;
	}
	*q = (struct vault_question){
		.job = {.run = status_run, .done = status_done}, .control = control, .request = request, .answer = answer};
	if (worker_submit(&control->worker, &q->job) == 0)
		return;
	q->error = VAULT_UNAVAILABLE; /* it has been silent for so long that no more questions fit */
	status_done(&q->job);
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

	u->error = vault_unlock(u->control->vault_channel, u->sealed, u->size, VAULT_UNLOCK_TIMEOUT_MS);
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
