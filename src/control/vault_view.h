/* Asking the vault how it is, without waiting for it. */
#ifndef OUTBOARD_CONTROL_VAULT_VIEW_H
#define OUTBOARD_CONTROL_VAULT_VIEW_H

#include "control/control.h"

struct vault_question {
	struct list node; /* of those that wait for the same answer */
	struct control *control;
	struct http_request *request;
	enum vault_error error;
	struct vault_status status;			 /* with VAULT_OK */
	void (*answer)(struct vault_question *question); /* answers the request; the question is freed afterwards */
};

/* `answer` is always called, with VAULT_UNAVAILABLE when the vault is silent, unless memory is out (the request is answered then).
 */
void vault_ask(struct control *control, struct http_request *request, void (*answer)(struct vault_question *question));
const char *vault_state_name(enum vault_error error, const struct vault_status *status); /* "unlocked", "locked", "down" */

#endif
