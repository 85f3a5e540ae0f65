/* Attaching and detaching one ENI at the card: shared by the API and by the push to a new card. */
#ifndef OUTBOARD_CONTROL_NET_ATTACH_H
#define OUTBOARD_CONTROL_NET_ATTACH_H

#include "control/control.h"
#include "control/store_net.h"

/* Embedded by whoever attaches. */
struct net_attach_call {
	struct control *control;
	struct net_attachment_row row;
	struct failure failure; /* ERROR_NONE: it worked */
	bool uncertain;		/* the card did not answer: it may have been done, or be done later */
	void (*done)(struct net_attach_call *call);
};

void net_attach_start(struct net_attach_call *call);
void net_detach_start(struct net_attach_call *call);

extern const char *const net_attachment_names[]; /* by enum net_attachment_kind; ends with NULL */

#endif
