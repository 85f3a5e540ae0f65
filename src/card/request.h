/* One command from control, while it is carried out: what the files of commands share. */
#ifndef OUTBOARD_CARD_REQUEST_H
#define OUTBOARD_CARD_REQUEST_H

#include "card/card.h"
#include "card/fields.h"
#include "card/vhost_device.h"

enum { NO_REQUEST = -1 };

struct request {
	struct card *card;
	int64_t id;
	const json_t *body;
	char error[512];
};

struct operation {
	const char *op;
	void (*run)(struct request *request);
};

/* End with an op of NULL. */
extern const struct operation volume_operations[]; /* volume_commands.c */
extern const struct operation net_operations[];	   /* net_commands.c */

void request_refuse(struct request *request, const char *code); /* with request->error */
struct fields request_fields(struct request *request);

/* How a VMM reaches a device: socket, queues (1 to queues_max), uid, gid, mode, packed. 0, or -EINVAL with request->error set. */
struct socket_request {
	struct device_socket socket;
	uint16_t queues;
	bool packed;
};
int request_socket(struct request *request, unsigned queues_default, unsigned queues_max, struct socket_request *out);

/* Answers a request that waited, if it still does; code NULL: it succeeded. */
void request_answer(struct card *card, int64_t *request_id, const char *code, const char *message);

#endif
