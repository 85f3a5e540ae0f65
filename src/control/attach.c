#include "control/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/store_net.h"

int attach_private_socket(const struct control *control, const char *volume, char path[SOCKET_PATH_SIZE])
{
	return snprintf(path, SOCKET_PATH_SIZE, "%s/sockets/.nbd-%s.sock", control->state_dir, volume) < SOCKET_PATH_SIZE
		       ? 0
		       : -ENAMETOOLONG;
}

int attach_check_socket(struct control *control, const char *socket, struct failure *failure)
{
	char owner[NAME_SIZE];
	const char *title = "Volume";
	int rc;

	if (strcmp(socket, control->api_socket) == 0)
		return failure_set(failure, ERROR_SOCKET_IN_USE, "%s is the socket of this API.", socket);
	rc = store_socket_owner(&control->store, socket, owner);
	if (rc == -ENOENT) {
		title = "ENI";
		rc = store_net_socket_owner(&control->store, socket, owner);
	}
	if (rc == 0)
		return failure_set(failure, ERROR_SOCKET_IN_USE, "%s \"%s\" is attached at %s. Choose another path.", title, owner,
				   socket);
	return rc == -ENOENT ? 0 : store_failure(failure, rc, "attach it");
}

static void finish(struct attach_call *call)
{
	call->done(call);
}

/* ---- attach: the card, then the NBD server ---- */

static void undone(void *context, const struct peer_answer *answer)
{
	struct attach_call *call = context;

	call->uncertain = answer->outcome != PEER_OK;
	finish(call);
}

static void nbd_started(void *context, const struct peer_answer *answer)
{
	struct attach_call *call = context;

	if (answer->outcome == PEER_OK) {
		finish(call);
		return;
	}
	failure_set(&call->failure, ERROR_NBD_UNAVAILABLE, "Cannot serve volume \"%s\" over NBD: %s.", call->volume.name,
		    answer->outcome == PEER_REFUSED ? answer->message : "the NBD server did not start in time");
	card_request(call->control, card_command("detach", &call->volume.id), CARD_TIMEOUT_MS, undone, call);
}

static json_t *nbd_start(const struct attach_call *call, const char *private)
{
	const struct attachment_row *a = &call->volume.attachment;
	json_t *command = card_command("start", &call->volume.id);

	json_object_update_new(command,
			       json_pack("{s:s,s:s,s:s,s:b,s:I,s:I,s:I}", "name", call->volume.name, "socket", a->socket, "vhost",
					 private, "read_only", (int)(a->read_only || call->volume.read_only), "uid",
					 (json_int_t)a->uid, "gid", (json_int_t)a->gid, "mode", (json_int_t)a->mode));
	return command;
}

static void attached(void *context, const struct peer_answer *answer)
{
	struct attach_call *call = context;
	char what[NAME_SIZE + 32], private[SOCKET_PATH_SIZE];

	snprintf(what, sizeof(what), "attach volume \"%s\"", call->volume.name);
	card_failure(&call->failure, answer, what);
	call->uncertain = answer->outcome == PEER_TIMEOUT || answer->outcome == PEER_GONE;
	if (answer->outcome != PEER_OK || call->volume.attachment.kind != ATTACHMENT_NBD) {
		finish(call);
		return;
	}
	attach_private_socket(call->control, call->volume.name, private);
	peer_request(&call->control->nbd, nbd_start(call, private), NBD_TIMEOUT_MS, nbd_started, call);
}

void attach_start(struct attach_call *call)
{
	const struct attachment_row *a = &call->volume.attachment;
	bool nbd = a->kind == ATTACHMENT_NBD;
	char private[SOCKET_PATH_SIZE];
	json_t *command;

	call->failure.code = ERROR_NONE;
	call->uncertain = false;
	attach_private_socket(call->control, call->volume.name, private);
	command = json_pack("{s:s,s:o,s:s,s:s,s:I,s:b,s:I}", "op", "attach", "volume", card_volume(&call->volume), "socket",
			    nbd ? private : a->socket, "kind", "vhost-user-blk", "queues", (json_int_t)a->queues, "packed",
			    (int)a->packed, "mode", (json_int_t)(nbd ? 0600 : a->mode));
	if (!nbd && a->uid >= 0)
		json_object_set_new(command, "uid", json_integer(a->uid));
	if (!nbd && a->gid >= 0)
		json_object_set_new(command, "gid", json_integer(a->gid));
	card_request(call->control, command, CARD_ATTACH_TIMEOUT_MS, attached, call);
}

/* ---- detach: the NBD server, then the card ---- */

static void detached(void *context, const struct peer_answer *answer)
{
	struct attach_call *call = context;
	char what[NAME_SIZE + 32];

	snprintf(what, sizeof(what), "detach volume \"%s\"", call->volume.name);
	card_failure(&call->failure, answer, what);
	call->uncertain = answer->outcome == PEER_TIMEOUT || answer->outcome == PEER_GONE;
	finish(call);
}

static json_t *detach_command(const struct attach_call *call)
{
	const struct attachment_row *a = &call->volume.attachment;
	json_t *command = card_command("detach", &call->volume.id);
	char private[SOCKET_PATH_SIZE];

	attach_private_socket(call->control, call->volume.name, private);
	json_object_set_new(command, "socket", json_string(a->kind == ATTACHMENT_NBD ? private : a->socket));
	return command;
}

static void nbd_stopped(void *context, const struct peer_answer *answer)
{
	struct attach_call *call = context;

	(void)answer; /* it lets go of the card's socket in any case: the card closes it */
	card_request(call->control, detach_command(call), CARD_ATTACH_TIMEOUT_MS, detached, call);
}

void detach_start(struct attach_call *call)
{
	call->failure.code = ERROR_NONE;
	call->uncertain = false;
	if (call->volume.attachment.kind == ATTACHMENT_NBD)
		peer_request(&call->control->nbd, card_command("stop", &call->volume.id), NBD_TIMEOUT_MS, nbd_stopped, call);
	else
		card_request(call->control, detach_command(call), CARD_ATTACH_TIMEOUT_MS, detached, call);
}
