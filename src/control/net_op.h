/*
 * One change of the network that somebody asked for, from its place in the queue to its answer: prepared (what is to be put and
 * deleted), resolved and checked, told to the card, committed.
 */
#ifndef OUTBOARD_CONTROL_NET_OP_H
#define OUTBOARD_CONTROL_NET_OP_H

#include "control/control.h"
#include "control/net_change.h"

struct net_op {
	struct net_job job;
	struct http_request *request;
	enum net_kind kind;
	char name[HTTP_PARAMETER_SIZE]; /* of the object that is answered with; "": none */
	json_t *body;			/* owned, checked */
	/* Fills `change`, within a transaction. 0; -EINVAL with the failure. An empty change is no failure: nothing is to be done. */
	int (*prepare)(struct net_op *op);
	struct net_change change;
	struct failure failure;
	unsigned status;		     /* of the answer */
	json_t *reply;			     /* owned; NULL: the object of that name, or nothing with 204 */
	char what[HTTP_PARAMETER_SIZE + 64]; /* "create subnet \"a\"" */
};

/* `body` is taken; `name` may be NULL. Answers the request, now or later. */
void net_op_start(struct control *control, struct http_request *request, enum net_kind kind, const char *verb, const char *name,
		  json_t *body, int (*prepare)(struct net_op *op));

/* ---- for `prepare` ---- */
int net_op_fail(struct net_op *op, int rc); /* of the store: always -EINVAL */
/* The stored object; -EINVAL: it does not exist, or cannot be read. The caller clears the row. */
int net_op_find(struct net_op *op, struct net_row *row);
/* What is automatic stays as it is in `old` where `object` does not say. */
void net_object_keep(enum net_kind kind, json_t *object, const json_t *old);
/* 0, or -EINVAL: a field differs that cannot be changed. */
int net_object_check_fixed(enum net_kind kind, const json_t *object, const json_t *old, struct failure *failure);

#endif
