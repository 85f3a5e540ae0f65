/*
 * The reply to "stats": every counter as it stands, monotonic since the card started, so that whoever asks can form rates over
 * any interval. Times in nanoseconds.
 *
 *	{now_ns,
 *	 pollers: [{core, busy_ns, idle_ns, sleep_ns, visit_ns, engine_ns, publish_ns, kick_ns, passes, sleeps,
 *		    service_gap_max_ns, gap_histogram_ns, active, queues}],
 *	 devices: [{volume, volume_id, socket, state, poller (its core), connects, errors, last_error, crypt_bytes, crypt_ns,
 *		    stages,		of the volume: "held" (for its allowance), "backend"
 *		    queues: [{index, served, kicks, kicks_suppressed, calls, errors, unsupported, service_gap_max_ns, stages}]}]}
 *			of a queue: "ring" (until read), "device" (from read to used)
 *	 enis, network: see net_stats.c}
 *	stage: {name, arrivals, departures, bytes, occupancy_ns, wait_ns, wait_ns_max, wait_histogram_ns: [[upper edge, count],
 * ...]}
 */
#include <string.h>

#include "base/clock.h"
#include "card/blk_device.h"
#include "card/stats_json.h"

json_t *stats_ns(uint64_t ticks)
{
	return json_integer((json_int_t)clock_tsc_to_ns(ticks));
}

json_t *stats_histogram(const struct histogram *h)
{
	json_t *buckets = json_array();

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint32_t count = STATS_LOAD(h->count[i]);

		if (count > 0)
			json_array_append_new(buckets, json_pack("[o,I]", stats_ns(histogram_bucket_max(i)), (json_int_t)count));
	}
	return buckets;
}

json_t *stats_stage(const char *name, const struct account *a)
{
	return json_pack("{s:s,s:I,s:I,s:I,s:o,s:o,s:o,s:o}", "name", name, "arrivals", (json_int_t)STATS_LOAD(a->arrivals),
			 "departures", (json_int_t)STATS_LOAD(a->departures), "bytes", (json_int_t)STATS_LOAD(a->bytes),
			 "occupancy_ns", stats_ns(STATS_LOAD(a->occupancy_ticks)), "wait_ns", stats_ns(STATS_LOAD(a->wait_ticks)),
			 "wait_ns_max", stats_ns(STATS_LOAD(a->wait_ticks_max)), "wait_histogram_ns", stats_histogram(&a->wait));
}

static json_t *poller_json(const struct poller *p)
{
	const struct poller_account *a = &p->account;
	json_t *poller = json_pack("{s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "core", p->config.core, "busy_ns",
				   stats_ns(STATS_LOAD(a->busy_ticks)), "idle_ns", stats_ns(STATS_LOAD(a->idle_ticks)), "sleep_ns",
				   stats_ns(STATS_LOAD(a->sleep_ticks)), "visit_ns", stats_ns(STATS_LOAD(a->visit_ticks)),
				   "engine_ns", stats_ns(STATS_LOAD(a->engine_ticks)), "publish_ns",
				   stats_ns(STATS_LOAD(a->publish_ticks)), "kick_ns", stats_ns(STATS_LOAD(a->kick_ticks)));

	json_object_update_new(poller,
			       json_pack("{s:I,s:I,s:o,s:o,s:i,s:i}", "passes", (json_int_t)STATS_LOAD(a->passes), "sleeps",
					 (json_int_t)STATS_LOAD(a->sleeps), "service_gap_max_ns",
					 stats_ns(STATS_LOAD(a->gap_ticks_max)), "gap_histogram_ns", stats_histogram(&a->gap),
					 "active", (int)STATS_LOAD(a->active), "queues", (int)STATS_LOAD(a->sources)));
	return poller;
}

static json_t *queue_json(unsigned index, bool served, const struct virtqueue_accounts *a, uint64_t kicks, uint64_t gap_ticks_max)
{
	return json_pack("{s:i,s:b,s:I,s:I,s:I,s:I,s:I,s:o,s:[o,o]}", "index", (int)index, "served", served, "kicks",
			 (json_int_t)kicks, "kicks_suppressed", (json_int_t)STATS_LOAD(a->kicks_suppressed), "calls",
			 (json_int_t)STATS_LOAD(a->calls_sent), "errors", (json_int_t)STATS_LOAD(a->errors), "unsupported",
			 (json_int_t)STATS_LOAD(a->unsupported), "service_gap_max_ns", stats_ns(gap_ticks_max), "stages",
			 stats_stage("ring", &a->ring), stats_stage("device", &a->device));
}

/* Served queues, and what is kept of those that are gone under the index of the first queue that is not served. */
static json_t *queues_json(const struct device *d, bool all, bool *worked)
{
	json_t *queues = json_array();

	*worked = false;
	for (unsigned i = 0; i < d->vhost.queues_max; i++) {
		const struct blk_queue *q = blk_device_queue(d, i);
		const struct virtqueue_accounts *a = q == NULL ? NULL : virtqueue_accounts(q->vq);

		if (a == NULL || (STATS_LOAD(a->ring.arrivals) == 0 && !all))
			continue;
		*worked |= STATS_LOAD(a->ring.arrivals) > 0;
		json_array_append_new(queues, queue_json(i, true, a, STATS_LOAD(q->queue.source.kicks),
							 STATS_LOAD(q->queue.source.gap_ticks_max)));
	}
	if (d->totals != NULL) {
		*worked = true;
		json_array_append_new(queues, queue_json(DEVICE_QUEUES_MAX, false, d->totals, 0, 0));
	}
	return queues;
}

static const char *state_name(const struct device *d)
{
	switch (d->phase) {
	case DEVICE_WAITING:
		return "waiting";
	case DEVICE_CONNECTED:
		return "connected";
	case DEVICE_CLOSING:
		return "closing";
	default:
		return "opening";
	}
}

static void add_device(json_t *devices, const struct device *d, bool all)
{
	struct volume_stats v = {0};
	json_t *stages = json_array(), *queues;
	bool worked;

	queues = queues_json(d, all, &worked);
	if (!worked && !all) {
		json_decref(queues);
		json_decref(stages);
		return;
	}
	if (d->volume != NULL)
		volume_stats(d->volume, &v);
	if (v.held != NULL)
		json_array_append_new(stages, stats_stage("held", v.held));
	if (v.backend != NULL)
		json_array_append_new(stages, stats_stage("backend", v.backend));
	json_array_append_new(devices, json_pack("{s:s,s:o,s:s,s:s,s:i,s:I,s:I,s:s,s:I,s:o,s:o,s:o}", "volume", d->name,
						 "volume_id", commands_uuid(&d->volume_id), "socket", d->vhost.socket.path, "state",
						 state_name(d), "poller", d->poller->config.core, "connects",
						 (json_int_t)d->vhost.connects, "errors", (json_int_t)v.health.errors, "last_error",
						 v.health.last_error == 0 ? "" : strerror(-v.health.last_error), "crypt_bytes",
						 (json_int_t)v.crypt_bytes, "crypt_ns", stats_ns(v.crypt_ticks), "stages", stages,
						 "queues", queues));
}

json_t *stats_build(struct card *card, bool all)
{
	json_t *pollers = json_array(), *devices = json_array();

	for (unsigned i = 0; i < card->poller_count; i++)
		json_array_append_new(pollers, poller_json(&card->pollers[i]));
	for (unsigned i = 0; i < CARD_BUCKETS; i++)
		list_for_each_safe (node, after, &card->devices[i])
			add_device(devices, list_entry(node, struct device, link), all);
	return json_pack("{s:I,s:o,s:o,s:o,s:o}", "now_ns", (json_int_t)clock_monotonic_ns(), "pollers", pollers, "devices",
			 devices, "enis", net_stats_enis(card, all), "network", net_stats_network(card));
}
