/*
 * The pipeline on a bench: policy in, frames in, frames out, one line each, under a clock that only moves when it is told to. Python
 * drives it (test/support/packet_bench.py), so that scapy can say what a frame ought to be.
 *
 *	harness [--wire TEXT]... [--wire-mtu BYTES] [--wire-offloads WORDS] [--flows N]
 *
 *	apply JSON			a net_apply command: {"reset": bool, "changes": [{"kind", "id", "object"}]}
 *	attach ENI [WORDS] [MTU]	a guest takes the ENI; WORDS as in "csum,tso4,tso6,uso", or "-"
 *	detach ENI
 *	eni ENI HEX [FLAGS GSO GSO_SIZE CSUM_START CSUM_OFFSET]		a guest sends a frame; numbers as in base/packet.h
 *	wire[@N] HEX			a frame comes in on wire N (0)
 *	wire-room N			the wires take N more frames, and are full then
 *	eni-room ENI N			so does the guest
 *	advance MS			time passes, with what vpc_tick() does
 *	trace ENI TEXT			vpc/vpc.h
 *	capture ENI [drops]		begins, or prints as "pcap HEX LOST" what came since
 *	counters [ENI]			JSON
 *	flows				those that are there
 *	quit
 *
 * Answers, before a last line "ok" or "error SENTENCE":
 *
 *	eni ENI FLAGS:GSO:GSO_SIZE:CSUM_START:CSUM_OFFSET HEX		a guest is given a frame
 *	wire[@N] HEX | wire[@N] HEX FLAGS:GSO:...			a frame goes out; the second form: with offloads
 *	drop ENI|wire REASON		the frame that this command brought has gone
 *	trace STAGE VERDICT DETAIL, dropped REASON
 *	log LINE			of a flow log
 *	flow ...			endpoint, protocol, local, remote, state, verdict out, verdict in, public address
 */
#include "harness.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "card/net_spec.h"
#include "vpc/parse.h"

enum { LINE_BYTES_MAX = 4 << 20, ERROR_BYTES = 512 };

/* ---- policy ---- */

static int apply_change(struct model_change *change, const json_t *item, char *error, size_t error_size)
{
	const char *kind_word = json_string_value(json_object_get(item, "kind"));
	const char *id_text = json_string_value(json_object_get(item, "id"));
	const json_t *object = json_object_get(item, "object");
	struct net_spec spec;
	enum net_kind kind;
	struct uuid id;
	int rc;

	if (kind_word == NULL || net_kind_parse(kind_word, &kind) != 0 || id_text == NULL || uuid_parse(id_text, &id) != 0) {
		snprintf(error, error_size, "a change has kind and id");
		return -EINVAL;
	}
	if (object == NULL || json_is_null(object))
		return model_change_delete(change, kind, &id);
	rc = net_spec_parse(kind, &id, object, &spec, error, error_size);
	if (rc == 0) {
		rc = model_change_put(change, &spec);
		net_spec_free(&spec);
	}
	return rc;
}

static int apply_all(struct harness *h, const json_t *command, char *error, size_t error_size)
{
	const struct policy *old = model_policy(h->model), *next;
	struct model_change *change;
	struct uuid culprit;
	json_t *item;
	size_t i;
	int rc = model_change_begin(h->model, &change);

	if (rc == 0 && json_is_true(json_object_get(command, "reset")))
		rc = model_change_reset(change);
	json_array_foreach (json_object_get(command, "changes"), i, item)
		if (rc == 0)
			rc = apply_change(change, item, error, error_size);
	if (rc != 0) {
		model_change_cancel(change);
		return rc;
	}
	rc = model_change_finish(change, &next, &culprit, error, error_size);
	if (rc != 0)
		return rc;
	vpc_set_policy(h->vpc, next, h->now);
	model_release(h->model, old);
	harness_run_ticks(h, 0);
	return 0;
}

static void command_apply(struct harness *h, char *rest)
{
	char error[ERROR_BYTES] = "";
	json_error_t where;
	json_t *command = json_loads(rest, 0, &where);
	int rc;

	if (command == NULL) {
		harness_error("not JSON: %s", where.text);
		return;
	}
	rc = apply_all(h, command, error, sizeof(error));
	json_decref(command);
	if (rc != 0)
		harness_error("%s (%s)", error, strerror(-rc));
}

const struct policy_endpoint *harness_endpoint(struct harness *h, const char *name)
{
	const struct policy *p = model_policy(h->model);

	for (uint32_t slot = 0; name != NULL && slot < p->endpoint_max; slot++)
		if (p->endpoints[slot] != NULL && strcmp(p->endpoints[slot]->name, name) == 0)
			return p->endpoints[slot];
	harness_error("there is no endpoint '%s' on this card", name != NULL ? name : "");
	return NULL;
}

/* ---- frames ---- */

/* As a front end has them: the head is private and short, the rest lies elsewhere. */
struct given {
	struct packet packet;
	struct iovec tail;
	uint8_t room[PACKET_HEAD_BYTES];
	uint8_t *bytes;
};

static bool give(struct given *g, const char *hex)
{
	size_t size, head;

	memset(g, 0, sizeof(*g));
	g->bytes = malloc(PACKET_FRAME_MAX_BYTES);
	if (hex == NULL || g->bytes == NULL || hex_parse(hex, g->bytes, PACKET_FRAME_MAX_BYTES, &size) != 0) {
		free(g->bytes);
		harness_error("not the hexadecimal of a frame");
		return false;
	}
	head = size < PACKET_HEAD_MIN_BYTES ? size : PACKET_HEAD_MIN_BYTES;
	/* Exactly as long as what is read, so that a sanitizer sees a byte too many. */
	g->bytes = realloc(g->bytes, size > 0 ? size : 1);
	memcpy(g->room + PACKET_HEADROOM_BYTES, g->bytes, head);
	g->packet = (struct packet){.head = g->room + PACKET_HEADROOM_BYTES,
				    .headroom_bytes = PACKET_HEADROOM_BYTES,
				    .head_bytes = (uint16_t)head,
				    .tail_bytes = (uint32_t)(size - head),
				    .tail = &g->tail,
				    .tail_count = size > head};
	g->tail = (struct iovec){g->bytes + head, size - head};
	return true;
}

static void command_eni(struct harness *h, char *rest)
{
	char *save = NULL, *name = strtok_r(rest, " ", &save), *hex = strtok_r(NULL, " ", &save);
	const struct policy_endpoint *e = harness_endpoint(h, name);
	unsigned numbers[5] = {0};
	struct given g;
	struct packet *p = &g.packet;

	if (e == NULL || !give(&g, hex))
		return;
	for (unsigned i = 0; i < 5; i++) {
		const char *word = strtok_r(NULL, " ", &save);

		numbers[i] = word != NULL ? (unsigned)strtoul(word, NULL, 0) : 0;
	}
	p->flags = (uint8_t)numbers[0];
	p->gso = (uint8_t)numbers[1];
	p->gso_size = (uint16_t)numbers[2];
	p->csum_start = (uint16_t)numbers[3];
	p->csum_offset = (uint16_t)numbers[4];
	harness_send(h, e, p);
	if (p->drop != DROP_NONE)
		printf("drop %s %s\n", e->name, drop_name(p->drop));
	free(g.bytes);
}

static void command_wire(struct harness *h, unsigned index, char *rest)
{
	struct given g;
	struct packet *p = &g.packet;

	if (index >= h->wire_count) {
		harness_error("there is no wire %u", index);
		return;
	}
	if (!give(&g, rest))
		return;
	vpc_wire_input(h->vpc, index)->receive(vpc_wire_input(h->vpc, index), &p, 1, h->now);
	if (p->drop != DROP_NONE)
		printf("drop wire %s\n", drop_name(p->drop));
	free(g.bytes);
}

/* ---- the rest ---- */

static void command_trace(struct harness *h, char *rest)
{
	char *save = NULL, *name = strtok_r(rest, " ", &save);
	const struct policy_endpoint *e = harness_endpoint(h, name);
	uint8_t room[PACKET_HEAD_BYTES];
	struct packet p = {.head = room + PACKET_HEADROOM_BYTES, .headroom_bytes = PACKET_HEADROOM_BYTES};
	char error[ERROR_BYTES];
	struct trace t;

	if (e == NULL)
		return;
	if (trace_packet_parse(save, e, &p, error, sizeof(error)) != 0) {
		harness_error("%s", error);
		return;
	}
	vpc_trace(h->vpc, e->slot, &p, &t, h->now);
	for (unsigned i = 0; i < t.count; i++)
		printf("trace %s %s %s\n", t.lines[i].stage, t.lines[i].verdict, t.lines[i].detail);
	if (t.drop != DROP_NONE)
		printf("dropped %s\n", drop_name(t.drop));
}

static void command_advance(struct harness *h, char *rest)
{
	harness_run_ticks(h, strtoull(rest, NULL, 10) * (HARNESS_HZ / 1000));
}

static void command_wire_room(struct harness *h, char *rest)
{
	for (unsigned i = 0; i < h->wire_count; i++)
		h->wires[i]->room = (unsigned)strtoul(rest, NULL, 10);
}

static const struct {
	const char *name;
	void (*run)(struct harness *h, char *rest);
} commands[] = {
	{"apply", command_apply},	  {"attach", harness_attach},
	{"detach", harness_detach},	  {"eni", command_eni},
	{"advance", command_advance},	  {"trace", command_trace},
	{"wire-room", command_wire_room}, {"eni-room", harness_eni_room},
	{"capture", harness_capture},	  {"counters", harness_counters},
	{"flows", harness_flows},
};

static void run_line(struct harness *h, char *line)
{
	char *rest = strchr(line, ' ');

	if (rest != NULL)
		*rest++ = '\0';
	else
		rest = line + strlen(line);
	if (strncmp(line, "wire", 4) == 0 && (line[4] == '\0' || line[4] == '@')) {
		command_wire(h, line[4] == '@' ? (unsigned)strtoul(line + 5, NULL, 10) : 0, rest);
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, line) == 0) {
			commands[i].run(h, rest);
			return;
		}
	harness_error("there is no command '%s'", line);
}

int main(int argc, char **argv)
{
	char *line = malloc(LINE_BYTES_MAX);
	struct harness h;

	if (line == NULL || harness_open(&h, argc, argv) != 0)
		return EXIT_FAILURE;
	while (fgets(line, LINE_BYTES_MAX, stdin) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		if (strcmp(line, "quit") == 0)
			break;
		harness_begin_answer();
		run_line(&h, line);
		harness_print_wires(&h);
		harness_end_answer();
	}
	harness_close(&h);
	free(line);
	return EXIT_SUCCESS;
}
