/*
 * Asynchronous requests over a command channel (card/command.h): to the card, and to our own NBD server keeper. Replies are matched
 * by id and may come in any order; events that arrive meanwhile are handed on at once. Ids start at a random place, so that a reply
 * to a predecessor of this process is never taken for one to us.
 *
 * `done` is called exactly once for every request, never from within peer_request().
 */
#ifndef OUTBOARD_CONTROL_PEER_H
#define OUTBOARD_CONTROL_PEER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/events.h"

enum peer_outcome {
	PEER_OK,
	PEER_REFUSED, /* `code` and `message` say why */
	PEER_TIMEOUT, /* no answer in time: it may still be done */
	PEER_GONE,    /* the channel is closed, or the request could not be sent */
};

struct peer_answer {
	enum peer_outcome outcome;
	const json_t *reply; /* PEER_OK; only during the call */
	const char *code;    /* PEER_REFUSED */
	const char *message;
	const char *culprit; /* the id of whom the refusal is about; NULL: of nobody in particular */
};

typedef void peer_done(void *context, const struct peer_answer *answer);

struct peer {
	struct events *events;
	struct event_watch watch;
	int channel;	   /* -1: gone */
	struct list calls; /* in the order in which they are sent */
	struct event_timer timer;
	int64_t id_last;
	bool output_full; /* waits for EPOLLOUT */
	void (*event)(struct peer *peer, const char *name, const json_t *event);
	void (*heard)(struct peer *peer); /* anything arrived */
	void (*gone)(struct peer *peer);  /* the other end was closed; after the calls have ended */
};

/* `channel` is taken over and made non-blocking. Callbacks are set by the caller before. */
int peer_open(struct peer *peer, int channel, struct events *events);
void peer_close(struct peer *peer); /* calls that wait are dropped without a word */

/* `message` is taken; its id is set here. */
void peer_request(struct peer *peer, json_t *message, unsigned timeout_ms, peer_done *done, void *context);

#endif
