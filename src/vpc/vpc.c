/* The pipeline's life: what is attached, what policy it has. pipeline.h says how it works. */
#include "vpc/vpc.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vpc/pipeline.h"

int vpc_create(struct vpc **out, const struct vpc_config *config)
{
	struct vpc *vpc = calloc(1, sizeof(*vpc));
	uint32_t fragments;
	int rc = -ENOMEM;

	assert(config->ticks_per_second >= 1000);
	if (vpc == NULL)
		return -ENOMEM;
	vpc->config = *config;
	vpc->policy_stamp = vpc->path_stamp = 1;
	vpc->ms_per_tick_q64 = (uint64_t)(((unsigned __int128)1000 << 64) / config->ticks_per_second);
	meter_set(&vpc->echoes, ERRORS_PER_S, ERRORS_PER_S / 8, config->ticks_per_second, 0);
	/* Untouched pages of these cost nothing: a slot is a pointer, whether there are ten or ten thousand. */
	vpc->endpoints = calloc(ENDPOINTS_MAX, sizeof(struct endpoint *));
	vpc->paths = calloc(HOSTS_MAX, sizeof(struct host_path *));
	if (vpc->endpoints == NULL || vpc->paths == NULL)
		goto fail;
	rc = flow_table_open(&vpc->flows, config->flows_max, config->flow_arena_fd, config->huge);
	if (rc != 0)
		goto fail;
	fragments = config->flows_max / FRAGMENT_SHARE;
	fragments = fragments < FRAGMENTS_MIN ? FRAGMENTS_MIN : fragments > FRAGMENTS_MAX ? FRAGMENTS_MAX : fragments;
	rc = fragment_table_open(&vpc->fragments, fragments, fragments / FRAGMENT_ENDPOINT_SHARE);
	if (rc != 0)
		goto fail;
	rc = underlay_open(&vpc->underlay);
	if (rc != 0)
		goto fail;
	vpc->counters.flows_max = flow_table_max(vpc->flows);
	*out = vpc;
	return 0;
fail:
	vpc_free(vpc);
	return rc;
}

void vpc_free(struct vpc *vpc)
{
	if (vpc == NULL)
		return;
	assert(vpc->captures == 0);
	for (uint32_t slot = 0; vpc->endpoints != NULL && slot < vpc->endpoint_count; slot++) {
		if (vpc->endpoints[slot] != NULL)
			flow_log_free(vpc->endpoints[slot]);
		free(vpc->endpoints[slot]);
	}
	for (uint32_t slot = 0; vpc->paths != NULL && slot < vpc->path_count; slot++)
		free(vpc->paths[slot]);
	underlay_close(&vpc->underlay);
	if (vpc->fragments != NULL)
		fragment_table_close(vpc->fragments);
	if (vpc->flows != NULL)
		flow_table_close(vpc->flows);
	free(vpc->offload.flows);
	free(vpc->paths);
	free(vpc->endpoints);
	free(vpc);
}

struct endpoint *vpc_endpoint(struct vpc *vpc, uint32_t slot)
{
	struct endpoint *e;

	if (slot >= ENDPOINTS_MAX)
		return NULL;
	e = vpc->endpoints[slot];
	if (LIKELY(e != NULL))
		return e;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	endpoint_init(e, vpc, slot);
	if (slot >= vpc->endpoint_count)
		vpc->endpoint_count = slot + 1;
	__atomic_store_n(&vpc->endpoints[slot], e, __ATOMIC_RELEASE);
	return e;
}

/* Costs the same whatever the size of the change: an endpoint or a path looks at the new policy when it is next used, before it
 * follows any pointer into the old one; and vpc_tick() has them all look soon. */
void vpc_set_policy(struct vpc *vpc, const struct policy *policy, uint64_t now_tsc)
{
	vpc_begin(vpc, now_tsc);
	vpc->policy = policy;
	vpc->policy_stamp++;
	vpc->path_stamp++;
}

int vpc_add_wire(struct vpc *vpc, struct wire *wire)
{
	struct wire_port *port;

	if (vpc->wire_count == WIRES_MAX)
		return -ENOSPC;
	if (wire->offload != NULL && offload_open(vpc) != 0)
		return -ENOMEM;
	port = &vpc->wires[vpc->wire_count];
	wire->index = vpc->wire_count++;
	port->input.receive = wire_receive;
	port->vpc = vpc;
	port->wire = wire;
	vpc->policy_stamp++; /* the MTU that guests are told */
	vpc->path_stamp++;
	underlay_announce(vpc, wire, &wire->config.address.address);
	vpc_flush(vpc);
	return 0;
}

struct packet_input *vpc_wire_input(struct vpc *vpc, unsigned wire_index)
{
	assert(wire_index < vpc->wire_count);
	return &vpc->wires[wire_index].input;
}

struct packet_input *vpc_attach(struct vpc *vpc, uint32_t slot, struct packet_sink *sink)
{
	struct endpoint *e = vpc_endpoint(vpc, slot);

	if (e == NULL)
		return NULL;
	e->sink = sink;
	return &e->input;
}

void vpc_detach(struct vpc *vpc, uint32_t slot)
{
	if (slot < vpc->endpoint_count && vpc->endpoints[slot] != NULL)
		vpc->endpoints[slot]->sink = NULL;
}

void vpc_begin(struct vpc *vpc, uint64_t now_tsc)
{
	vpc->now_tsc = now_tsc;
	vpc->now_ms = (uint32_t)(((unsigned __int128)now_tsc * vpc->ms_per_tick_q64) >> 64);
	if (vpc->config.stage_cycles)
		vpc->stage_tsc = clock_tsc();
}

void vpc_count_batch(struct vpc *vpc, unsigned count)
{
	counter_add(&vpc->counters.batches, 1);
	counter_add(&vpc->counters.packets, count);
}

uint64_t vpc_now_ns(const struct vpc *vpc)
{
	return (uint64_t)((unsigned __int128)vpc->now_tsc * 1000000000u / vpc->config.ticks_per_second);
}

void vpc_flush(struct vpc *vpc)
{
	while (vpc->dirty != NULL) {
		struct packet_sink *sink = vpc->dirty;

		vpc->dirty = sink->dirty_next;
		sink->dirty = false;
		sink->ops->flush(sink, vpc->now_tsc);
	}
}

const struct vpc_counters *vpc_counters(const struct vpc *vpc)
{
	return &vpc->counters;
}

const struct vpc_endpoint_counters *vpc_endpoint_counters(const struct vpc *vpc, uint32_t slot)
{
	struct endpoint *e = slot < ENDPOINTS_MAX ? __atomic_load_n(&vpc->endpoints[slot], __ATOMIC_ACQUIRE) : NULL;

	return e != NULL ? &e->counters : NULL;
}
