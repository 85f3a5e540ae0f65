/*
 * What control tells the card, and the card answers: JSON objects over a SOCK_SEQPACKET channel that the chassis made (inherited
 * as "control" by the card and as "card" by control). A body larger than COMMAND_INLINE_MAX_BYTES travels as a sealed memfd beside a stub; senders
 * and receivers of this file see only JSON.
 *
 *	request  {"id": 7, "op": "attach", ...}
 *	reply    {"id": 7, "ok": true, ...}   or   {"id": 7, "ok": false, "error": {"code": "...", "message": "..."}}
 *	event    {"event": "hello", ...}      unsolicited, from the card
 *
 * The card is passive and keeps no configuration: after "hello" (a new card, or a new control asked) control pushes everything again;
 * every op is idempotent, so pushing twice does nothing twice.
 *
 * ops (fields; all sizes in bytes)
 *	hello		-> {incarnation, version, pid, pollers: [core...], xts_kernel, secret_memory, huge_pages: bool,
 *			wires: [{device, address, mac, mtu}]}
 *	storage_create	{volume}	makes the backing file or memory (error "exists" when the file is there)
 *	storage_delete	{volume}	deletes it; no error when it is gone already
 *	attach		{volume, socket, kind: "vhost-user-blk", queues, packed: bool, uid, gid, mode}
 *			-> {socket}	idempotent for an equal request; waits for the vault when encrypted
 *	detach		{volume_id, socket}	-> {} when everything is released; idempotent; what a card that was killed left at `socket` (may be
 *			missing) goes as well
 *	resize		{volume_id, size_bytes, volume}	grows storage, and tells the guest when attached
 *	rate		{volume_id, iops, throughput_bytes, burst}
 *	stats		{all: bool}	-> {now_ns, pollers: [...], devices: [...]}, see card/stats.c; without `all` only devices that ever worked;
 *			enis and network: see card/net_stats.c
 *	net_apply	{reset: bool, changes: [{kind, id, object | null (gone)}...]}	-> {} when the poller decides by it; all or nothing. `reset`: what
 *			is not among the changes is gone. An error names the object at fault: {code, message, culprit: id}
 *	eni_attach	{eni_id, kind: "vhost-user", socket, queues (pairs), packed, uid, gid, mode, mtu}	-> {socket}
 *			{eni_id, kind: "tap", tap (interface), netns (name below /run/netns, path, or none), mtu}	-> {tap, mac}
 *			of an ENI that net_apply made; idempotent for an equal request; mtu null: what the wires leave
 *	eni_detach	{eni_id, socket}	as detach
 *	eni_trace	{eni_id, packet: "tcp 10.0.1.5:80 syn"}	-> {lines: [{stage, verdict, detail}...], drop: null | reason, sentence}
 *	eni_capture	{eni_id, action: "start", snap_bytes, drops: bool}	-> {capture: number}
 *			{eni_id, action: "read", capture}	-> {data: pcapng as base64, lost: frames}	one that is not read for 30 s ends
 *			{eni_id, action: "stop", capture}	-> {}	idempotent
 *
 * objects of the network: kinds are vpc, subnet, security-group, acl, route-table, peering, eni, nat, eip, host; fields as the API has them
 * (docs/openapi.yaml), with ids for names, a route's target as {target: "nat", id}, and without what is null. Unknown fields are refused.
 *
 * volume object
 *	{id, name, size_bytes, block_size_bytes, backend: "memory"|"null"|"file", path, read_only, iops, throughput_bytes, burst,
 *	 encryption: null | {dek_version, kek_id, kek_version, wrapped_kek (hex), wrapped_dek (hex)}}
 *
 * events
 *	hello		as above, sent at start
 *	device		{volume_id, state: "waiting"|"connected", reason}	a VMM came or went; of an ENI {eni_id, state}
 *	volume_error	{volume_id, op, error, offset_bytes, message}		first failure of the back end since attach, then at most one a second
 *	device_broken	{volume_id, queue, message}				the guest broke the rules; of an ENI {eni_id, queue, message}: or its tap is gone
 *	flow_log	{lines: [text...], lost: lines}				flow logs of ENIs, as they are written
 *
 * error codes: bad_request, exists, not_found, storage, no_space, vault_locked, key_refused, vault_unavailable, conflict, limit, internal
 */
#ifndef OUTBOARD_CARD_COMMAND_H
#define OUTBOARD_CARD_COMMAND_H

#include <jansson.h>

enum {
	COMMAND_INLINE_MAX_BYTES = 64 * 1024,
	COMMAND_BODY_MAX_BYTES = 256 * 1024 * 1024,
};

/* 0 or -errno. Borrows `message`. */
int command_send(int channel, const json_t *message);
/* One message: a new reference in *out. 0; -EAGAIN; -ECONNRESET when the peer is gone; -EBADMSG (not JSON, or not an object: dropped). */
int command_receive(int channel, json_t **out);

#endif
