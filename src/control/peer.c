#include "control/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "card/command.h"

struct call {
	struct list node;
	int64_t id;
	json_t *message; /* NULL once sent */
	bool failed;	 /* could not be sent */
	uint64_t deadline_ns;
	peer_done *done;
	void *context;
};

static void finish(struct call *call, const struct peer_answer *answer)
{
	list_del(&call->node);
	json_decref(call->message);
	call->done(call->context, answer);
	free(call);
}

static void schedule(struct peer *peer)
{
	uint64_t now_ns = clock_monotonic_ns(), first_ns = UINT64_MAX;

	list_for_each_safe (node, after, &peer->calls) {
		struct call *call = list_entry(node, struct call, node);
		uint64_t due_ns = call->failed || peer->channel < 0 ? now_ns : call->deadline_ns;

		if (due_ns < first_ns)
			first_ns = due_ns;
	}
	if (first_ns == UINT64_MAX)
		event_timer_cancel(&peer->timer);
	else
		event_timer_set(peer->events, &peer->timer,
				first_ns <= now_ns ? 0 : (unsigned)((first_ns - now_ns) / 1000000u + 1));
}

/* ---- out ---- */

static void want_output(struct peer *peer, bool wanted)
{
	if (peer->output_full == wanted || peer->channel < 0)
		return;
	peer->output_full = wanted;
	events_change(peer->events, &peer->watch, EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0));
}

/* In order: detach must not overtake the attach that it takes back. */
static void send_waiting(struct peer *peer)
{
	list_for_each_safe (node, after, &peer->calls) {
		struct call *call = list_entry(node, struct call, node);
		int rc;

		if (call->message == NULL || call->failed || peer->channel < 0)
			continue;
		rc = command_send(peer->channel, call->message);
		if (rc == -EAGAIN) {
			want_output(peer, true);
			return;
		}
		if (rc < 0) {
			log_warning("a request could not be sent: %s", strerror(-rc));
			call->failed = true;
			continue;
		}
		json_decref(call->message);
		call->message = NULL;
	}
	want_output(peer, false);
}

void peer_request(struct peer *peer, json_t *message, unsigned timeout_ms, peer_done *done, void *context)
{
	struct call *call = calloc(1, sizeof(*call));

	if (call == NULL) {
		log_error("out of memory: a request is lost");
		abort(); /* somebody would wait for ever; the chassis starts us anew */
	}
	*call = (struct call){.id = ++peer->id_last,
			      .message = message,
			      .failed = message == NULL,
			      .deadline_ns = clock_monotonic_ns() + timeout_ms * 1000000ull,
			      .done = done,
			      .context = context};
	if (message != NULL)
		json_object_set_new(message, "id", json_integer(call->id));
	list_add_tail(&peer->calls, &call->node);
	if (!peer->output_full)
		send_waiting(peer);
	schedule(peer);
}

static void timer_due(struct event_timer *timer)
{
	struct peer *peer = container_of(timer, struct peer, timer);
	uint64_t now_ns = clock_monotonic_ns();
	struct list due;

	/* What `done` does may add calls, and open or close anything: take those that are due out first. */
	list_init(&due);
	list_for_each_safe (node, after, &peer->calls) {
		struct call *call = list_entry(node, struct call, node);

		if (call->failed || peer->channel < 0 || call->deadline_ns <= now_ns) {
			list_del(node);
			list_add_tail(&due, node);
		}
	}
	while (!list_empty(&due)) {
		struct call *call = list_entry(due.next, struct call, node);
		bool gone = call->failed || peer->channel < 0;

		finish(call, &(struct peer_answer){.outcome = gone ? PEER_GONE : PEER_TIMEOUT});
	}
	schedule(peer);
}

/* ---- in ---- */

static void handle_reply(struct peer *peer, const json_t *reply)
{
	const json_t *id = json_object_get(reply, "id"), *error = json_object_get(reply, "error");
	struct peer_answer answer = {.outcome = PEER_OK, .reply = reply};

	if (!json_is_true(json_object_get(reply, "ok"))) {
		answer.outcome = PEER_REFUSED;
		answer.code = json_string_value(json_object_get(error, "code"));
		answer.message = json_string_value(json_object_get(error, "message"));
		answer.culprit = json_string_value(json_object_get(error, "culprit"));
		answer.code = answer.code == NULL ? "internal" : answer.code;
		answer.message = answer.message == NULL ? "no reason given" : answer.message;
	}
	list_for_each_safe (node, after, &peer->calls) {
		struct call *call = list_entry(node, struct call, node);

		if (!json_is_integer(id) || call->id != json_integer_value(id))
			continue;
		finish(call, &answer);
		schedule(peer);
		return;
	}
	log_debug("a reply came too late");
}

static void handle(struct peer *peer, const json_t *message)
{
	const char *name = json_string_value(json_object_get(message, "event"));

	if (peer->heard != NULL)
		peer->heard(peer);
	if (name == NULL)
		handle_reply(peer, message);
	else if (peer->event != NULL)
		peer->event(peer, name, message);
}

static void lose(struct peer *peer)
{
	events_remove(peer->events, &peer->watch);
	close(peer->channel);
	peer->channel = -1;
	schedule(peer);
	if (peer->gone != NULL)
		peer->gone(peer);
}

static void channel_ready(struct event_watch *watch, uint32_t epoll_events)
{
	struct peer *peer = container_of(watch, struct peer, watch);
	json_t *message;
	int rc;

	if (epoll_events & EPOLLOUT)
		send_waiting(peer);
	if ((epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || peer->channel < 0)
		return;
	rc = command_receive(peer->channel, &message);
	if (rc == 0) {
		handle(peer, message);
		json_decref(message);
	} else if (rc == -ECONNRESET || rc == -EPIPE || rc == -ENOTCONN) {
		lose(peer);
	} else if (rc != -EAGAIN) {
		log_warning("a message that makes no sense was dropped: %s", strerror(-rc));
	}
}

int peer_open(struct peer *peer, int channel, struct events *events)
{
	uint32_t start;
	int flags = fcntl(channel, F_GETFL);

	if (flags < 0 || fcntl(channel, F_SETFL, flags | O_NONBLOCK) != 0)
		return -errno;
	if (getrandom(&start, sizeof(start), 0) != sizeof(start))
		return -EIO;
	peer->events = events;
	peer->channel = channel;
	peer->id_last = (int64_t)start << 20; /* below 2^53: exact in any JSON implementation */
	peer->output_full = false;
	peer->watch = (struct event_watch){.fd = -1, .ready = channel_ready};
	list_init(&peer->calls);
	event_timer_init(&peer->timer, timer_due);
	return events_add(events, &peer->watch, channel, EPOLLIN);
}

void peer_close(struct peer *peer)
{
	events_remove(peer->events, &peer->watch);
	event_timer_cancel(&peer->timer);
	list_for_each_safe (node, after, &peer->calls) {
		struct call *call = list_entry(node, struct call, node);

		list_del(node);
		json_decref(call->message);
		free(call);
	}
	if (peer->channel >= 0)
		close(peer->channel);
	peer->channel = -1;
}
