/*
 * Making the card agree with the store: everything in one net_apply, then each attachment. What is unfinished of attachments when a
 * card comes (asked for and not confirmed, or being undone) is detached and forgotten, as with volumes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/control.h"
#include "control/net_attach.h"
#include "control/net_change.h"
#include "control/settle.h"

static struct control *control_of(struct net_push *push)
{
	return container_of(container_of(push, struct net, push), struct control, net);
}

/* ---- when ---- */

static void retry_later(struct net_push *push)
{
	event_timer_set(&control_of(push)->events, &push->retry, push->retry_ms);
	push->retry_ms = 2 * push->retry_ms > SETTLE_RETRY_MAX_MS ? SETTLE_RETRY_MAX_MS : 2 * push->retry_ms;
}

static void retry_due(struct event_timer *timer)
{
	struct net_push *push = container_of(timer, struct net_push, retry);
	struct control *control = control_of(push);

	push->attaching = true;
	push->wanted = !control->net.in_sync;
	net_turn(control);
}

void net_push_soon(struct control *control)
{
	struct net *net = &control->net;

	net->in_sync = false;
	net->push.wanted = net->push.attaching = true;
	net->push.retry_ms = SETTLE_RETRY_MIN_MS;
	net_turn(control);
}

void net_attach_soon(struct control *control)
{
	control->net.push.retry_ms = SETTLE_RETRY_MIN_MS;
	event_timer_set(&control->events, &control->net.push.retry, 0);
}

void net_card_down(struct control *control)
{
	control->net.in_sync = false;
	store_net_live_all_pending(&control->store, "The card is not running; it is attached again as soon as it is.");
}

json_t *net_health(const struct control *control)
{
	const struct net *net = &control->net;
	const char *state = net->refused[0] != '\0' ? "refused" : net->in_sync ? "ok" : "pending";
	json_t *message = net->refused[0] == '\0' ? NULL : json_string(net->refused);

	return json_pack("{s:s,s:o}", "state", state, "message", message == NULL ? json_null() : message);
}

/* ---- attachments ---- */

struct step {
	struct list node;
	struct net_attach_call call;
	struct net_push *push;
};

static void run_steps(struct net_push *push);

static void step_end(struct step *step, bool failed)
{
	struct net_push *push = step->push;

	push->failed |= failed;
	push->running--;
	free(step);
	run_steps(push);
}

static void attached(struct net_attach_call *call)
{
	struct step *step = container_of(call, struct step, call);
	struct store *store = &call->control->store;
	struct net_attachment_row now;
	bool failed = call->failure.code != ERROR_NONE;

	if (failed) {
		log_warning("%s", call->failure.message);
		store_net_live_set(store, &call->row.eni, "pending", call->failure.message);
	} else if (store_net_attachment_get(store, &call->row.eni, &now) == 0 && strcmp(now.state, "connected") != 0) {
		store_net_live_set(store, &call->row.eni, "waiting", NULL); /* unless a VMM was faster than the card's reply */
	}
	step_end(step, failed);
}

static void detached(struct net_attach_call *call)
{
	struct step *step = container_of(call, struct step, call);
	bool failed = call->failure.code != ERROR_NONE || store_net_attachment_delete(&call->control->store, &call->row.eni) < 0;

	if (failed)
		log_warning("ENI \"%s\" is not detached yet: %s", call->row.name, call->failure.message);
	step_end(step, failed);
}

static void run_steps(struct net_push *push)
{
	while (!list_empty(&push->steps) && push->running < NET_ATTACH_PARALLEL_MAX) {
		struct step *step = list_entry(push->steps.next, struct step, node);

		list_del(&step->node);
		push->running++;
		if (step->call.row.phase == ATTACHMENT_ATTACHED) {
			step->call.done = attached;
			net_attach_start(&step->call);
		} else {
			step->call.done = detached;
			net_detach_start(&step->call);
		}
	}
	if (push->running > 0)
		return;
	if (push->failed)
		retry_later(push);
	else
		push->retry_ms = SETTLE_RETRY_MIN_MS;
	net_job_done(&push->job);
}

static int add_step(void *context, const struct net_attachment_row *row)
{
	struct net_push *push = context;
	struct step *step;

	if (!push->all && row->phase == ATTACHMENT_ATTACHED && strcmp(row->state, "pending") != 0)
		return 0;
	step = calloc(1, sizeof(*step));
	if (step == NULL)
		return -ENOMEM;
	step->push = push;
	step->call.control = control_of(push);
	step->call.row = *row;
	list_add_tail(&push->steps, &step->node);
	return 0;
}

static void attach(struct net_push *push, bool all)
{
	struct control *control = control_of(push);

	push->attaching = false;
	push->all = all;
	push->failed = store_net_attachment_each(&control->store, add_step, push) < 0;
	run_steps(push);
}

/* ---- objects ---- */

static void refused(struct net_push *push, const struct failure *failure)
{
	struct control *control = control_of(push);
	char reason[FAILURE_MESSAGE_SIZE];

	log_error("%s", failure->message);
	snprintf(control->net.refused, sizeof(control->net.refused), "%s", failure->message);
	snprintf(reason, sizeof(reason), "The card does not take the network: %.900s", failure->message);
	store_net_live_all_pending(&control->store, reason);
	push->attaching = false; /* until something is changed */
	net_job_done(&push->job);
}

static void pushed(void *context, const struct peer_answer *answer)
{
	struct net_push *push = context;
	struct control *control = control_of(push);
	struct failure failure;

	if (answer->outcome == PEER_OK) {
		control->net.in_sync = true;
		control->net.refused[0] = '\0';
		attach(push, true);
		return;
	}
	net_failure(control, &failure, answer, "give the card the network");
	if (answer->outcome == PEER_REFUSED) {
		refused(push, &failure);
		return;
	}
	log_warning("%s", failure.message);
	retry_later(push);
	net_job_done(&push->job);
}

static int add_object(void *context, struct net_row *row)
{
	json_t *object = net_object_of(row);

	if (object == NULL)
		return -EUCLEAN;
	return net_change_put(context, row->kind, object, row) == NULL ? -ENOMEM : 0;
}

static void push_all(struct net_push *push)
{
	struct control *control = control_of(push);
	struct net_change change;
	struct failure failure = {0};
	json_t *message = NULL;
	int rc;

	net_change_open(&change, &control->store);
	rc = store_net_each(&control->store, NET_KIND_COUNT, true, add_object, &change);
	if (rc < 0)
		store_failure(&failure, rc, "read the network");
	else if (net_change_describe(&change, &failure) == 0)
		message = net_change_message(&change, true);
	net_change_close(&change);
	if (message != NULL)
		net_request(control, message, NET_APPLY_TIMEOUT_MS, pushed, push);
	else
		refused(push, &failure);
}

static void start(struct net_job *job)
{
	struct net_push *push = container_of(job, struct net_push, job);

	event_timer_cancel(&push->retry);
	if (push->wanted) {
		push->wanted = false;
		push_all(push);
	} else if (control_of(push)->net.in_sync) {
		attach(push, false);
	} else {
		push->attaching = false;
		net_job_done(job);
	}
}

void net_push_init(struct control *control)
{
	struct net_push *push = &control->net.push;

	push->job = (struct net_job){.control = control, .start = start};
	push->retry_ms = SETTLE_RETRY_MIN_MS;
	list_init(&push->job.node);
	list_init(&push->steps);
	event_timer_init(&push->retry, retry_due);
}

void net_push_clear(struct control *control)
{
	struct net_push *push = &control->net.push;

	event_timer_cancel(&push->retry);
	list_for_each_safe (node, after, &push->steps)
		free(list_entry(node, struct step, node));
}
