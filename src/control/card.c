/*
 * The card, as seen from here. It is up from its hello (its own at start, or its answer to ours) until it does not answer the
 * hello that is sent every CARD_PING_MS. The channel outlives it: the chassis keeps both ends, and a new card finds what was
 * sent to the old one; every command may be carried out twice.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "control/control.h"
#include "control/settle.h"

/* ---- what is said to it ---- */

json_t *card_command(const char *op, const struct uuid *volume_id)
{
	char id[UUID_TEXT_SIZE];

	uuid_format(volume_id, id);
	return json_pack("{s:s,s:s}", "op", op, "volume_id", id);
}

static json_t *blob_text(const struct vault_blob *blob)
{
	char text[2 * VAULT_WRAPPED_MAX_BYTES + 1];

	hex_format(blob->bytes, blob->size, text);
	return json_string(text);
}

static json_t *encryption(const struct volume_row *row)
{
	char kek[UUID_TEXT_SIZE];

	if (!row->encrypted)
		return json_null();
	uuid_format(&row->kek.id, kek);
	return json_pack("{s:I,s:s,s:I,s:o,s:o}", "dek_version", (json_int_t)row->dek_version, "kek_id", kek, "kek_version",
			 (json_int_t)row->kek.version, "wrapped_kek", blob_text(&row->kek.wrapped), "wrapped_dek",
			 blob_text(&row->wrapped_dek));
}

/* In the card's words no limit is 0. */
static json_t *rate(const struct volume_row *row)
{
	return json_pack("{s:I,s:I,s:b}", "iops", (json_int_t)row->iops, "throughput_bytes",
			 (json_int_t)(row->throughput_mib * 1024 * 1024), "burst", (int)row->burst);
}

json_t *card_rate(const struct volume_row *row)
{
	json_t *command = card_command("rate", &row->id);

	json_object_update_new(command, rate(row));
	return command;
}

json_t *card_volume(const struct volume_row *row)
{
	char id[UUID_TEXT_SIZE];
	json_t *volume;

	uuid_format(&row->id, id);
	volume = json_pack("{s:s,s:s,s:I,s:I,s:s,s:b,s:o}", "id", id, "name", row->name, "size_bytes", (json_int_t)row->size_bytes,
			   "block_size_bytes", (json_int_t)row->block_size_bytes, "backend", backend_names[row->backend],
			   "read_only", (int)(row->read_only || row->attachment.read_only), "encryption", encryption(row));
	json_object_set_new(volume, "path", row->path[0] == '\0' ? json_null() : json_string(row->path));
	json_object_update_new(volume, rate(row));
	return volume;
}

bool card_ready(struct control *control, struct failure *failure)
{
	if (control->card.up)
		return true;
	failure_set(failure, ERROR_CARD_UNAVAILABLE,
		    "The card does not answer: it is being restarted, or its log says why not. Nothing was changed; try again.");
	return false;
}

void card_request(struct control *control, json_t *message, unsigned timeout_ms, peer_done *done, void *context)
{
	peer_request(&control->card.peer, message, timeout_ms, done, context);
}

static enum api_error code_of(const char *code)
{
	static const struct {
		const char *code;
		enum api_error error;
	} codes[] = {
		{"exists", ERROR_PATH_EXISTS},
		{"not_found", ERROR_STORAGE},
		{"storage", ERROR_STORAGE},
		{"no_space", ERROR_NO_SPACE},
		{"vault_locked", ERROR_VAULT_LOCKED},
		{"key_refused", ERROR_KEY_REFUSED},
		{"vault_unavailable", ERROR_VAULT_UNAVAILABLE},
		{"conflict", ERROR_CONFLICT},
		{"limit", ERROR_CARD_FULL},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].code, code) == 0)
			return codes[i].error;
	return ERROR_INTERNAL;
}

/* The card says which volume it speaks of; `what` has done so already. */
static const char *without_volume(const char *message, const char *what)
{
	static const char prefix[] = "volume ";
	const char *quote = strchr(what, '"');
	size_t length = quote == NULL ? 0 : strcspn(quote + 1, "\"");

	if (length == 0 || strncmp(message, prefix, strlen(prefix)) != 0)
		return message;
	if (strncmp(message + strlen(prefix), quote + 1, length) != 0 || strncmp(message + strlen(prefix) + length, ": ", 2) != 0)
		return message;
	return message + strlen(prefix) + length + 2;
}

void card_failure(struct failure *failure, const struct peer_answer *answer, const char *what)
{
	switch (answer->outcome) {
	case PEER_REFUSED:
		failure_set(failure, code_of(answer->code), "Cannot %s: %s.", what, without_volume(answer->message, what));
		break;
	case PEER_TIMEOUT:
		failure_set(failure, ERROR_CARD_TIMEOUT, "Cannot %s: the card did not answer in time. Try again.", what);
		break;
	case PEER_GONE:
		failure_set(failure, ERROR_CARD_UNAVAILABLE, "Cannot %s: the card is not there. Try again.", what);
		break;
	case PEER_OK:
		failure->code = ERROR_NONE;
		break;
	}
}

/* ---- whether it is there ---- */

static void set_down(struct control *control, const char *why)
{
	struct card *card = &control->card;

	if (card->up)
		log_warning("the card is down: %s", why);
	card->up = false;
	store_live_all_pending(&control->store, "The card is not running; it is attached again as soon as it is.");
	net_card_down(control);
}

static void remember_incarnation(struct control *control, const char *incarnation)
{
	struct card *card = &control->card;

	if (strcmp(card->incarnation, incarnation) == 0)
		return;
	card->restarts += card->incarnation[0] != '\0';
	snprintf(card->incarnation, sizeof(card->incarnation), "%s", incarnation);
	if (store_card_set(&control->store, card->incarnation, card->restarts) < 0)
		log_warning("the card's restart could not be written down");
}

static int volume_of(const json_t *object, struct uuid *id)
{
	const char *text = json_string_value(json_object_get(object, "volume_id"));

	return text == NULL ? -EINVAL : uuid_parse(text, id);
}

/* Of a device in an event or among the counters. */
static void take_state(struct control *control, const json_t *device)
{
	const char *state = json_string_value(json_object_get(device, "state"));
	const char *reason = json_string_value(json_object_get(device, "reason"));
	struct uuid id;

	if (volume_of(device, &id) == 0 && state != NULL && (strcmp(state, "waiting") == 0 || strcmp(state, "connected") == 0))
		store_live_set(&control->store, &id, state, reason);
}

/* Who has a VMM: told by events to our predecessor, and to be asked for by us. */
static void states_told(void *context, const struct peer_answer *answer)
{
	struct control *control = context;
	json_t *device;
	size_t at;

	if (answer->outcome != PEER_OK)
		return;
	json_array_foreach (json_object_get(answer->reply, "devices"), at, device)
		take_state(control, device);
	net_take_states(control, answer->reply);
}

static void take_hello(struct control *control, const json_t *hello)
{
	const char *incarnation = json_string_value(json_object_get(hello, "incarnation"));
	struct card *card = &control->card;
	bool same, was_up = card->up;

	if (incarnation == NULL || strlen(incarnation) >= sizeof(card->incarnation)) {
		log_warning("the card said hello without saying who it is; is it of another version?");
		return;
	}
	same = strcmp(card->incarnation, incarnation) == 0;
	json_decref(card->hello);
	card->hello = json_deep_copy(hello);
	remember_incarnation(control, incarnation);
	card->up = true;
	if (same && was_up)
		return;
	log_info("the card is up (%s)", same ? "as before" : "a new one");
	if (same)
		card_request(control, json_pack("{s:s,s:b}", "op", "stats", "all", 1), CARD_TIMEOUT_MS, states_told, control);
	settle_all(control, same);
	net_card_up(control, same);
}

static void hello_done(void *context, const struct peer_answer *answer)
{
	struct control *control = context;

	control->card.asking = false;
	if (answer->outcome == PEER_OK)
		take_hello(control, answer->reply);
	else if (answer->outcome == PEER_TIMEOUT)
		set_down(control, "it does not answer");
}

static void ask(struct control *control)
{
	struct card *card = &control->card;

	/* A card that takes in a large network answers when it has. */
	if (card->asking || card->peer.channel < 0 || control->net.applying > 0)
		return;
	card->asking = true;
	card_request(control, json_pack("{s:s}", "op", "hello"), CARD_PING_TIMEOUT_MS, hello_done, control);
}

static void ping_due(struct event_timer *timer)
{
	struct control *control = container_of(container_of(timer, struct card, ping), struct control, card);

	ask(control);
	event_timer_set(&control->events, timer, CARD_PING_MS);
}

/* It was thought dead, or was only slow. */
static void heard(struct peer *peer)
{
	struct control *control = container_of(container_of(peer, struct card, peer), struct control, card);

	if (!control->card.up)
		ask(control);
}

static void gone(struct peer *peer)
{
	struct control *control = container_of(container_of(peer, struct card, peer), struct control, card);

	set_down(control, "its channel is closed");
	log_error("the channel to the card is closed for good: restart Outboard");
}

/* ---- what it tells ---- */

static void volume_error(struct control *control, const struct uuid *id, const json_t *event)
{
	const char *op = json_string_value(json_object_get(event, "op"));
	const char *message = json_string_value(json_object_get(event, "message"));
	long long offset_bytes = json_integer_value(json_object_get(event, "offset_bytes"));
	char text[STORE_MESSAGE_SIZE];

	snprintf(text, sizeof(text), "%s at byte %lld failed: %s", op == NULL ? "request" : op, offset_bytes,
		 message == NULL ? "no reason given" : message);
	store_health_add(&control->store, id, text);
}

static void device_broken(struct control *control, const struct uuid *id, const json_t *event)
{
	const char *message = json_string_value(json_object_get(event, "message"));

	store_live_set(&control->store, id, "connected", message == NULL ? "The guest broke the rules of virtio." : message);
}

static void event(struct peer *peer, const char *name, const json_t *event)
{
	struct control *control = container_of(container_of(peer, struct card, peer), struct control, card);
	struct uuid id;

	if (strcmp(name, "hello") == 0) {
		control->card.up = false; /* whatever was: this is a new one */
		take_hello(control, event);
		return;
	}
	if (net_event(control, name, event) || volume_of(event, &id) < 0)
		return;
	if (strcmp(name, "device") == 0)
		take_state(control, event);
	else if (strcmp(name, "volume_error") == 0)
		volume_error(control, &id, event);
	else if (strcmp(name, "device_broken") == 0)
		device_broken(control, &id, event);
}

int card_open(struct control *control, int channel)
{
	struct card *card = &control->card;
	int rc = store_card_get(&control->store, card->incarnation, &card->restarts);

	if (rc < 0)
		return rc;
	card->peer.event = event;
	card->peer.heard = heard;
	card->peer.gone = gone;
	event_timer_init(&card->ping, ping_due);
	rc = peer_open(&card->peer, channel, &control->events);
	if (rc == 0)
		event_timer_set(&control->events, &card->ping, 0);
	return rc;
}

void card_close(struct control *control)
{
	event_timer_cancel(&control->card.ping);
	peer_close(&control->card.peer);
	json_decref(control->card.hello);
	control->card.hello = NULL;
}
