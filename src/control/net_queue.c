#include "control/net.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/control.h"
#include "control/store_net.h"

/* ---- jobs ---- */

/* What is wanted of the card itself goes before what people ask for. */
static struct net_job *next_job(struct control *control)
{
	struct net *net = &control->net;
	struct net_job *job;

	if ((net->push.wanted || net->push.attaching) && control->card.up)
		return &net->push.job;
	if (list_empty(&net->jobs))
		return NULL;
	job = list_entry(net->jobs.next, struct net_job, node);
	list_del(&job->node);
	net->job_count--;
	return job;
}

void net_turn(struct control *control)
{
	struct net *net = &control->net;

	if (net->turning) /* a job that ended at once: the loop below goes on */
		return;
	net->turning = true;
	while (net->running == NULL && (net->running = next_job(control)) != NULL)
		net->running->start(net->running);
	net->turning = false;
}

int net_job_add(struct control *control, struct net_job *job, struct failure *failure)
{
	struct net *net = &control->net;

	if (net->job_count >= NET_JOBS_MAX)
		return failure_set(failure, ERROR_BUSY, "%d changes of the network wait for their turn already; try again.",
				   NET_JOBS_MAX);
	job->control = control;
	list_add_tail(&net->jobs, &job->node);
	net->job_count++;
	net_turn(control);
	return 0;
}

void net_job_done(struct net_job *job)
{
	struct control *control = job->control;

	control->net.running = NULL;
	net_turn(control);
}

/* ---- requests ---- */

struct net_call {
	struct list node;
	struct control *control;
	bool apply;
	peer_done *done; /* NULL: it was answered for a card that is gone */
	void *context;
};

static void end_call(struct net_call *call, const struct peer_answer *answer)
{
	peer_done *done = call->done;

	call->done = NULL;
	call->control->net.applying -= call->apply;
	done(call->context, answer);
}

static void answered(void *context, const struct peer_answer *answer)
{
	struct net_call *call = context;

	list_del(&call->node);
	if (call->done != NULL)
		end_call(call, answer);
	free(call);
}

void net_request(struct control *control, json_t *message, unsigned timeout_ms, peer_done *done, void *context)
{
	struct net_call *call = malloc(sizeof(*call));
	const char *op = json_string_value(json_object_get(message, "op"));

	if (call == NULL) {
		log_error("out of memory: a request is lost");
		abort(); /* as peer_request() */
	}
	*call = (struct net_call){
		.control = control, .apply = op != NULL && strcmp(op, "net_apply") == 0, .done = done, .context = context};
	list_add_tail(&control->net.calls, &call->node);
	control->net.applying += call->apply;
	card_request(control, message, timeout_ms, answered, call);
}

/* Their answers, should they still come, free them. */
static void forget_calls(struct net *net)
{
	struct list now;

	list_init(&now); /* what `done` does may add calls, to the new card */
	list_for_each_safe (node, after, &net->calls) {
		list_del(node);
		list_add_tail(&now, node);
	}
	while (!list_empty(&now)) {
		struct net_call *call = list_entry(now.next, struct net_call, node);

		list_del(&call->node);
		list_add_tail(&net->late, &call->node);
		end_call(call, &(struct peer_answer){.outcome = PEER_GONE});
	}
}

void net_card_up(struct control *control, bool same_card)
{
	struct net *net = &control->net;

	net->turning = true; /* nothing is started before what was under way has ended */
	if (!same_card) {
		store_net_live_all_pending(&control->store, "It is being attached again to a card that was restarted.");
		forget_calls(net);
	}
	net->turning = false;
	net_push_soon(control);
}

void net_open(struct control *control)
{
	struct net *net = &control->net;

	*net = (struct net){0};
	list_init(&net->jobs);
	list_init(&net->calls);
	list_init(&net->late);
	net_push_init(control);
}

static void free_calls(struct list *calls)
{
	list_for_each_safe (node, after, calls)
		free(list_entry(node, struct net_call, node));
}

void net_close(struct control *control)
{
	free_calls(&control->net.calls);
	free_calls(&control->net.late);
	net_push_clear(control);
}
