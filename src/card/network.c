#include "card/network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "card/card.h"
#include "card/eni.h"
#include "card/net_capture.h"
#include "card/request.h"
#include "vpc/tunnel.h"

/* ---- the clock ---- */

static struct visit clock_visit(struct source *source, uint64_t now_tsc)
{
	struct network_clock *clock = container_of(source, struct network_clock, source);
	struct visit v = {0};

	v.more = vpc_tick(clock->vpc, now_tsc, &v.again_tsc);
	if (v.more)
		v.again_tsc = 0;
	else if (v.again_tsc <= now_tsc)
		v.again_tsc = now_tsc + 1;
	return v;
}

static const struct source_ops clock_ops = {.visit = clock_visit};

/* ---- opening ---- */

/* (poller) */
static void take_log_line(void *context, const struct policy_endpoint *endpoint, const char *line)
{
	struct network *n = context;

	(void)endpoint; /* the line names it */
	flow_log_ring_put(n->log, line);
}

static uint64_t wall_clock_offset_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - clock_tsc_to_ns(clock_tsc());
}

static int create_vpc(struct network *n)
{
	struct vpc_config config = {.flow_arena_fd = -1,
				    .huge = n->card->config.huge,
				    .ticks_per_second = clock_tsc_hz(),
				    .stage_cycles = true,
				    .flow_log = take_log_line,
				    .wall_clock_offset_ns = wall_clock_offset_ns(),
				    .context = n};

	config.flows_max = n->config.flows_max != 0   ? n->config.flows_max
			   : n->config.wire_count > 0 ? FLOWS_DEFAULT
						      : NETWORK_FLOWS_WITHOUT_WIRE;
	if (getrandom(config.cookie_key, sizeof(config.cookie_key), 0) != sizeof(config.cookie_key))
		return -errno;
	return vpc_create(&n->vpc, &config);
}

static int add_wires(struct network *n)
{
	for (unsigned i = 0; i < n->config.wire_count; i++) {
		int rc = vpc_add_wire(n->vpc, n->config.wires[i]);

		if (rc < 0)
			return rc;
		wire_source_init(&n->wires[i], n->config.wires[i], vpc_wire_input(n->vpc, i));
	}
	return 0;
}

int network_open(struct network *n, char *error, size_t error_size)
{
	int rc;

	if (n->vpc != NULL)
		return 0;
	n->log = calloc(1, sizeof(*n->log));
	rc = n->log == NULL ? -ENOMEM : model_create(&n->model, NULL);
	if (rc == 0)
		rc = create_vpc(n);
	if (rc == 0)
		rc = add_wires(n);
	if (rc < 0) {
		snprintf(error, error_size, "the network cannot be set up: %s", strerror(-rc));
		if (n->vpc != NULL)
			vpc_free(n->vpc);
		if (n->model != NULL)
			model_free(n->model);
		free(n->log);
		n->vpc = NULL;
		n->model = NULL;
		n->log = NULL;
		return rc;
	}
	vpc_set_policy(n->vpc, model_policy(n->model), clock_tsc()); /* no poller has it yet */
	n->clock.vpc = n->vpc;
	n->clock.source = (struct source){.ops = &clock_ops, .kick_fd = -1, .call_fd = -1, .err_fd = -1};
	poller_add(n->poller, &n->clock.source);
	for (unsigned i = 0; i < n->config.wire_count; i++)
		poller_add(n->poller, &n->wires[i].source);
	return 0;
}

void network_init(struct card *card, const struct network_config *config)
{
	struct network *n = &card->network;

	n->card = card;
	n->config = *config;
	n->poller = &card->pollers[0];
	for (unsigned i = 0; i < ENI_BUCKETS; i++)
		list_init(&n->enis[i]);
	list_init(&n->captures);
	n->taps.watch.fd = -1;
}

int network_start(struct card *card)
{
	struct network *n = &card->network;
	char error[128];
	int rc = tap_client_open(&n->taps, &card->loop, n->config.tap_channel);

	if (rc < 0 || n->config.wire_count == 0)
		return rc;
	rc = network_open(n, error, sizeof(error));
	if (rc < 0)
		log_error("%s", error);
	return rc;
}

void network_stop(struct card *card)
{
	struct network *n = &card->network;

	net_capture_close(n);
	tap_client_close(&n->taps);
	if (n->vpc != NULL) {
		vpc_free(n->vpc);
		model_free(n->model);
	}
	tap_room_free(n->tap_room);
	free(n->log);
}

/* ---- changes ---- */

struct commit {
	struct message message; /* to the poller, and back */
	struct network *network;
	const struct policy *next, *old;
	int64_t request_id;
	unsigned end_count, move_count;
	struct net_capture *ends[NET_CAPTURES_MAX];
	struct eni_move moves[];
};

static void committed(struct message *message)
{
	struct commit *c = container_of(message, struct commit, message);

	net_capture_release(c->ends, c->end_count);
	model_release(c->network->model, c->old);
	commands_reply(c->network->card, c->request_id, NULL);
	free(c);
}

static void commit_on_poller(struct message *message)
{
	struct commit *c = container_of(message, struct commit, message);
	struct network *n = c->network;

	net_capture_end_all(c->ends, c->end_count);
	for (unsigned i = 0; i < c->move_count; i++)
		eni_leave_slot(&c->moves[i]);
	vpc_set_policy(n->vpc, c->next, clock_tsc());
	for (unsigned i = 0; i < c->move_count; i++)
		eni_take_slot(&c->moves[i]);
	source_hurry(&n->clock.source, clock_tsc());
	c->message.run = committed;
	mailbox_post(&n->card->loop.mailbox, &c->message);
}

static const char *code_of(int rc)
{
	switch (rc) {
	case -EEXIST:
	case -EBUSY:
		return "conflict";
	case -ENOENT:
		return "not_found";
	case -ENOSPC:
	case -E2BIG:
		return "limit";
	case -ENOMEM:
		return "internal";
	default:
		return "bad_request";
	}
}

void network_commit(struct network *n, struct model_change *change, int64_t request_id)
{
	struct commit *c = calloc(1, sizeof(*c) + n->eni_count * sizeof(c->moves[0]));
	const struct policy *old = model_policy(n->model);
	struct uuid culprit = {{0}};
	char error[512] = "out of memory";
	int rc = -ENOMEM;

	if (c == NULL) {
		model_change_cancel(change);
		commands_reply_culprit(n->card, request_id, code_of(rc), &culprit, error);
		return;
	}
	rc = model_change_finish(change, &c->next, &culprit, error, sizeof(error));
	if (rc < 0) {
		commands_reply_culprit(n->card, request_id, code_of(rc), &culprit, error);
		free(c);
		return;
	}
	c->network = n;
	c->old = old;
	c->request_id = request_id;
	c->end_count = net_capture_ends(n, c->next, c->ends);
	c->move_count = eni_moves(n, c->next, c->moves);
	c->message.run = commit_on_poller;
	poller_post(n->poller, &c->message);
}

/* ---- looking things up ---- */

const struct policy_endpoint *network_endpoint(const struct network *n, const struct uuid *id)
{
	return n->model == NULL ? NULL : policy_endpoint_find(model_policy(n->model), id);
}

uint16_t network_guest_mtu(const struct network *n)
{
	uint32_t mtu = UINT16_MAX;

	if (n->config.wire_count == 0)
		return NETWORK_MTU_DEFAULT;
	for (unsigned i = 0; i < n->config.wire_count; i++) {
		const struct wire *w = n->config.wires[i];
		uint32_t outer = net_address_is_v4(&w->config.address.address) ? TUNNEL_OUTER_V4_BYTES : TUNNEL_OUTER_V6_BYTES;

		if (w->mtu - outer < mtu && w->mtu > outer)
			mtu = w->mtu - outer;
	}
	return (uint16_t)mtu;
}

json_t *network_wires_json(const struct network *n)
{
	json_t *wires = json_array();

	for (unsigned i = 0; i < n->config.wire_count; i++) {
		const struct wire *w = n->config.wires[i];
		char mac[MAC_TEXT_SIZE], address[NET_PREFIX_TEXT_SIZE];

		mac_format(&w->mac, mac);
		net_prefix_format(&w->config.address, address);
		json_array_append_new(wires, json_pack("{s:s,s:s,s:s,s:i}", "device", w->config.device, "address", address, "mac",
						       mac, "mtu", (int)w->mtu));
	}
	return wires;
}

/* ---- time ---- */

void network_sent(struct network *n, uint64_t now_tsc)
{
	for (unsigned i = 0; i < n->config.wire_count; i++)
		wire_source_sent(&n->wires[i], now_tsc);
}

void network_tick(struct card *card)
{
	struct network *n = &card->network;
	json_t *event;

	if (n->log == NULL)
		return;
	while ((event = flow_log_ring_take(n->log)) != NULL)
		commands_event(card, "flow_log", event);
	if (card->ticks % LOOP_TICKS_PER_SECOND == 0)
		net_capture_tick(n);
}
