/*
 * A source of work for a poller: a guest's queue, a tap, a wire, a clock. The poller knows it by five calls, and keeps it in one of
 * these places:
 *
 *	active	 visited every pass
 *	held	 has said when it is worth a visit again (an allowance, a timer): not visited before `again_tsc`
 *	asleep	 armed: whoever has work for it makes `kick_fd` readable; the poller spends nothing on it
 *	passive	 never visited, only owned: what others of the poller's sources fill or drain (a NIC's receive queue)
 *	broken	 its other side broke the rules: not visited any more
 *	stopping does no new work; leaves when nothing of it is in flight
 *
 * The control thread embeds one in what it is about, and gives it to a poller (poller_add); it is the poller's until `stopped` is
 * posted.
 */
#ifndef OUTBOARD_CARD_SOURCE_H
#define OUTBOARD_CARD_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/visit.h"
#include "card/mailbox.h"

struct poller;
struct source;

/* All are called on the poller, and none may block. */
struct source_ops {
	/* One bounded piece of work; what it cannot bound by requests it bounds by bytes. NULL: passive. */
	struct visit (*visit)(struct source *source, uint64_t now_tsc);
	/* About to sleep: asks for kicks and looks once more. False: there is work (no kicks were asked for then). NULL: kick_fd
	 * tells of work whether asked or not. */
	bool (*arm)(struct source *source);
	void (*disarm)(struct source *source);	      /* no kicks are wanted. NULL: nothing to do */
	void (*stop)(struct source *source);	      /* begins no new work. NULL: nothing to do */
	bool (*stopped)(const struct source *source); /* after stop: nothing of it is in flight. NULL: at once */
};

enum source_place {
	SOURCE_APART /* not the poller's */,
	SOURCE_ACTIVE,
	SOURCE_HELD,
	SOURCE_ASLEEP,
	SOURCE_PASSIVE,
	SOURCE_BROKEN,
	SOURCE_STOPPING
};

struct source {
	struct list link;
	const struct source_ops *ops;
	struct poller *poller;
	enum source_place place;
	int kick_fd;	  /* watched edge-triggered; -1: it does not kick, and is polled for ever */
	int call_fd;	  /* eventfd of the guest, signalled when the source is added, and by poller_call(); -1: none */
	int err_fd;	  /* -1: none; signalled when the other side broke a rule */
	bool call_posted; /* atomic: `call` is under way */
	bool armed;	  /* kicks were asked for */
	uint64_t visited_tsc;
	uint64_t worked_tsc;
	uint64_t slept_tsc;
	uint64_t spin_ticks;
	uint64_t again_tsc;
	uint64_t gap_ticks_max;
	uint64_t kicks;
	const char *broken_why; /* a string constant; see source_broken() */
	struct message addition;
	struct message removal; /* of its own: a source may be taken back before the poller has taken it in */
	struct message call;
	struct message stopped; /* posted to the control thread when it left: `stopped.run` is the owner's */
	struct message broken;	/* posted once when a rule was broken: `broken.run` is the owner's */
};

/* (poller) Its other side broke a rule: it is not visited again. From within its own visit or another's, and, zeroed, even before
 * it was added; `why` is a constant. */
void source_broken(struct source *source, const char *why);

/* (poller) There may be work for it earlier than it said. For a held source; nothing for others. */
void source_hurry(struct source *source, uint64_t now_tsc);

#endif
