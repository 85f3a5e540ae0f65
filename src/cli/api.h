/* The card's REST API (docs/openapi.yaml) over its unix socket: one request, one answer. */
#ifndef OUTBOARD_CLI_API_H
#define OUTBOARD_CLI_API_H

#include <jansson.h>

#include "cli/command.h"

enum {
	API_CODE_SIZE = 64,
	API_MESSAGE_SIZE = 1024,
	API_PATIENCE_S = 60, /* control itself gives up on whatever it waits for long before */
	API_PATIENCE_MAX_S = 86400,
};

struct api_error {
	char code[API_CODE_SIZE]; /* the API's own, or "unreachable", "timeout", "protocol" */
	char message[API_MESSAGE_SIZE];
};

/* `body` and `reply` may be NULL; a reply is a new reference (NULL for an answer without a body). 0, or -1 with *error. */
int api_request(const char *socket, unsigned patience_s, const char *method, const char *path, const json_t *body, json_t **reply,
		struct api_error *error);

/* The same for a command: prints the error. 0 or the exit status. The path is formatted. */
int api_call(const struct cli *cli, const char *method, json_t *body /* taken over */, json_t **reply, const char *path_format, ...)
	__attribute__((format(printf, 5, 6)));

/* For what asked with api_request(): prints the error in terms of the command's options. The exit status. */
int api_fail(const struct cli *cli, struct api_error *error);

/* POSTs a text that may be large. 0, or -1 with *error. */
struct progress;
int api_upload(const struct cli *cli, const char *path, const char *text, struct progress *progress, json_t **reply,
	       struct api_error *error);

#endif
