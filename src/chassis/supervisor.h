/*
 * The chassis' mind: which of its three processes is to be started, restarted or stopped, and when. Pure: events and time in,
 * actions and the next deadline out; run.c does what it says. Units: milliseconds of a monotonic clock.
 *
 * States of a child
 *
 *	DOWN ----start----> STARTING --READY=1--> READY
 *	  ^                    |                    |
 *	  |                    | exit, or killed    | exit
 *	  |                    v when START passes  v
 *	  +-------stop------ WAITING <--------------+        WAITING --its time--> STARTING
 *	  |
 *	  +----exit---- STOPPING (asked to stop; killed when STOP passes)
 *
 * A child that dies is restarted at once; when it dies again before it was ready for STABLE, after 100 ms, 200 ms, ... up to 5 s.
 * A child that has never been ready after START_ATTEMPTS starts ends the whole: that is a broken installation or configuration,
 * which a person (or systemd) must hear of. One that refuses what it was told, and has never been ready, would refuse it again:
 * that ends the whole at once. Once everything has been ready, the chassis never gives up.
 *
 * Stop goes in reverse order of use: control first (nobody gives orders any more), then the card (requests in flight complete,
 * keys are wiped), then the vault.
 */
#ifndef OUTBOARD_CHASSIS_SUPERVISOR_H
#define OUTBOARD_CHASSIS_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

enum supervised { SUPERVISED_VAULT, SUPERVISED_CARD, SUPERVISED_CONTROL, SUPERVISED_COUNT };

enum supervisor_limits {
	SUPERVISOR_START_MS = 60000, /* from the start of a child to its READY=1 */
	SUPERVISOR_STOP_MS = 8000,   /* from SIGTERM to SIGKILL */
	SUPERVISOR_STABLE_MS = 10000,
	SUPERVISOR_BACKOFF_MIN_MS = 100,
	SUPERVISOR_BACKOFF_MAX_MS = 5000,
	SUPERVISOR_START_ATTEMPTS = 5,
	SUPERVISOR_ACTIONS_MAX = 8,
};

enum supervised_state { CHILD_DOWN, CHILD_STARTING, CHILD_READY, CHILD_WAITING, CHILD_STOPPING };

struct supervised_child {
	enum supervised_state state;
	uint64_t deadline_ms; /* STARTING, STOPPING: when it is killed; WAITING: when it is started; UINT64_MAX: never */
	uint64_t ready_ms;    /* since when it is READY */
	unsigned failures;    /* deaths since it was last stable */
	bool was_ready;	      /* ever */
};

struct supervisor {
	struct supervised_child child[SUPERVISED_COUNT];
	bool announced; /* all were ready once */
	bool stopping;
	bool gave_up;
};

enum supervisor_event_kind {
	EVENT_START,
	EVENT_READY,   /* child said so */
	EVENT_EXITED,  /* child is gone, or could not be started */
	EVENT_REFUSED, /* child is gone: it does not run as it was told to */
	EVENT_STOP,    /* somebody wants an end */
	EVENT_TIME,    /* nothing but time */
};

struct supervisor_event {
	enum supervisor_event_kind kind;
	enum supervised child; /* of READY, EXITED and REFUSED */
};

enum supervisor_action_kind {
	ACTION_SPAWN,
	ACTION_TERMINATE,
	ACTION_KILL,
	ACTION_ANNOUNCE, /* everything is ready, for the first time */
	ACTION_GIVE_UP,	 /* child never became ready; the stop has begun */
	ACTION_FINISH,	 /* no child is left */
};

struct supervisor_action {
	enum supervisor_action_kind kind;
	enum supervised child;
};

struct supervisor_actions {
	unsigned count;
	struct supervisor_action item[SUPERVISOR_ACTIONS_MAX];
};

/* `s` zeroed before the first event, which is START. *out is overwritten. */
void supervisor_step(struct supervisor *s, struct supervisor_event event, uint64_t now_ms, struct supervisor_actions *out);
uint64_t supervisor_deadline(const struct supervisor *s); /* when TIME is due; UINT64_MAX: never */
const char *supervised_name(enum supervised child);	  /* "vault", "card", "control" */

#endif
