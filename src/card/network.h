/*
 * The card's network: the model that the control thread keeps of all VPCs, the pipeline on the network poller (the first), and what is
 * plugged into it: wires, and ENIs (eni.h).
 *
 * It is opened by the first net_apply, or at the start where there are wires: a card that only serves disks has none of it.
 *
 * A change: the model makes a new policy of it, or refuses; one message gives that to the poller, together with the ENIs whose slot
 * it changes; when the poller has answered, the old policy is released and control is told. A poller sees a change whole or not
 * at all, and an ENI that is gone is off its slot before anybody else can have it.
 */
#ifndef OUTBOARD_CARD_NETWORK_H
#define OUTBOARD_CARD_NETWORK_H

#include <jansson.h>

#include "base/list.h"
#include "base/uuid.h"
#include "card/flow_log_ring.h"
#include "card/tap.h"
#include "card/tap_client.h"
#include "card/wire_source.h"
#include "vpc/model.h"
#include "vpc/vpc.h"

enum {
	ENI_BUCKETS = 1024,
	NETWORK_FLOWS_WITHOUT_WIRE = 1 << 17,
	NETWORK_FLOWS_MIN = 1024,
	NETWORK_FLOWS_MAX = 1 << 26,
	NETWORK_MTU_DEFAULT = 1500, /* of guests, on a card without a wire */
};

struct card;

struct network_config {
	struct wire *wires[WIRES_MAX]; /* open, until the process ends */
	unsigned wire_count;
	uint32_t flows_max; /* 0: the default */
	int tap_channel;    /* of the helper that opens taps */
};

/* Ageing, flow logs and neighbours: a source that says when it wants to be visited. */
struct network_clock {
	struct source source;
	struct vpc *vpc;
};

struct network {
	struct card *card;
	struct network_config config;
	struct poller *poller;
	struct model *model;
	struct vpc *vpc; /* NULL: not opened yet */
	struct wire_source wires[WIRES_MAX];
	struct network_clock clock;
	struct list enis[ENI_BUCKETS];
	unsigned eni_count;
	struct tap_client taps;
	struct tap_room *tap_room; /* NULL until there is a tap */
	struct flow_log_ring *log;
	struct list captures;
	unsigned capture_count;
	int64_t capture_last_id;
};

void network_init(struct card *card, const struct network_config *config);
int network_start(struct card *card); /* the card's pollers run, its loop is open. 0 or -errno */
void network_stop(struct card *card); /* the pollers are gone, and every ENI */
int network_open(struct network *network, char *error, size_t error_size); /* idempotent. 0 or -errno with a sentence */
void network_tick(struct card *card);					   /* ten times a second */

/* Takes the change, whatever comes of it; answers the request at once or later. */
void network_commit(struct network *network, struct model_change *change, int64_t request_id);

const struct policy_endpoint *network_endpoint(const struct network *network, const struct uuid *id); /* of this card; or NULL */
uint16_t network_guest_mtu(const struct network *network); /* of guests, where their VPC says nothing */
json_t *network_wires_json(const struct network *network); /* for "hello" */
/* (poller) Frames were handed to the pipeline: what of it went to wires will be answered. */
void network_sent(struct network *network, uint64_t now_tsc);

/* ---- net_stats.c ---- */
json_t *net_stats_enis(struct card *card, bool all);
json_t *net_stats_network(struct card *card); /* null where there is none */

#endif
