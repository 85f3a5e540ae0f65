/*
 * Making the card agree with the store. When a card says hello, when a timer finds something pending, when the vault was unlocked:
 * every volume that needs something is looked at, SETTLE_PARALLEL_MAX at a time, and brought one step after the other to where it
 * belongs.
 *
 *	being created, by nobody	undone: what was not confirmed to anyone does not stay
 *	being deleted			its storage is deleted, then its row
 *	memory				its memory is made (a card keeps it over its own restart, not over the host's)
 *	being grown			the card is told once more
 *	being attached or detached	detached: likewise not confirmed, or asked for
 *	attached			attached
 *
 * Failures are no end: the attachment shows as pending with the reason, and the timer comes back (2 s, 4 s, ... 30 s).
 */
#ifndef OUTBOARD_CONTROL_SETTLE_H
#define OUTBOARD_CONTROL_SETTLE_H

#include "control/control.h"

void settle_open(struct control *control);
void settle_close(struct control *control);
void settle_all(struct control *control, bool same_card); /* a card came; same_card: it did not restart, we did */
void settle_soon(struct control *control);		  /* something is left to be done: in a moment */

#endif
