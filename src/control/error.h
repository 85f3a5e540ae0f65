/*
 * What the API answers when it cannot do what it was asked: a stable code for programs, an HTTP status, and a sentence for a
 * person that names the object, says what happened and what to do. docs/openapi.yaml lists the codes by status.
 */
#ifndef OUTBOARD_CONTROL_ERROR_H
#define OUTBOARD_CONTROL_ERROR_H

enum api_error {
	ERROR_NONE,
	/* 400 */
	ERROR_BAD_JSON,
	/* 403 */
	ERROR_EXPORT_FORBIDDEN,
	ERROR_WRONG_PASSPHRASE,
	ERROR_KEY_REFUSED,
	/* 404 */
	ERROR_ROUTE_NOT_FOUND,
	ERROR_VOLUME_NOT_FOUND,
	ERROR_ATTACHMENT_NOT_FOUND,
	ERROR_KEY_NOT_FOUND,
	ERROR_CARD_NOT_FOUND,
	ERROR_OBJECT_NOT_FOUND,
	ERROR_CAPTURE_NOT_FOUND,
	/* 405 */
	ERROR_METHOD_NOT_ALLOWED,
	/* 409 */
	ERROR_VOLUME_EXISTS,
	ERROR_PATH_EXISTS,
	ERROR_PATH_IN_USE,
	ERROR_VOLUME_ATTACHED,
	ERROR_VOLUME_BUSY,
	ERROR_ATTACHMENT_EXISTS,
	ERROR_SOCKET_IN_USE,
	ERROR_KEY_IN_USE,
	ERROR_KEY_BUSY,
	ERROR_NOT_ENCRYPTED,
	ERROR_OBJECT_EXISTS,
	ERROR_OBJECT_IN_USE,
	ERROR_FIELD_FIXED,
	ERROR_ENI_ATTACHED,
	ERROR_TAP_IN_USE,
	ERROR_CONFLICT,
	/* 413 */
	ERROR_BODY_TOO_LARGE,
	/* 422 */
	ERROR_UNKNOWN_FIELD,
	ERROR_MISSING_FIELD,
	ERROR_INVALID_FIELD,
	ERROR_LIMIT_REACHED,
	/* 500 */
	ERROR_STORAGE,
	ERROR_INTERNAL,
	/* 503 */
	ERROR_CARD_UNAVAILABLE,
	ERROR_CARD_TIMEOUT,
	ERROR_CARD_FULL,
	ERROR_VAULT_LOCKED,
	ERROR_VAULT_UNAVAILABLE,
	ERROR_NBD_UNAVAILABLE,
	ERROR_BUSY,
	/* 507 */
	ERROR_NO_SPACE,
	ERROR_STATE_FULL,
	ERROR_COUNT,
};

enum { FAILURE_MESSAGE_SIZE = 1024 };

/* An error on its way to whoever asked. */
struct failure {
	enum api_error code; /* ERROR_NONE: no failure */
	char message[FAILURE_MESSAGE_SIZE];
};

/* Always returns -EINVAL, to be the last line of a check. */
int failure_set(struct failure *failure, enum api_error code, const char *format, ...) __attribute__((format(printf, 3, 4)));

unsigned api_error_status(enum api_error code); /* HTTP */
const char *api_error_name(enum api_error code);

#endif
