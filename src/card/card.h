/*
 * The card process: one control thread (this struct is its own) and its pollers. Everything here is touched by the control
 * thread only; pollers are spoken to by messages.
 */
#ifndef OUTBOARD_CARD_CARD_H
#define OUTBOARD_CARD_CARD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/uuid.h"
#include "card/loop.h"
#include "card/network.h"
#include "card/poller.h"

enum {
	CARD_DEVICES_MAX = 16384,
	CARD_BUCKETS = 4096,
	CARD_OUTBOX_MAX = 65536, /* messages that control has not taken yet */
};

struct card_config {
	int cores[POLLERS_MAX];
	unsigned core_count;
	bool huge;
	uint64_t buffer_bytes; /* of I/O buffers, a poller */
	int control_channel;
	int vault_channel; /* -1: encrypted volumes are refused */
	struct network_config network;
};

struct card {
	struct card_config config;
	struct loop loop;
	struct watch control;
	struct watch vault;
	struct watch signals;
	struct uuid incarnation;
	struct poller pollers[POLLERS_MAX];
	unsigned poller_devices[POLLERS_MAX];
	unsigned poller_count;
	struct list vhost_devices; /* all that VMMs plug into: struct vhost_device */
	struct list devices[CARD_BUCKETS];
	unsigned device_count;
	struct list populating; /* devices */
	struct list memories;	/* struct memory_store: memory volumes' memfds */
	struct list unwraps;	/* struct unwrap: asked of the vault, not answered yet */
	uint64_t unwrap_last_id;
	uint8_t *unwrap_key; /* secret: the key of an answer, until the volume has copied it */
	struct network network;
	struct list outbox; /* messages to control that its socket did not take yet */
	unsigned outbox_count;
	unsigned ticks;
	bool stopping;
};

void card_block_signals(void); /* before any thread is started, which inherits that: they are read from a descriptor */
int card_run(struct card *card, const struct card_config *config); /* until SIGTERM */
void card_stop(struct card *card);				   /* detaches everything; then card_run() returns */
void card_stop_when_empty(struct card *card);			   /* a device is gone */

/* ---- commands.c: the channel to control ---- */
int commands_open(struct card *card);
/* `fields` is taken; NULL for none. */
void commands_reply(struct card *card, int64_t request_id, json_t *fields);
void commands_reply_error(struct card *card, int64_t request_id, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same for a change of the network: `culprit` is the object at fault; all zeroes: none. */
void commands_reply_culprit(struct card *card, int64_t request_id, const char *code, const struct uuid *culprit,
			    const char *message);
void commands_event(struct card *card, const char *event, json_t *fields);
json_t *commands_uuid(const struct uuid *id); /* as a JSON string */

/* ---- watchdog.c: ten times a second ---- */
void watchdog_tick(struct card *card);

/* ---- health.c: once a second, tells control of failures of back ends ---- */
void health_tick(struct card *card);

/* ---- stats.c ---- */
json_t *stats_build(struct card *card, bool all);

#endif
