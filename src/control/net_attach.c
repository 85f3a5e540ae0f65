#include "control/net_attach.h"

#include <stdio.h>
#include <string.h>

const char *const net_attachment_names[] = {[NET_ATTACHMENT_VHOST_USER] = "vhost-user", [NET_ATTACHMENT_TAP] = "tap", NULL};

static json_t *text_or_null(const char *text)
{
	return text[0] == '\0' ? json_null() : json_string(text);
}

static json_t *command(const char *op, const struct net_attachment_row *row)
{
	char id[UUID_TEXT_SIZE];

	uuid_format(&row->eni, id);
	return json_pack("{s:s,s:s,s:o,s:o,s:o}", "op", op, "eni_id", id, "socket", text_or_null(row->socket), "tap",
			 text_or_null(row->tap), "netns", text_or_null(row->netns));
}

static void answered(struct net_attach_call *call, const struct peer_answer *answer, const char *verb)
{
	char what[NAME_SIZE + 32];

	snprintf(what, sizeof(what), "%s eni \"%s\"", verb, call->row.name);
	net_failure(call->control, &call->failure, answer, what);
	call->uncertain = answer->outcome == PEER_TIMEOUT || answer->outcome == PEER_GONE;
	call->done(call);
}

static void attached(void *context, const struct peer_answer *answer)
{
	answered(context, answer, "attach");
}

static void detached(void *context, const struct peer_answer *answer)
{
	answered(context, answer, "detach");
}

/* Of the ENI's VPC; null: as the wire allows. */
static json_t *mtu_of(struct store *store, const struct uuid *id)
{
	struct net_row eni, vpc;
	json_t *object, *mtu;

	if (store_net_get_by_id(store, id, &eni) < 0)
		return json_null();
	net_row_clear(&eni);
	if (store_net_get_by_id(store, &eni.vpc, &vpc) < 0)
		return json_null();
	object = json_loads(vpc.body, 0, NULL);
	mtu = json_incref(json_object_get(object, "mtu"));
	json_decref(object);
	net_row_clear(&vpc);
	return mtu == NULL ? json_null() : mtu;
}

void net_attach_start(struct net_attach_call *call)
{
	const struct net_attachment_row *row = &call->row;
	json_t *message = command("eni_attach", row);

	json_object_update_new(message,
			       json_pack("{s:s,s:I,s:b,s:I}", "kind", net_attachment_names[row->kind], "queues",
					 (json_int_t)row->queues, "packed", (int)row->packed, "mode", (json_int_t)row->mode));
	json_object_set_new(message, "mtu", mtu_of(&call->control->store, &row->eni));
	if (row->uid >= 0)
		json_object_set_new(message, "uid", json_integer(row->uid));
	if (row->gid >= 0)
		json_object_set_new(message, "gid", json_integer(row->gid));
	net_request(call->control, message, CARD_ATTACH_TIMEOUT_MS, attached, call);
}

void net_detach_start(struct net_attach_call *call)
{
	net_request(call->control, command("eni_detach", &call->row), CARD_ATTACH_TIMEOUT_MS, detached, call);
}
