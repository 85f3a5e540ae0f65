#include "card/wire_source.h"

#include <string.h>

#include "base/clock.h"

static struct wire_source *wire_of(struct source *source)
{
	return container_of(source, struct wire_source, source);
}

static void expect(struct wire_source *ws, uint64_t now_tsc)
{
	ws->worked_tsc = now_tsc;
	ws->wait_ticks = ws->wait_ticks_min;
}

static struct visit visit(struct source *source, uint64_t now_tsc)
{
	struct wire_source *ws = wire_of(source);
	struct visit v = {.started = ws->wire->ops->receive(ws->wire, ws->input, now_tsc)};

	if (v.started > 0) {
		expect(ws, now_tsc);
		v.more = v.started >= PACKET_BATCH_MAX;
	} else if (source->kick_fd < 0 && now_tsc - ws->worked_tsc > ws->spin_ticks) {
		v.again_tsc = now_tsc + ws->wait_ticks;
		ws->wait_ticks = 2 * ws->wait_ticks < ws->wait_ticks_max ? 2 * ws->wait_ticks : ws->wait_ticks_max;
	}
	return v;
}

static bool arm(struct source *source)
{
	return wire_of(source)->wire->ops->arm(wire_of(source)->wire);
}

static void disarm(struct source *source)
{
	wire_of(source)->wire->ops->disarm(wire_of(source)->wire);
}

static const struct source_ops ops_with_fd = {.visit = visit, .arm = arm, .disarm = disarm};
static const struct source_ops ops_without_fd = {.visit = visit};

void wire_source_init(struct wire_source *ws, struct wire *wire, struct packet_input *input)
{
	memset(ws, 0, sizeof(*ws));
	ws->wire = wire;
	ws->input = input;
	ws->source.kick_fd = wire->ops->wait_fd(wire);
	ws->source.ops = ws->source.kick_fd >= 0 ? &ops_with_fd : &ops_without_fd;
	ws->source.call_fd = ws->source.err_fd = -1;
	ws->spin_ticks = clock_ns_to_tsc(WIRE_SPIN_NS);
	ws->wait_ticks_min = ws->wait_ticks = clock_ns_to_tsc(WIRE_WAIT_MIN_NS);
	ws->wait_ticks_max = clock_ns_to_tsc(WIRE_WAIT_MAX_NS);
}

void wire_source_sent(struct wire_source *ws, uint64_t now_tsc)
{
	uint64_t sent = ws->wire->counters.packets_out;

	if (sent == ws->sent_seen)
		return;
	ws->sent_seen = sent;
	expect(ws, now_tsc);
	source_hurry(&ws->source, now_tsc);
}
