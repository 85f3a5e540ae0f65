#include "card/eni.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"

/* ---- on the poller: between the front end and the slot ---- */

static void receive(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct eni_device *e = container_of(input, struct eni_device, input);

	if (e->to_vpc == NULL)
		return;
	e->to_vpc->receive(e->to_vpc, packets, count, now_tsc);
	network_sent(e->network, now_tsc);
}

void eni_leave_slot(struct eni_move *move)
{
	struct eni_device *e = move->eni;

	if (e->at_slot != POLICY_SLOT_NONE)
		vpc_detach(e->network->vpc, e->at_slot);
	e->at_slot = POLICY_SLOT_NONE;
	e->to_vpc = NULL;
}

void eni_take_slot(struct eni_move *move)
{
	struct eni_device *e = move->eni;

	if (move->slot == POLICY_SLOT_NONE)
		return;
	e->to_vpc = vpc_attach(e->network->vpc, move->slot, e->sink);
	e->at_slot = e->to_vpc != NULL ? move->slot : POLICY_SLOT_NONE;
}

/* ---- places ---- */

static struct list *bucket(struct network *n, const struct uuid *id)
{
	return &n->enis[get_le32(id->bytes) % ENI_BUCKETS];
}

struct eni_device *eni_find(struct network *n, const struct uuid *id)
{
	list_for_each_safe (node, after, bucket(n, id)) {
		struct eni_device *e = list_entry(node, struct eni_device, link);

		if (memcmp(&e->id, id, sizeof(*id)) == 0)
			return e;
	}
	return NULL;
}

const char *eni_state_name(const struct eni_device *e)
{
	static const char *const names[] = {[ENI_OPENING] = "opening",
					    [ENI_BINDING] = "opening",
					    [ENI_WAITING] = "waiting",
					    [ENI_CONNECTED] = "connected",
					    [ENI_CLOSING] = "closing"};

	return names[e->phase];
}

static uint32_t slot_in(const struct policy *policy, const struct uuid *id)
{
	const struct policy_endpoint *endpoint = policy_endpoint_find(policy, id);

	return endpoint != NULL && endpoint->kind == ENDPOINT_ENI ? endpoint->slot : POLICY_SLOT_NONE;
}

unsigned eni_moves(struct network *n, const struct policy *next, struct eni_move *moves)
{
	unsigned count = 0;

	for (unsigned i = 0; i < ENI_BUCKETS; i++)
		list_for_each_safe (node, after, &n->enis[i]) {
			struct eni_device *e = list_entry(node, struct eni_device, link);
			uint32_t slot = slot_in(next, &e->id);

			if (slot == e->slot)
				continue;
			e->slot = slot;
			if (e->bound || e->phase == ENI_BINDING) /* else it is off the poller, or on its way there */
				moves[count++] = (struct eni_move){.eni = e, .slot = slot};
		}
	return count;
}

void eni_set_connected(struct eni_device *e, bool connected)
{
	e->phase = connected ? ENI_CONNECTED : ENI_WAITING;
	commands_event(e->card, "device", json_pack("{s:o,s:s}", "eni_id", commands_uuid(&e->id), "state", eni_state_name(e)));
}

void eni_broken(struct eni_device *e, unsigned queue, const char *why)
{
	commands_event(e->card, "device_broken",
		       json_pack("{s:o,s:i,s:s}", "eni_id", commands_uuid(&e->id), "queue", (int)queue, "message", why));
}

/* ---- closing: each step goes on to the next when its part is gone ---- */

static void eni_free(struct eni_device *e)
{
	struct card *card = e->card;

	e->front->free(e);
	list_del(&e->link);
	e->network->eni_count--;
	card->poller_devices[e->network->poller->config.index]--;
	request_answer(card, &e->attach_request, "conflict", "the ENI was detached before it was ready");
	request_answer(card, &e->detach_request, NULL, NULL);
	free(e);
	card_stop_when_empty(card);
}

static void unbound(struct message *message)
{
	eni_free(container_of(message, struct eni_device, bound_reply));
}

static void unbind_on_poller(struct message *message)
{
	struct eni_device *e = container_of(message, struct eni_device, bind);

	eni_leave_slot(&(struct eni_move){.eni = e});
	e->bound_reply.run = unbound;
	mailbox_post(&e->card->loop.mailbox, &e->bound_reply);
}

static void close_step(struct eni_device *e)
{
	if (e->phase == ENI_BINDING)
		return; /* bound() goes on */
	e->phase = ENI_CLOSING;
	if (!e->front->stop(e))
		return; /* eni_front_stopped() goes on */
	if (!e->bound) {
		eni_free(e);
		return;
	}
	e->bound = false;
	e->bind.run = unbind_on_poller;
	poller_post(e->network->poller, &e->bind);
}

void eni_front_stopped(struct eni_device *e)
{
	close_step(e);
}

static void eni_close(struct eni_device *e)
{
	if (e->phase == ENI_CLOSING)
		return;
	e->closing = true;
	close_step(e);
}

void eni_refuse(struct eni_device *e, const char *code, const char *message)
{
	log_warning("ENI %s: not attached: %s", e->name, message);
	request_answer(e->card, &e->attach_request, code, message);
	eni_close(e);
}

/* ---- attaching ---- */

static void answer_attached(struct eni_device *e)
{
	if (e->attach_request == NO_REQUEST)
		return;
	commands_reply(e->card, e->attach_request, e->front->attached(e));
	e->attach_request = NO_REQUEST;
}

static void bound(struct message *message)
{
	struct eni_device *e = container_of(message, struct eni_device, bound_reply);
	char error[256];
	int rc;

	e->phase = ENI_WAITING;
	e->bound = true;
	if (e->closing) {
		close_step(e);
		return;
	}
	rc = e->front->start(e, error, sizeof(error));
	if (rc < 0) {
		eni_refuse(e, rc == -EADDRINUSE || rc == -EEXIST ? "conflict" : "storage", error);
		return;
	}
	answer_attached(e);
}

static void bind_on_poller(struct message *message)
{
	struct eni_device *e = container_of(message, struct eni_device, bind);

	eni_take_slot(&(struct eni_move){.eni = e, .slot = e->at_slot});
	e->bound_reply.run = bound;
	mailbox_post(&e->card->loop.mailbox, &e->bound_reply);
}

void eni_made(struct eni_device *e)
{
	e->phase = ENI_BINDING;
	e->at_slot = e->slot; /* as it is when this is posted: what changes later comes later */
	e->bind.run = bind_on_poller;
	poller_post(e->network->poller, &e->bind);
}

static void attach_again(struct eni_device *e, const struct eni_request *request)
{
	if (e->front != (request->kind == ENI_TAP ? &eni_tap_front : &eni_vhost_front) || !e->front->same(e, request) ||
	    e->phase == ENI_CLOSING || e->closing) {
		commands_reply_error(e->card, request->request_id, "conflict",
				     "ENI \"%s\" is attached otherwise already, or on its way out; detach it first", e->name);
		return;
	}
	request_answer(e->card, &e->attach_request, "conflict", "asked again before it was ready: the later request is answered");
	e->attach_request = request->request_id;
	if (e->phase == ENI_WAITING || e->phase == ENI_CONNECTED)
		answer_attached(e);
}

static struct eni_device *eni_create(struct card *card, const struct policy_endpoint *endpoint, const struct eni_request *request)
{
	struct network *n = &card->network;
	struct eni_device *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->card = card;
	e->network = n;
	e->front = request->kind == ENI_TAP ? &eni_tap_front : &eni_vhost_front;
	e->id = endpoint->id;
	memcpy(e->name, endpoint->name, sizeof(e->name));
	e->mac = endpoint->mac;
	e->request = *request;
	e->slot = endpoint->slot;
	e->at_slot = POLICY_SLOT_NONE;
	e->attach_request = request->request_id;
	e->detach_request = NO_REQUEST;
	e->input.receive = receive;
	list_add_tail(bucket(n, &e->id), &e->link);
	n->eni_count++;
	card->poller_devices[n->poller->config.index]++;
	return e;
}

void eni_attach(struct card *card, const struct uuid *id, const struct eni_request *request)
{
	const struct policy_endpoint *endpoint = network_endpoint(&card->network, id);
	struct eni_device *e = eni_find(&card->network, id);

	if (e != NULL) {
		attach_again(e, request);
		return;
	}
	if (endpoint == NULL || endpoint->kind != ENDPOINT_ENI) {
		commands_reply_error(card, request->request_id, "not_found",
				     "this card has no ENI of that id: it is unknown, or on another host");
		return;
	}
	if (!card->stopping && card->device_count + card->network.eni_count < CARD_DEVICES_MAX)
		e = eni_create(card, endpoint, request);
	if (e == NULL) {
		commands_reply_error(card, request->request_id, "limit", "this card serves no more devices (at most %d)",
				     CARD_DEVICES_MAX);
		return;
	}
	e->front->open(e);
}

void eni_detach(struct card *card, const struct uuid *id, int64_t request_id)
{
	struct eni_device *e = eni_find(&card->network, id);

	if (e == NULL) {
		commands_reply(card, request_id, NULL);
		return;
	}
	request_answer(card, &e->detach_request, "conflict", "asked again: the later request is answered");
	e->detach_request = request_id;
	log_info("ENI %s: detaching", e->name);
	eni_close(e);
}

void eni_detach_all(struct card *card)
{
	for (unsigned i = 0; i < ENI_BUCKETS; i++)
		list_for_each_safe (node, after, &card->network.enis[i])
			eni_close(list_entry(node, struct eni_device, link));
}
