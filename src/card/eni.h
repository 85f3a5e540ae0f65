/*
 * An ENI that is attached: a NIC in a VPC, reached by a VMM (vhost-user-net) or by a network namespace (tap).
 *
 *	OPENING --(front end made)--> BINDING --(plugged into its slot on the poller)--> WAITING <--> CONNECTED
 *	   any --detach or failure--> CLOSING: front end, slot go in that order; then it is freed
 *
 * The front end hands its frames to `input`, which is the ENI's own: what they go into is the slot of its endpoint, and that comes
 * and goes with the policy. An attached ENI that the policy does not know any more stays attached, and its frames are dropped.
 *
 * The control thread owns it; `at_slot`, `to_vpc` and the queues that are served are the poller's.
 */
#ifndef OUTBOARD_CARD_ENI_H
#define OUTBOARD_CARD_ENI_H

#include "card/card.h"
#include "card/network.h"
#include "card/request.h"
#include "card/vhost_device.h"
#include "virtio/virtio_net.h"

enum eni_phase { ENI_OPENING, ENI_BINDING, ENI_WAITING, ENI_CONNECTED, ENI_CLOSING };
enum eni_kind { ENI_VHOST_USER, ENI_TAP };

struct eni_device;

struct eni_request {
	int64_t request_id;
	enum eni_kind kind;
	struct socket_request front; /* vhost-user; queues: pairs */
	char tap[IFNAMSIZ];
	char netns[TAP_NETNS_SIZE];
	uint16_t mtu;
};

/* What the two kinds of front ends do differently. */
struct eni_front {
	/* Makes the sink, and calls eni_made() or eni_refuse(), now or later. */
	void (*open)(struct eni_device *eni);
	/* It is plugged in: lets the other side come. 0; -errno with a sentence: it is refused. */
	int (*start)(struct eni_device *eni, char *error, size_t error_size);
	/* Whatever its state. True: nothing of it runs; false: eni_front_stopped() is called when that is so. Called again until
	 * it says true. */
	bool (*stop)(struct eni_device *eni);
	void (*free)(struct eni_device *eni);
	json_t *(*attached)(const struct eni_device *eni);			     /* fields of the reply to eni_attach */
	bool (*same)(const struct eni_device *eni, const struct eni_request *again); /* it was asked for just so */
	json_t *(*queues)(const struct eni_device *eni, bool all);		     /* for stats */
};
extern const struct eni_front eni_vhost_front, eni_tap_front;

enum { ENI_RECEIVE, ENI_TRANSMIT };

struct eni_device {
	struct list link; /* network->enis[] */
	struct card *card;
	struct network *network;
	const struct eni_front *front;
	enum eni_phase phase;
	struct uuid id;
	char name[NET_NAME_SIZE];
	struct mac mac;
	struct eni_request request;
	bool bound;
	bool closing; /* was asked to close while BINDING */
	int64_t attach_request, detach_request;
	uint32_t slot;	     /* of its endpoint in the present policy; POLICY_SLOT_NONE: it has none */
	struct message bind; /* to the poller: bind or unbind, never both under way */
	struct message bound_reply;

	struct packet_input input;
	struct packet_input *to_vpc; /* NULL: its frames are dropped */
	uint32_t at_slot;
	struct packet_sink *sink;

	/* eni_vhost.c */
	struct vhost_device vhost;
	struct virtio_net *net;
	struct eni_queue *queues[DEVICE_QUEUES_MAX];
	struct net_queue_accounts *totals[2]; /* of queues that are gone: ENI_RECEIVE, ENI_TRANSMIT; NULL until one worked */

	/* eni_tap.c */
	struct tap_opening opening;
	struct tap tap;
	bool tap_served, tap_stopping;
};

struct eni_device *eni_find(struct network *network, const struct uuid *id);
/* Both answer their request, at once or later. Idempotent. */
void eni_attach(struct card *card, const struct uuid *id, const struct eni_request *request);
void eni_detach(struct card *card, const struct uuid *id, int64_t request_id);
void eni_detach_all(struct card *card);
const char *eni_state_name(const struct eni_device *eni);

/* ---- for the front ends ---- */
void eni_made(struct eni_device *eni); /* eni->sink is set */
void eni_refuse(struct eni_device *eni, const char *code, const char *message);
void eni_front_stopped(struct eni_device *eni);
void eni_set_connected(struct eni_device *eni, bool connected);
void eni_broken(struct eni_device *eni, unsigned queue, const char *why); /* told, and logged already */

/* ---- for network.c: endpoints whose slot a change of the policy gives, takes or changes ---- */
struct eni_move {
	struct eni_device *eni;
	uint32_t slot;
};
unsigned eni_moves(struct network *network, const struct policy *next, struct eni_move *moves); /* room for eni_count */
void eni_leave_slot(struct eni_move *move); /* (poller) before the policy changes */
void eni_take_slot(struct eni_move *move);  /* (poller) after it */

#endif
