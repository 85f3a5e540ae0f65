/*
 * Who is connected to the API, so that clients who say nothing cannot keep others out. There is room for HTTP_CONNECTIONS_MAX; once
 * HTTP_CONNECTIONS_HIGH are there, those that have been without a whole request for longest, and for HTTP_SILENCE_MS at least, are
 * hung up on. Whoever waits for an answer of ours stays.
 */
#ifndef OUTBOARD_CONTROL_HTTP_CLIENTS_H
#define OUTBOARD_CONTROL_HTTP_CLIENTS_H

#include <stdint.h>

#include "base/list.h"

enum {
	HTTP_CONNECTIONS_MAX = 256,
	HTTP_CONNECTIONS_HIGH = 224,
	HTTP_SILENCE_MS = 1000,
};

struct http_clients {
	struct list silent; /* without a whole request, the longest first */
	unsigned count;	    /* all */
};

struct http_client; /* from its connection until http_client_gone() */

void http_clients_init(struct http_clients *clients);
struct http_client *http_client_new(struct http_clients *clients, int socket); /* NULL: no memory; all calls below take that */
void http_client_asked(struct http_client *client);			       /* its request is here, whole */
void http_client_answered(struct http_client *client);
void http_client_gone(struct http_client *client);

/* Hangs up where it must. When to look again (ms; -1: no need). */
int http_clients_turn(struct http_clients *clients);

#endif
