/* Captures of ENIs; see net_capture.c. */
#ifndef OUTBOARD_CARD_NET_CAPTURE_H
#define OUTBOARD_CARD_NET_CAPTURE_H

#include "card/network.h"

struct request;
struct net_capture;

enum { NET_CAPTURES_MAX = 16 }; /* of a card */

void net_capture_run(struct request *request, const struct uuid *eni); /* the command eni_capture */
void net_capture_tick(struct network *network);			       /* once a second: ends those that nobody reads */
void net_capture_close(struct network *network);		       /* the poller is gone */

/* For network.c: captures whose ENI leaves its slot with a change of the policy; room for NET_CAPTURES_MAX. They are ended on the
 * poller before it takes the policy, by net_capture_end_all(), released when it has answered, and freed by their next use. */
unsigned net_capture_ends(struct network *network, const struct policy *next, struct net_capture **ends);
void net_capture_end_all(struct net_capture *const *ends, unsigned count);
void net_capture_release(struct net_capture *const *ends, unsigned count);

#endif
