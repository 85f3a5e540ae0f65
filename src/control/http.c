#include "control/http.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "control/http_clients.h"

struct http {
	struct MHD_Daemon *daemon;
	struct events *events;
	struct event_watch watch;
	const struct http_route *routes;
	struct control *control;
	struct http_clients clients;
	struct list suspended; /* requests whose answer is still to come */
	/* The library has to be run although none of its descriptors is ready. Without a thread of its own it does not see to that
	 * when a connection is resumed, nor when one ends while there are so many that it has stopped to listen: it would do so for
	 * ever. */
	bool run_again;
};

struct http_request {
	struct http *http;
	struct MHD_Connection *connection;
	const struct http_route *route; /* NULL: `failure` says why */
	char parameter[HTTP_PARAMETER_SIZE];
	struct failure failure; /* found before the body was there */
	char *text;
	size_t text_size;
	size_t text_capacity;
	size_t discarded;
	json_t *body;
	bool suspended;
	struct list node;	       /* http->suspended */
	struct MHD_Response *response; /* the answer; queued when the connection runs again */
	unsigned status;
};

static const char *const method_names[HTTP_METHODS] = {
	[HTTP_GET] = "GET", [HTTP_POST] = "POST", [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE"};

const char *http_method_name(enum http_method method)
{
	return method_names[method];
}

/* ---- routes ---- */

int http_match(const char *pattern, const char *path, char parameter[HTTP_PARAMETER_SIZE])
{
	const char *open = strchr(pattern, '{'), *rest;
	size_t length;

	parameter[0] = '\0';
	if (open == NULL)
		return strcmp(pattern, path) == 0 ? 0 : -ENOENT;
	if (strncmp(pattern, path, (size_t)(open - pattern)) != 0)
		return -ENOENT;
	rest = strchr(open, '}') + 1;
	path += open - pattern;
	length = strcspn(path, "/");
	snprintf(parameter, HTTP_PARAMETER_SIZE, "%.*s", (int)(length < 1024 ? length : 1024), path);
	return length > 0 && strcmp(rest, path + length) == 0 ? 0 : -ENOENT;
}

static void find_route(struct http_request *r, const char *method, const char *path)
{
	char allowed[64] = "", parameter[HTTP_PARAMETER_SIZE];

	if (strcmp(method, "HEAD") == 0)
		method = "GET"; /* libmicrohttpd leaves the body out */
	for (const struct http_route *route = r->http->routes; route->pattern != NULL; route++) {
		if (http_match(route->pattern, path, parameter) != 0)
			continue;
		if (strcmp(method_names[route->method], method) == 0) {
			r->route = route;
			memcpy(r->parameter, parameter, sizeof(parameter));
			return;
		}
		snprintf(allowed + strlen(allowed), sizeof(allowed) - strlen(allowed), "%s%s", allowed[0] == '\0' ? "" : ", ",
			 method_names[route->method]);
	}
	if (allowed[0] == '\0')
		failure_set(&r->failure, ERROR_ROUTE_NOT_FOUND,
			    "There is nothing at %.200s; docs/openapi.yaml lists what there is.", path);
	else
		failure_set(&r->failure, ERROR_METHOD_NOT_ALLOWED, "%.20s is not possible on %.200s; possible: %s.", method, path,
			    allowed);
}

/* ---- the body ---- */

int http_parse_body(const char *text, size_t size, json_t **out, struct failure *failure)
{
	json_error_t error;

	*out = size == 0 ? json_object() : json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (*out == NULL)
		return failure_set(failure, ERROR_BAD_JSON, "The body is not JSON: %s (line %d, column %d).", error.text,
				   error.line, error.column);
	if (json_is_object(*out))
		return 0;
	json_decref(*out);
	*out = NULL;
	return failure_set(failure, ERROR_BAD_JSON, "The body is JSON, but not an object: {...} is expected.");
}

static size_t body_max_bytes(const struct http_request *r)
{
	return r->route == NULL || r->route->body_max_bytes == 0 ? HTTP_BODY_MAX_BYTES : r->route->body_max_bytes;
}

static void refuse_large(struct http_request *r)
{
	failure_set(&r->failure, ERROR_BODY_TOO_LARGE, "The body is larger than %zu bytes.", body_max_bytes(r));
}

/* False: cut the connection. */
static bool gather(struct http_request *r, const char *data, size_t size)
{
	if (r->text_size + size > body_max_bytes(r) && r->failure.code == ERROR_NONE)
		refuse_large(r);
	if (r->failure.code != ERROR_NONE) {
		r->discarded += size;
		return r->discarded <= HTTP_DISCARD_MAX_BYTES;
	}
	if (r->text_size + size > r->text_capacity) {
		size_t capacity = 2 * (r->text_size + size);
		char *text = realloc(r->text, capacity);

		if (text == NULL)
			return false;
		r->text = text;
		r->text_capacity = capacity;
	}
	memcpy(r->text + r->text_size, data, size);
	r->text_size += size;
	return true;
}

/* ---- answers ---- */

static enum MHD_Result queue_response(struct http_request *r)
{
	enum MHD_Result result = MHD_queue_response(r->connection, r->status, r->response);

	MHD_destroy_response(r->response);
	r->response = NULL;
	return result;
}

static void answer(struct http_request *r, unsigned status, const char *content_type, char *text)
{
	assert(r->response == NULL);
	r->status = status;
	r->response = text == NULL ? MHD_create_response_from_buffer(0, (void *)(size_t) "", MHD_RESPMEM_PERSISTENT)
				   : MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (r->response == NULL) {
		log_error("out of memory: a request is not answered");
		abort(); /* a request would hang for ever; the chassis starts us anew */
	}
	if (content_type != NULL)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	if (r->suspended) {
		list_del(&r->node);
		r->http->run_again = true;
		MHD_resume_connection(r->connection);
	}
}

void http_reply(struct http_request *r, unsigned status, json_t *body)
{
	char *text = body == NULL ? NULL : json_dumps(body, JSON_INDENT(2)), *line;

	json_decref(body);
	if (text == NULL) {
		status = 500;
		text = strdup("{\"error\": {\"code\": \"internal\", \"message\": \"Out of memory.\"}}");
	}
	if (text != NULL && (line = realloc(text, strlen(text) + 2)) != NULL)
		text = strcat(line, "\n");
	answer(r, status, "application/json", text);
}

void http_reply_text(struct http_request *r, const char *content_type, char *text)
{
	answer(r, 200, content_type, text);
}

void http_reply_nothing(struct http_request *r)
{
	answer(r, 204, NULL, NULL);
}

void http_fail(struct http_request *r, const struct failure *failure)
{
	unsigned status = api_error_status(failure->code);

	/* What a client sent may be in the sentence cut in the middle of a character. */
	json_t *message = json_string(failure->message);

	if (message == NULL)
		message = json_string("The request was refused; what it contained cannot be shown.");
	http_reply(r, status, json_pack("{s:{s:s,s:o}}", "error", "code", api_error_name(failure->code), "message", message));
}

/* ---- libmicrohttpd's side ---- */

static struct http_client *client_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void parse_body(struct http_request *r)
{
	if (r->failure.code == ERROR_NONE)
		http_parse_body(r->text, r->text_size, &r->body, &r->failure);
	free(r->text); /* it may be large, and the answer far away */
	r->text = NULL;
}

static enum MHD_Result dispatch(struct http_request *r)
{
	http_client_asked(client_of(r->connection));
	parse_body(r);
	if (r->failure.code == ERROR_NONE)
		r->route->handle(r->http->control, r);
	else
		http_fail(r, &r->failure);
	if (r->response != NULL)
		return queue_response(r);
	r->suspended = true;
	list_add_tail(&r->http->suspended, &r->node);
	MHD_suspend_connection(r->connection);
	return MHD_YES;
}

static struct http_request *begin(struct http *http, struct MHD_Connection *connection, const char *method, const char *path)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	unsigned long long size = length == NULL ? 0 : strtoull(length, NULL, 10);
	struct http_request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->http = http;
	r->connection = connection;
	list_init(&r->node);
	find_route(r, method, path);
	if (size > HTTP_DISCARD_MAX_BYTES && size > body_max_bytes(r))
		refuse_large(r);
	return r;
}

/*
 * Called once with the headers, then with every piece of the body, then once with nothing left; and once more when an answer has
 * made a suspended connection run again.
 */
static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *path, const char *method,
				 const char *version, const char *data, size_t *size, void **slot)
{
	struct http_request *r = *slot;

	(void)version;
	if (r == NULL) {
		*slot = r = begin(context, connection, method, path);
		if (r == NULL)
			return MHD_NO;
		if (r->failure.code == ERROR_BODY_TOO_LARGE) { /* not even to be read; the client may or may not hear why */
			http_fail(r, &r->failure);
			return queue_response(r);
		}
		return MHD_YES;
	}
	if (*size > 0) {
		bool go_on = gather(r, data, *size);

		*size = 0;
		return go_on ? MHD_YES : MHD_NO;
	}
	if (r->response != NULL)
		return queue_response(r);
	return dispatch(r);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot, enum MHD_RequestTerminationCode code)
{
	struct http_request *r = *slot;

	(void)context;
	(void)code;
	if (r == NULL)
		return;
	http_client_answered(client_of(connection));
	if (r->response != NULL)
		MHD_destroy_response(r->response);
	json_decref(r->body);
	free(r->text);
	free(r);
	*slot = NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot, enum MHD_ConnectionNotificationCode code)
{
	struct http *http = context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*slot = http_client_new(&http->clients,
					MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
	else
		http_client_gone(*slot);
	http->run_again |= code == MHD_CONNECTION_NOTIFY_CLOSED;
}

static void on_log(void *context, const char *format, va_list args)
{
	char text[512];

	(void)context;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http: %s", text);
}

static void on_ready(struct event_watch *watch, uint32_t epoll_events)
{
	struct http *http = container_of(watch, struct http, watch);

	(void)epoll_events;
	MHD_run(http->daemon);
}

int http_open(struct http **out, int socket, struct events *events, const struct http_route *routes, struct control *control)
{
	struct http *http = calloc(1, sizeof(*http));
	const union MHD_DaemonInfo *info;
	int rc;

	if (http == NULL)
		return -ENOMEM;
	*http = (struct http){.events = events, .watch = {.fd = -1, .ready = on_ready}, .routes = routes, .control = control};
	list_init(&http->suspended);
	http_clients_init(&http->clients);
	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_access, http,
		MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, http, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)HTTP_IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEADERS_MAX_BYTES,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (http->daemon == NULL) {
		rc = -EIO;
		goto fail;
	}
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	rc = events_add(events, &http->watch, info->epoll_fd, EPOLLIN);
	if (rc < 0)
		goto stop;
	*out = http;
	return 0;
stop:
	MHD_stop_daemon(http->daemon);
fail:
	free(http);
	return rc;
}

void http_close(struct http *http)
{
	struct failure failure;

	/* libmicrohttpd cannot stop with connections suspended; and whoever waits deserves an answer. */
	failure_set(&failure, ERROR_BUSY,
		    "Outboard is being stopped or restarted; what was asked may or may not be done. Ask again.");
	list_for_each_safe (node, after, &http->suspended)
		http_fail(list_entry(node, struct http_request, node), &failure);
	MHD_run(http->daemon);
	events_remove(http->events, &http->watch);
	MHD_stop_daemon(http->daemon);
	free(http);
}

/* How long the library would wait, 60 s at most; it may have work at once. */
static int library_timeout(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	if (MHD_get_timeout(http->daemon, &timeout_ms) != MHD_YES)
		return -1;
	return timeout_ms > 60000 ? 60000 : (int)timeout_ms;
}

int http_turn(struct http *http)
{
	int timeout_ms, clients_ms;

	if (http->run_again) {
		http->run_again = false;
		MHD_run(http->daemon);
	}
	if (http->run_again) /* again, by a handler that ran just now */
		return 0;
	clients_ms = http_clients_turn(&http->clients);
	timeout_ms = library_timeout(http);
	if (timeout_ms == 0)
		MHD_run(http->daemon);
	return clients_ms >= 0 && (timeout_ms < 0 || clients_ms < timeout_ms) ? clients_ms : timeout_ms;
}

const char *http_parameter(const struct http_request *r)
{
	return r->parameter;
}

const char *http_query(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const json_t *http_body(const struct http_request *r)
{
	return r->body;
}

json_t *http_take_body(struct http_request *r)
{
	json_t *body = r->body;

	r->body = NULL;
	return body;
}

int http_argument(const struct http_request *r)
{
	return r->route->argument;
}
