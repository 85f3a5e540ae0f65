#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "card/device.h"

enum { HEALTH_EVENT_INTERVAL_NS = 1000000000 };

static const char *op_name(uint8_t op)
{
	static const char *const names[] = {"read", "write", "flush", "discard", "write zeroes", "secure erase"};

	return op < sizeof(names) / sizeof(names[0]) ? names[op] : "request";
}

static void check(struct device *d, uint64_t now_ns)
{
	struct volume_stats stats;

	if (d->volume == NULL)
		return;
	volume_stats(d->volume, &stats);
	if (stats.health.errors == d->errors_seen || now_ns - d->error_told_ns < HEALTH_EVENT_INTERVAL_NS)
		return;
	log_warning("volume %s: %s at byte %llu failed: %s (%llu failures since it was attached); the guest was told", d->name,
		    op_name(stats.health.last_error_op), (unsigned long long)stats.health.last_error_offset_bytes,
		    strerror(-stats.health.last_error), (unsigned long long)stats.health.errors);
	commands_event(d->card, "volume_error",
		       json_pack("{s:o,s:s,s:s,s:I,s:I,s:s}", "volume_id", commands_uuid(&d->volume_id), "op",
				 op_name(stats.health.last_error_op), "error", strerrorname_np(-stats.health.last_error),
				 "offset_bytes", (json_int_t)stats.health.last_error_offset_bytes, "errors",
				 (json_int_t)stats.health.errors, "message", strerror(-stats.health.last_error)));
	d->errors_seen = stats.health.errors;
	d->error_told_ns = now_ns;
}

void health_tick(struct card *card)
{
	uint64_t now_ns = clock_monotonic_ns();

	for (unsigned i = 0; i < CARD_BUCKETS; i++)
		list_for_each_safe (node, after, &card->devices[i])
			check(list_entry(node, struct device, link), now_ns);
}
