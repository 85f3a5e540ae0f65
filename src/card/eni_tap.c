/* An ENI over a tap: the NIC of a network namespace. The interface is made by the tap helper, and goes with its descriptor. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "card/eni.h"
#include "card/stats_json.h"

static void tap_stopped(struct message *message)
{
	struct eni_device *e = container_of(message, struct eni_device, tap.source.stopped);

	e->tap_served = false;
	eni_front_stopped(e);
}

static void tap_broken(struct message *message)
{
	struct eni_device *e = container_of(message, struct eni_device, tap.source.broken);

	log_warning("ENI %s: tap %s: %s; detach and attach it to serve it again", e->name, e->request.tap,
		    e->tap.source.broken_why);
	eni_broken(e, 0, e->tap.source.broken_why);
}

static void opened(struct tap_opening *opening, int fd, const struct tap_reply *reply)
{
	struct eni_device *e = container_of(opening, struct eni_device, opening);

	if (fd < 0) {
		eni_refuse(e,
			   fd == -EBUSY || fd == -EEXIST ? "conflict"
			   : fd == -ENOENT		 ? "not_found"
			   : fd == -EINVAL		 ? "bad_request"
							 : "internal",
			   reply->message);
		return;
	}
	tap_init(&e->tap, fd, reply->offloads, e->request.mtu, &e->input, e->network->tap_room);
	e->tap.source.stopped.run = tap_stopped;
	e->tap.source.broken.run = tap_broken;
	e->sink = &e->tap.sink;
	eni_made(e);
}

static void front_open(struct eni_device *e)
{
	struct tap_request request = {.mac = e->mac, .mtu = e->request.mtu};
	char error[TAP_ERROR_SIZE];
	int rc = 0;

	e->tap.fd = -1;
	list_init(&e->opening.link);
	e->opening.done = opened;
	memcpy(request.name, e->request.tap, sizeof(request.name));
	memcpy(request.netns, e->request.netns, sizeof(request.netns));
	if (e->network->tap_room == NULL)
		rc = tap_room_create(&e->network->tap_room);
	if (rc == 0)
		rc = tap_client_ask(&e->network->taps, &e->opening, &request);
	if (rc == 0)
		return;
	snprintf(error, sizeof(error), "the helper that makes taps cannot be asked: %s%s", strerror(-rc),
		 rc == -ECONNRESET ? "; it is gone: restart the card" : "");
	eni_refuse(e, "internal", error);
}

static int front_start(struct eni_device *e, char *error, size_t error_size)
{
	(void)error;
	(void)error_size;
	e->tap_served = true;
	poller_add(e->network->poller, &e->tap.source);
	log_info("ENI %s: attached as tap %s%s%s", e->name, e->request.tap, e->request.netns[0] == '\0' ? "" : " of ",
		 e->request.netns);
	eni_set_connected(e, true);
	return 0;
}

static bool front_stop(struct eni_device *e)
{
	tap_client_cancel(&e->opening);
	if (!e->tap_served)
		return true;
	if (!e->tap_stopping)
		poller_remove(e->network->poller, &e->tap.source);
	e->tap_stopping = true;
	return false;
}

static void front_free(struct eni_device *e)
{
	if (e->tap.fd >= 0)
		close(e->tap.fd);
}

static json_t *attached(const struct eni_device *e)
{
	char mac[MAC_TEXT_SIZE];

	mac_format(&e->mac, mac);
	return json_pack("{s:s,s:s}", "tap", e->request.tap, "mac", mac);
}

static bool same(const struct eni_device *e, const struct eni_request *again)
{
	return strcmp(e->request.tap, again->tap) == 0 && strcmp(e->request.netns, again->netns) == 0;
}

static json_t *queues(const struct eni_device *e, bool all)
{
	const struct tap_counters *c = &e->tap.counters;
	json_t *list = json_array();

	(void)all;
	json_array_append_new(list, json_pack("{s:i,s:s,s:b,s:I,s:I,s:I,s:I,s:o}", "index", 0, "direction", "transmit", "served",
					      (int)e->tap_served, "kicks", (json_int_t)STATS_LOAD(e->tap.source.kicks), "packets",
					      (json_int_t)STATS_LOAD(c->packets_in), "bytes", (json_int_t)STATS_LOAD(c->bytes_in),
					      "malformed", (json_int_t)STATS_LOAD(c->malformed), "service_gap_max_ns",
					      stats_ns(STATS_LOAD(e->tap.source.gap_ticks_max))));
	json_array_append_new(list,
			      json_pack("{s:i,s:s,s:b,s:I,s:I,s:I}", "index", 1, "direction", "receive", "served",
					(int)e->tap_served, "packets", (json_int_t)STATS_LOAD(c->packets_out), "bytes",
					(json_int_t)STATS_LOAD(c->bytes_out), "no_buffer", (json_int_t)STATS_LOAD(c->refused)));
	return list;
}

const struct eni_front eni_tap_front = {
	.open = front_open,
	.start = front_start,
	.stop = front_stop,
	.free = front_free,
	.attached = attached,
	.same = same,
	.queues = queues,
};
