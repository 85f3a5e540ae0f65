#include "control/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	unsigned status;
	const char *name;
} errors[ERROR_COUNT] = {
	[ERROR_BAD_JSON] = {400, "bad_json"},
	[ERROR_EXPORT_FORBIDDEN] = {403, "export_forbidden"},
	[ERROR_WRONG_PASSPHRASE] = {403, "wrong_passphrase"},
	[ERROR_KEY_REFUSED] = {403, "key_refused"},
	[ERROR_ROUTE_NOT_FOUND] = {404, "route_not_found"},
	[ERROR_VOLUME_NOT_FOUND] = {404, "volume_not_found"},
	[ERROR_ATTACHMENT_NOT_FOUND] = {404, "attachment_not_found"},
	[ERROR_KEY_NOT_FOUND] = {404, "key_not_found"},
	[ERROR_CARD_NOT_FOUND] = {404, "card_not_found"},
	[ERROR_OBJECT_NOT_FOUND] = {404, "object_not_found"},
	[ERROR_CAPTURE_NOT_FOUND] = {404, "capture_not_found"},
	[ERROR_METHOD_NOT_ALLOWED] = {405, "method_not_allowed"},
	[ERROR_VOLUME_EXISTS] = {409, "volume_exists"},
	[ERROR_PATH_EXISTS] = {409, "path_exists"},
	[ERROR_PATH_IN_USE] = {409, "path_in_use"},
	[ERROR_VOLUME_ATTACHED] = {409, "volume_attached"},
	[ERROR_VOLUME_BUSY] = {409, "volume_busy"},
	[ERROR_ATTACHMENT_EXISTS] = {409, "attachment_exists"},
	[ERROR_SOCKET_IN_USE] = {409, "socket_in_use"},
	[ERROR_KEY_IN_USE] = {409, "key_in_use"},
	[ERROR_KEY_BUSY] = {409, "key_busy"},
	[ERROR_NOT_ENCRYPTED] = {409, "not_encrypted"},
	[ERROR_OBJECT_EXISTS] = {409, "object_exists"},
	[ERROR_OBJECT_IN_USE] = {409, "object_in_use"},
	[ERROR_FIELD_FIXED] = {409, "field_fixed"},
	[ERROR_ENI_ATTACHED] = {409, "eni_attached"},
	[ERROR_TAP_IN_USE] = {409, "tap_in_use"},
	[ERROR_CONFLICT] = {409, "conflict"},
	[ERROR_BODY_TOO_LARGE] = {413, "body_too_large"},
	[ERROR_UNKNOWN_FIELD] = {422, "unknown_field"},
	[ERROR_MISSING_FIELD] = {422, "missing_field"},
	[ERROR_INVALID_FIELD] = {422, "invalid_field"},
	[ERROR_LIMIT_REACHED] = {422, "limit_reached"},
	[ERROR_STORAGE] = {500, "storage_error"},
	[ERROR_INTERNAL] = {500, "internal"},
	[ERROR_CARD_UNAVAILABLE] = {503, "card_unavailable"},
	[ERROR_CARD_TIMEOUT] = {503, "card_timeout"},
	[ERROR_CARD_FULL] = {503, "card_full"},
	[ERROR_VAULT_LOCKED] = {503, "vault_locked"},
	[ERROR_VAULT_UNAVAILABLE] = {503, "vault_unavailable"},
	[ERROR_NBD_UNAVAILABLE] = {503, "nbd_unavailable"},
	[ERROR_BUSY] = {503, "busy"},
	[ERROR_NO_SPACE] = {507, "no_space"},
	[ERROR_STATE_FULL] = {507, "state_full"},
};

int failure_set(struct failure *failure, enum api_error code, const char *format, ...)
{
	va_list args;

	failure->code = code;
	va_start(args, format);
	vsnprintf(failure->message, sizeof(failure->message), format, args);
	va_end(args);
	return -EINVAL;
}

unsigned api_error_status(enum api_error code)
{
	assert(code > ERROR_NONE && code < ERROR_COUNT);
	return errors[code].status;
}

const char *api_error_name(enum api_error code)
{
	assert(code > ERROR_NONE && code < ERROR_COUNT);
	return errors[code].name;
}
