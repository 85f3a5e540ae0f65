#include "control/net_bodies.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "control/net_attach.h"

/* ---- attach ---- */

static const struct field attach_fields[] = {
	FIELD(eni_attach_body, kind, FIELD_CHOICE, .choices = net_attachment_names),
	FIELD(eni_attach_body, socket, FIELD_PATH, .nullable = true, .max = SOCKET_PATH_SIZE - 1),
	FIELD(eni_attach_body, queues, FIELD_INTEGER, .min = 1, .max = ENI_QUEUES_MAX),
	FIELD(eni_attach_body, packed, FIELD_BOOL),
	FIELD(eni_attach_body, uid, FIELD_INTEGER, .nullable = true, .max = UINT32_MAX - 1),
	FIELD(eni_attach_body, gid, FIELD_INTEGER, .nullable = true, .max = UINT32_MAX - 1),
	FIELD(eni_attach_body, mode, FIELD_MODE),
	FIELD(eni_attach_body, tap, FIELD_TEXT, .nullable = true, .min = 1, .max = NET_TAP_SIZE - 1),
	FIELD(eni_attach_body, netns, FIELD_TEXT, .nullable = true, .min = 1, .max = NET_NETNS_SIZE - 1),
};

/* What Linux takes (dev_valid_name() in net/core/dev.c), and what no shell stumbles over. */
static bool tap_valid(const char *name)
{
	return name_valid(name);
}

/* `ip netns` keeps them by name in /run/netns; a container runtime names a path. */
static bool netns_valid(const char *text)
{
	return text[0] == '/' ? path_valid(text) : name_valid(text);
}

int body_eni_attach(const json_t *body, struct eni_attach_body *out, struct failure *failure)
{
	uint32_t present;
	int rc;

	*out = (struct eni_attach_body){
		.kind = NET_ATTACHMENT_VHOST_USER, .queues = 4, .packed = true, .uid = -1, .gid = -1, .mode = 0600};
	rc = fields_parse(attach_fields, FIELDS_COUNT(attach_fields), body, out, &present, failure);
	if (rc < 0)
		return rc;
	if (out->kind == NET_ATTACHMENT_TAP && out->tap[0] == '\0')
		return failure_set(failure, ERROR_MISSING_FIELD, "Field \"tap\" is missing: the name of the interface to be made.");
	if (out->kind == NET_ATTACHMENT_TAP && out->socket[0] != '\0')
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "Field \"socket\" belongs to attachments of kind \"vhost-user\" only.");
	if (out->kind == NET_ATTACHMENT_VHOST_USER && (out->tap[0] != '\0' || out->netns[0] != '\0'))
		return failure_set(failure, ERROR_INVALID_FIELD,
				   "Fields \"tap\" and \"netns\" belong to attachments of kind \"tap\" only.");
	if (out->tap[0] != '\0' && !tap_valid(out->tap))
		return failure_set(
			failure, ERROR_INVALID_FIELD,
			"Field \"tap\" must be the name of an interface: 1 to 15 letters, digits, \".\", \"_\" or \"-\", of which "
			"the first is a letter or a digit.");
	if (out->netns[0] != '\0' && !netns_valid(out->netns))
		return failure_set(
			failure, ERROR_INVALID_FIELD,
			"Field \"netns\" must be the name of a network namespace (`ip netns list`), or an absolute path.");
	return 0;
}

/* ---- trace ---- */

int body_eni_trace(const json_t *body, struct eni_trace_body *out, struct failure *failure)
{
	static const struct field fields[] = {
		FIELD(eni_trace_body, packet, FIELD_TEXT, .required = true, .min = 1, .max = ENI_PACKET_SIZE - 1)};
	uint32_t present;

	return fields_parse(fields, FIELDS_COUNT(fields), body, out, &present, failure);
}

/* ---- capture ---- */

const char *const eni_capture_actions[] = {
	[ENI_CAPTURE_START] = "start", [ENI_CAPTURE_READ] = "read", [ENI_CAPTURE_STOP] = "stop", NULL};

static const struct field capture_fields[] = {
	FIELD(eni_capture_body, action, FIELD_CHOICE, .required = true, .choices = eni_capture_actions),
	FIELD(eni_capture_body, capture, FIELD_INTEGER, .min = 1, .max = INT64_MAX),
	FIELD(eni_capture_body, snap_bytes, FIELD_INTEGER, .min = ENI_SNAP_MIN_BYTES, .max = ENI_SNAP_MAX_BYTES),
	FIELD(eni_capture_body, drops, FIELD_BOOL),
};

int body_eni_capture(const json_t *body, struct eni_capture_body *out, struct failure *failure)
{
	uint32_t present;
	int rc;

	*out = (struct eni_capture_body){.snap_bytes = ENI_SNAP_MAX_BYTES};
	rc = fields_parse(capture_fields, FIELDS_COUNT(capture_fields), body, out, &present, failure);
	if (rc < 0)
		return rc;
	if (out->action != ENI_CAPTURE_START && out->capture == 0)
		return failure_set(failure, ERROR_MISSING_FIELD, "Field \"capture\" is missing: which one, as \"start\" answered.");
	if (out->action == ENI_CAPTURE_START && out->capture != 0)
		return failure_set(failure, ERROR_INVALID_FIELD, "Field \"capture\" is answered by \"start\", not given.");
	return 0;
}
