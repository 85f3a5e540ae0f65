/* What the card says about the network: who came and went, flow logs, and why it refuses something. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/control.h"
#include "control/net_flow_log.h"
#include "control/store_net.h"

/* ---- refusals ---- */

static enum api_error code_of(const char *code)
{
	static const struct {
		const char *code;
		enum api_error error;
	} codes[] = {
		{"bad_request", ERROR_INVALID_FIELD}, {"not_found", ERROR_OBJECT_NOT_FOUND}, {"exists", ERROR_CONFLICT},
		{"conflict", ERROR_CONFLICT},	      {"limit", ERROR_LIMIT_REACHED},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].code, code) == 0)
			return codes[i].error;
	return ERROR_INTERNAL;
}

/* "security-group "web"", or false: it is the id of nobody whom we know. */
static bool name_of(struct control *control, const char *id_text, char *out, size_t size)
{
	char name[NAME_SIZE];
	enum net_kind kind;
	struct uuid id;

	if (uuid_parse(id_text, &id) < 0 || store_net_name(&control->store, &id, &kind, name) < 0)
		return false;
	snprintf(out, size, "%s \"%s\"", net_kinds[kind].word, name);
	return true;
}

/* The card's sentence with names for the ids in it. */
static void translate(struct control *control, const char *message, char *out, size_t size)
{
	enum { LENGTH = UUID_TEXT_SIZE - 1 };
	size_t used = 0;

	while (*message != '\0' && used + 1 < size) {
		char id[UUID_TEXT_SIZE], name[NAME_SIZE + 24];

		snprintf(id, sizeof(id), "%s", message);
		if (strlen(id) == LENGTH && id[8] == '-' && name_of(control, id, name, sizeof(name))) {
			used += (size_t)snprintf(out + used, size - used, "%s", name);
			message += LENGTH;
		} else {
			out[used++] = *message++;
		}
	}
	out[used < size ? used : size - 1] = '\0';
}

/* The card begins with whom it means ("subnet 'a': "); so do we, when that is somebody else than whom the request was about. */
static const char *without_culprit(const char *says, const char *culprit)
{
	char begins[NAME_SIZE + 32];
	size_t length = (size_t)snprintf(begins, sizeof(begins), "%s: ", culprit);

	for (size_t i = 0; i < length; i++)
		if (begins[i] == '"')
			begins[i] = '\'';
	return strncmp(says, begins, length) == 0 ? says + length : says;
}

void net_failure(struct control *control, struct failure *failure, const struct peer_answer *answer, const char *what)
{
	char text[FAILURE_MESSAGE_SIZE / 2], name[NAME_SIZE + 24], blamed[NAME_SIZE + 32] = "";
	const char *says = text;

	if (answer->outcome != PEER_REFUSED) {
		card_failure(failure, answer, what);
		return;
	}
	translate(control, answer->message, text, sizeof(text));
	says = without_culprit(text, strchr(what, ' ') + 1); /* "create subnet \"a\"": one that is new is not known by its id yet */
	if (answer->culprit != NULL && name_of(control, answer->culprit, name, sizeof(name))) {
		says = without_culprit(says, name);
		if (strstr(what, name) == NULL && strstr(says, name) == NULL)
			snprintf(blamed, sizeof(blamed), "%s: ", name);
	}
	failure_set(failure, code_of(answer->code), "Cannot %s: %s%s.", what, blamed, says);
}

/* ---- ENIs ---- */

static int eni_of(const json_t *object, const char *field, struct uuid *id)
{
	const char *text = json_string_value(json_object_get(object, field));

	return text == NULL ? -EINVAL : uuid_parse(text, id);
}

static void take_state(struct control *control, const struct uuid *eni, const json_t *said)
{
	const char *state = json_string_value(json_object_get(said, "state"));

	if (state != NULL && (strcmp(state, "waiting") == 0 || strcmp(state, "connected") == 0))
		store_net_live_set(&control->store, eni, state, json_string_value(json_object_get(said, "reason")));
}

void net_take_states(struct control *control, const json_t *stats)
{
	json_t *eni;
	struct uuid id;
	size_t at;

	json_array_foreach (json_object_get(stats, "enis"), at, eni)
		if (eni_of(eni, "id", &id) == 0)
			take_state(control, &id, eni);
}

bool net_event(struct control *control, const char *name, const json_t *event)
{
	const char *message = json_string_value(json_object_get(event, "message"));
	struct uuid id;

	if (strcmp(name, "flow_log") == 0) {
		net_flow_log_take(control, event);
		return true;
	}
	if (json_object_get(event, "eni_id") == NULL)
		return false;
	if (eni_of(event, "eni_id", &id) < 0)
		return true;
	if (strcmp(name, "device") == 0)
		take_state(control, &id, event);
	else if (strcmp(name, "device_broken") == 0)
		store_net_live_set(&control->store, &id, "connected",
				   message == NULL ? "The guest broke the rules of virtio." : message);
	return true;
}
