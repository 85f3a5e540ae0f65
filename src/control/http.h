/*
 * HTTP on a unix socket (libmicrohttpd), turned into requests with a JSON body and an answer that may come later.
 *
 * Life of a request: the connection is accepted, the body is gathered (at most HTTP_BODY_MAX_BYTES, or what the route says), the route's handler is called
 * once. The handler answers at once or keeps the pointer and answers later, exactly once: until then the request stays valid, also
 * when the client went away. One thread: everything here is called from the event loop.
 */
#ifndef OUTBOARD_CONTROL_HTTP_H
#define OUTBOARD_CONTROL_HTTP_H

#include <jansson.h>
#include <stddef.h>

#include "base/events.h"
#include "control/error.h"

enum {
	HTTP_BODY_MAX_BYTES = 1 << 20,
	HTTP_DISCARD_MAX_BYTES = 16 << 20, /* of a body that is too large: read to be able to answer, then the connection is cut */
	HTTP_IDLE_TIMEOUT_S = 60,
	HTTP_HEADERS_MAX_BYTES = 16 * 1024, /* memory of a connection: request line and headers, and what is sent */
	HTTP_PARAMETER_SIZE = 128,	    /* more than any name: one that is cut is still too long to exist */
};

enum http_method { HTTP_GET, HTTP_POST, HTTP_PATCH, HTTP_DELETE, HTTP_METHODS };

struct control;
struct http_request;

/* `pattern` is a path with at most one "{name}" segment. The table ends with a pattern NULL. */
struct http_route {
	enum http_method method;
	const char *pattern;
	void (*handle)(struct control *control, struct http_request *request);
	int argument;	       /* for a handler of several routes */
	size_t body_max_bytes; /* 0: HTTP_BODY_MAX_BYTES */
};

struct http;

/* Serves the listening `socket` (taken over); every handler is given `control`. */
int http_open(struct http **out, int socket, struct events *events, const struct http_route *routes, struct control *control);
void http_close(struct http *http);
/* Before every wait: runs what is due, and says for how long at most to wait (ms; -1: no bound). */
int http_turn(struct http *http);

/* ---- for handlers ---- */
const char *http_parameter(const struct http_request *request);		      /* the "{name}" segment */
const char *http_query(const struct http_request *request, const char *name); /* NULL: not given; only within the handler */
const json_t *http_body(const struct http_request *request);		      /* an object, empty when there was no body */
json_t *http_take_body(struct http_request *request);			      /* the same, given away: once */
int http_argument(const struct http_request *request);			      /* the route's */

/* The answer, each takes `body`. A NULL `body` of http_reply (out of memory) answers 500. */
void http_reply(struct http_request *request, unsigned status, json_t *body);
void http_reply_text(struct http_request *request, const char *content_type, char *text); /* from malloc() */
void http_reply_nothing(struct http_request *request);					  /* 204 */
void http_fail(struct http_request *request, const struct failure *failure);

const char *http_method_name(enum http_method method);
/* The value of the "{name}" segment in `parameter`. 0 or -ENOENT. */
int http_match(const char *pattern, const char *path, char parameter[HTTP_PARAMETER_SIZE]);
/* Body text to object: 0, or -EINVAL with the failure. */
int http_parse_body(const char *text, size_t size, json_t **out, struct failure *failure);

#endif
