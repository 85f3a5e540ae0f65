/*
 * The network's part of control: one change at a time.
 *
 * Whatever touches the network at the card is a job in one queue: a change that somebody asked for, an ENI that is attached or
 * detached, and the push of everything to a card that is new. So the store and the card cannot disagree about the order of things,
 * and a change is judged against exactly what the card has.
 *
 *	in sync		a change is checked here, then told to the card, which checks everything against everything, then committed.
 *			What the card refuses has not happened.
 *	not in sync	the card is down, or has refused what is stored: a change is checked here and stored; as soon as there is a
 *			card everything is pushed to it. Its refusal is shown by /healthz.
 *
 * A card that says hello gets everything (net_apply with reset), then the attachments. When control dies between the card's answer
 * and the commit, the push of its successor makes the card forget; when the commit fails, a push does.
 */
#ifndef OUTBOARD_CONTROL_NET_H
#define OUTBOARD_CONTROL_NET_H

#include <jansson.h>
#include <stdbool.h>

#include "base/events.h"
#include "control/error.h"
#include "control/net_kinds.h"
#include "control/peer.h"

enum {
	NET_JOBS_MAX = 64,
	NET_APPLY_TIMEOUT_MS = 60000,
	NET_PROBE_TIMEOUT_MS = 5000,
	NET_LOAD_BODY_MAX_BYTES = 192 << 20,
	NET_ATTACH_PARALLEL_MAX = 64,
};

struct control;
struct http_request;

/* Embedded by whoever waits for his turn. */
struct net_job {
	struct list node;
	struct control *control;
	void (*start)(struct net_job *job); /* ends with net_job_done(), now or later */
};

/* Pushing everything, and attaching what should be attached. */
struct net_push {
	struct net_job job;
	bool wanted;	/* of the objects */
	bool attaching; /* of the attachments */
	struct event_timer retry;
	unsigned retry_ms;
	struct list steps; /* attachments still to be told */
	unsigned running;
	bool all; /* also those that the card was told of before: it may have forgotten */
	bool failed;
};

struct net {
	struct list jobs;
	unsigned job_count;
	struct net_job *running;
	bool turning;	   /* jobs are being started */
	struct list late;  /* those that nobody waits for any more */
	struct list calls; /* to the card, whose answers somebody waits for */
	unsigned applying; /* net_apply under way: the card may be busy for longer than a ping waits */
	bool in_sync;
	char refused[FAILURE_MESSAGE_SIZE]; /* why the card does not take what is stored; "": it does, or was not asked */
	struct net_push push;
};

/* ---- net_queue.c ---- */
void net_open(struct control *control);
void net_close(struct control *control);
int net_job_add(struct control *control, struct net_job *job, struct failure *failure); /* -EINVAL: too many wait */
void net_job_done(struct net_job *job);							/* the job is not touched any more */
void net_turn(struct control *control);							/* starts what can be started */

/* A request to the card whose answer is not waited for when another card says hello: that is PEER_GONE. */
void net_request(struct control *control, json_t *message, unsigned timeout_ms, peer_done *done, void *context);

/* ---- net_push.c ---- */
void net_card_up(struct control *control, bool same_card);
void net_card_down(struct control *control);
void net_push_soon(struct control *control);   /* the card may have something else than the store */
void net_attach_soon(struct control *control); /* attachments are unfinished */
void net_push_init(struct control *control);
void net_push_clear(struct control *control);
json_t *net_health(const struct control *control); /* of /healthz */

/* ---- net_event.c: what the card tells ---- */
/* False: it is about something else. */
bool net_event(struct control *control, const char *name, const json_t *event);
void net_take_states(struct control *control, const json_t *stats); /* of the ENIs among the counters */

/* The card's refusal in our words: ids become names, and who is to blame is named. */
void net_failure(struct control *control, struct failure *failure, const struct peer_answer *answer, const char *what);

/* ---- handlers; which kind is the route's ---- */
void api_net_list(struct control *control, struct http_request *request);
void api_net_create(struct control *control, struct http_request *request);
void api_net_show(struct control *control, struct http_request *request);
void api_net_change(struct control *control, struct http_request *request);
void api_net_delete(struct control *control, struct http_request *request);
void api_net_items(struct control *control, struct http_request *request);
void api_net_load(struct control *control, struct http_request *request);
void api_net_attachment_show(struct control *control, struct http_request *request);
void api_net_attachment_create(struct control *control, struct http_request *request);
void api_net_attachment_delete(struct control *control, struct http_request *request);
void api_net_stats(struct control *control, struct http_request *request);
void api_net_trace(struct control *control, struct http_request *request);
void api_net_capture(struct control *control, struct http_request *request);
void api_net_flow_log(struct control *control, struct http_request *request);

#endif
