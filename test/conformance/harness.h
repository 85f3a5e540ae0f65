/* The bench around the pipeline: harness.c reads commands, bench.c holds guests, wires, the clock, and prints. */
#ifndef OUTBOARD_TEST_HARNESS_H
#define OUTBOARD_TEST_HARNESS_H

#include <jansson.h>

#include "fake_wire.h"
#include "vpc/model.h"
#include "vpc/vpc.h"

enum { HARNESS_GUESTS_MAX = 256 };
#define HARNESS_HZ UINT64_C(1000000000)

struct guest {
	struct packet_sink sink;
	struct packet_input *input;
	char name[NET_NAME_SIZE];
	struct uuid id;
	unsigned room; /* frames that it still has buffers for */
	bool attached;
};

struct harness {
	struct model *model;
	struct vpc *vpc;
	uint64_t now;
	struct fake_wire *wires[WIRES_MAX];
	unsigned wire_count;
	struct guest guests[HARNESS_GUESTS_MAX];
	unsigned guest_count;
	struct capture *capture;
};

int harness_open(struct harness *h, int argc, char **argv);
void harness_close(struct harness *h);
void harness_run_ticks(struct harness *h, uint64_t ticks);
void harness_send(struct harness *h, const struct policy_endpoint *e, struct packet *p);
const struct policy_endpoint *harness_endpoint(struct harness *h, const char *name); /* NULL: an error was printed */

/* Commands; `rest` is theirs. */
void harness_attach(struct harness *h, char *rest);
void harness_detach(struct harness *h, char *rest);
void harness_eni_room(struct harness *h, char *rest);
void harness_capture(struct harness *h, char *rest);
void harness_counters(struct harness *h, char *rest);
void harness_flows(struct harness *h, char *rest);

/* An answer is "ok" unless an error was said. */
void harness_begin_answer(void);
void harness_end_answer(void);
void harness_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void harness_print_wires(struct harness *h); /* what was put, and forgets it */

#endif
