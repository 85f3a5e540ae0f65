/*
 * outboard-control: the API, the desired state, and making the card agree with it.
 *
 *	HTTP request -> handler -> store -> card, vault (asynchronous) -> store -> answer
 *
 * One thread runs everything but calls to the vault, which block and have a thread of their own (worker.h). What is
 * asked is written down before the card is told, in a state that says "not finished"; what is found unfinished later, after a
 * crash of anything, is completed or undone (settle.h). So at no point of time does a crash leave something that nobody
 * knows of.
 *
 * The network of VPCs is a part of its own (net.h). One change at a time to a volume: whoever comes second is told so (volume_busy). Keys are changed optimistically: the vault
 * works on a copy, and what changed meanwhile is noticed in the transaction that writes the result.
 */
#ifndef OUTBOARD_CONTROL_CONTROL_H
#define OUTBOARD_CONTROL_CONTROL_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/events.h"
#include "control/http.h"
#include "control/net.h"
#include "control/peer.h"
#include "control/store.h"
#include "control/worker.h"

enum control_limits {
	CARD_TIMEOUT_MS = 5000,
	CARD_ATTACH_TIMEOUT_MS = 10000, /* it may wait for the vault */
	CARD_PING_MS = 3000,
	CARD_PING_TIMEOUT_MS = 5000,
	VAULT_TIMEOUT_MS = 5000,
	VAULT_UNLOCK_TIMEOUT_MS = 30000, /* a passphrase is stretched */
	VAULT_HEALTH_TIMEOUT_MS = 2000,
	NBD_TIMEOUT_MS = 8000,
	HEALTH_FLUSH_MS = 1000,
	SETTLE_RETRY_MIN_MS = 2000,
	SETTLE_RETRY_MAX_MS = 30000,
	SETTLE_PARALLEL_MAX = 64,
	REWRAP_BATCH = 128, /* data keys a job of the worker: others get their turn in between */
};

struct card {
	struct peer peer;
	struct event_timer ping;
	bool up;
	bool asking;			  /* a hello of ours is under way */
	json_t *hello;			  /* what it said last; NULL: nothing yet */
	char incarnation[UUID_TEXT_SIZE]; /* "": never seen */
	int64_t restarts;
};

struct settling {
	struct event_timer retry;
	unsigned retry_ms;
	struct uuid *ids; /* still to be looked at: [next, count) */
	size_t count;
	size_t next;
	unsigned running;
	bool progress; /* something was settled since the list was made */
};

/* Asking the vault how it is, for all who want to know (vault_view.h). */
struct vault_status_job {
	struct job job;
	struct list questions;
	bool running;
	int channel;
	enum vault_error error;
	struct vault_status status;
};

struct control {
	struct events events;
	struct store store;
	struct http *http;
	struct worker worker;
	struct card card;
	struct peer nbd; /* the keeper of NBD servers; channel -1: none */
	int vault_channel;
	struct vault_status_job vault_status;
	const char *state_dir;
	const char *api_socket;
	struct list busy; /* struct busy: volumes that are being changed */
	struct event_timer health_flush;
	struct settling settling;
	struct net net;
	bool stop;
};

/* ---- busy.c: one change at a time to a volume ---- */
struct busy {
	struct list node;
	char name[NAME_SIZE];
};
/* 0, or -EINVAL with the failure: somebody else is at it. */
int busy_take(struct control *control, struct busy *busy, const char *volume, struct failure *failure);
bool busy_is(const struct control *control, const char *volume);
void busy_release(struct busy *busy);

/* ---- card.c ---- */
int card_open(struct control *control, int channel);
void card_close(struct control *control);
bool card_ready(struct control *control, struct failure *failure); /* false: the failure says that it is down */
void card_request(struct control *control, json_t *message, unsigned timeout_ms, peer_done *done, void *context);
/* What went wrong with `what` ("create volume \"x\"") in our words. */
void card_failure(struct failure *failure, const struct peer_answer *answer, const char *what);
json_t *card_volume(const struct volume_row *row); /* the volume object of card/command.h */
json_t *card_rate(const struct volume_row *row);   /* the rate command */
json_t *card_command(const char *op, const struct uuid *volume_id);

/* ---- vault.c ---- */
void vault_view_open(struct control *control, int channel);
void vault_failure(struct failure *failure, enum vault_error error, const char *what);

/* ---- views.c: rows as the API shows them ---- */
json_t *view_time(int64_t seconds);
json_t *view_uuid(const struct uuid *id);
json_t *view_text(const char *text); /* "", and what is cut in the middle of a character, is null */
json_t *view_volume(const struct volume_row *row);
json_t *view_attachment(const struct volume_row *row);
json_t *view_key(const struct key_row *row);

/* ---- handlers ---- */
extern const struct http_route control_routes[];

void api_volume_list(struct control *control, struct http_request *request);
void api_volume_create(struct control *control, struct http_request *request);
void api_volume_show(struct control *control, struct http_request *request);
void api_volume_change(struct control *control, struct http_request *request);
void api_volume_delete(struct control *control, struct http_request *request);
void api_volume_rewrap(struct control *control, struct http_request *request);
void api_volume_export_key(struct control *control, struct http_request *request);
void api_attachment_list(struct control *control, struct http_request *request);
void api_attachment_create(struct control *control, struct http_request *request);
void api_attachment_show(struct control *control, struct http_request *request);
void api_attachment_delete(struct control *control, struct http_request *request);
void api_key_list(struct control *control, struct http_request *request);
void api_key_create(struct control *control, struct http_request *request);
void api_key_show(struct control *control, struct http_request *request);
void api_key_delete(struct control *control, struct http_request *request);
void api_key_rotate(struct control *control, struct http_request *request);
void api_vault_show(struct control *control, struct http_request *request);
void api_vault_unlock(struct control *control, struct http_request *request);
void api_card_list(struct control *control, struct http_request *request);
void api_card_show(struct control *control, struct http_request *request);
void api_card_stats(struct control *control, struct http_request *request);
void api_health(struct control *control, struct http_request *request);
void api_metrics(struct control *control, struct http_request *request);
void api_version(struct control *control, struct http_request *request);

/* Answers for a failure of the store to do `what`. */
void fail_store(struct http_request *request, int rc, const char *what);
/* The volume of the "{name}" segment; false: the request was answered (404, 409 while it is created). The caller clears the row. */
bool find_volume(struct control *control, struct http_request *request, const char *name, struct volume_row *row);
int64_t now_s(void);

#endif
