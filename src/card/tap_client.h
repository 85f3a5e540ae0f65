/* The card's side of the tap helper (tap_opener.h): requests that are answered later, on the control thread's loop. */
#ifndef OUTBOARD_CARD_TAP_CLIENT_H
#define OUTBOARD_CARD_TAP_CLIENT_H

#include "base/list.h"
#include "card/loop.h"
#include "card/tap_opener.h"

struct tap_client {
	struct loop *loop;
	struct watch watch;
	struct list waiting; /* struct tap_opening */
	uint64_t last_cookie;
};

/* Embedded in whoever waits for a tap. */
struct tap_opening {
	struct list link;
	uint64_t cookie;
	/* `fd` is the callee's; or -errno, with reply->message. */
	void (*done)(struct tap_opening *opening, int fd, const struct tap_reply *reply);
};

int tap_client_open(struct tap_client *client, struct loop *loop, int channel); /* takes the channel. 0 or -errno */
void tap_client_close(struct tap_client *client);				/* nobody waits */

/* `done` is called later; or -errno now: the helper is gone (-ECONNRESET), or behind (-EAGAIN). The cookie is set here. */
int tap_client_ask(struct tap_client *client, struct tap_opening *opening, struct tap_request *request);
void tap_client_cancel(struct tap_opening *opening); /* idempotent; an initialised link. What still comes is closed */

#endif
