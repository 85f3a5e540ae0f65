/*
 * The keeper of NBD servers: a small process that control forks before it gives up the right to start others. One nbdkit (with
 * our plugin, a vhost-user driver) for each volume that is attached as "nbd"; the keeper makes the listening socket and hands it
 * down (socket activation), so that clients can connect at any time, also while an nbdkit that died is started again. NBD, a
 * protocol with parsers and state, thus stays outside of every process that holds anything.
 *
 * Spoken over a command channel (card/command.h):
 *	start	{volume_id, name, socket, vhost, read_only, uid, gid, mode}	-> {} when nbdkit serves; one that runs is replaced
 *	stop	{volume_id}							-> {} when it has ended; idempotent
 *	event	nbd {volume_id, state: "up"|"down", message}
 * Error codes: bad_request, unavailable. When the channel closes, the keeper ends all servers and itself.
 */
#ifndef OUTBOARD_CONTROL_NBD_KEEPER_H
#define OUTBOARD_CONTROL_NBD_KEEPER_H

/* A channel to a new keeper process, or -errno. Before any thread, and before anything is opened that it should not have. */
int nbd_keeper_fork(void);

#endif
