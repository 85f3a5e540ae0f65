#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/list.h"
#include "vpc/parse.h"
#include "vpc/pipeline.h"

enum { WIRE_MTU_DEFAULT = 1500, GUEST_MTU_DEFAULT = 1450, FLOWS_BENCH = 4096, READ_BYTES = 65536 };
#define WALL_CLOCK_START UINT64_C(1700000000000000000) /* ns since 1970 when the bench starts */

static bool failed;

void harness_begin_answer(void)
{
	failed = false;
}

void harness_end_answer(void)
{
	if (!failed)
		puts("ok");
	fflush(stdout);
}

void harness_error(const char *format, ...)
{
	va_list arguments;

	if (failed)
		return;
	failed = true;
	fputs("error ", stdout);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

/* ---- frames that come out ---- */

static void print_hex(const uint8_t *bytes, size_t size)
{
	char *text = malloc(2 * size + 1);

	if (text == NULL)
		abort();
	hex_format(bytes, size, text);
	fputs(text, stdout);
	free(text);
}

static void print_offloads(uint8_t flags, uint8_t gso, uint16_t gso_size, uint16_t csum_start, uint16_t csum_offset)
{
	printf("%u:%u:%u:%u:%u", flags, gso, gso_size, csum_start, csum_offset);
}

static bool guest_put(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc)
{
	struct guest *g = container_of(sink, struct guest, sink);

	(void)now_tsc;
	if (g->room == 0)
		return false;
	if (g->room != UINT_MAX)
		g->room--;
	printf("eni %s ", g->name);
	print_offloads(p->flags, p->gso, p->gso_size, p->csum_start, p->csum_offset);
	putchar(' ');
	print_hex(p->head, p->head_bytes);
	for (unsigned i = 0; i < p->tail_count; i++)
		print_hex(p->tail[i].iov_base, p->tail[i].iov_len);
	putchar('\n');
	return true;
}

static void guest_flush(struct packet_sink *sink, uint64_t now_tsc)
{
	(void)sink;
	(void)now_tsc;
}

void harness_print_wires(struct harness *h)
{
	for (unsigned i = 0; i < h->wire_count; i++) {
		struct fake_wire *w = h->wires[i];

		for (unsigned k = 0; k < w->frame_count; k++) {
			const struct fake_frame *f = &w->frames[k];

			fputs("wire", stdout);
			if (i > 0)
				printf("@%u", i);
			putchar(' ');
			print_hex(f->bytes, f->size);
			if ((f->flags & PACKET_NEEDS_CSUM) != 0 || f->gso != PACKET_GSO_NONE) {
				putchar(' ');
				print_offloads(f->flags, f->gso, f->gso_size, f->csum_start, f->csum_offset);
			}
			putchar('\n');
		}
		fake_wire_forget(w);
	}
}

static void print_log(void *context, const struct policy_endpoint *endpoint, const char *line)
{
	(void)context;
	(void)endpoint;
	printf("log %s\n", line);
}

/* ---- guests ---- */

static const struct packet_sink_ops guest_ops = {guest_put, guest_flush};

static struct guest *guest_of(struct harness *h, const char *name)
{
	for (unsigned i = 0; i < h->guest_count; i++)
		if (strcmp(h->guests[i].name, name) == 0)
			return &h->guests[i];
	if (h->guest_count == HARNESS_GUESTS_MAX)
		abort();
	snprintf(h->guests[h->guest_count].name, NET_NAME_SIZE, "%s", name);
	return &h->guests[h->guest_count++];
}

static uint32_t parse_offloads(const char *words)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} offloads[] = {{"csum", SINK_CSUM}, {"tso4", SINK_TSO4}, {"tso6", SINK_TSO6}, {"uso", SINK_USO}};
	uint32_t bits = 0;

	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++)
		if (words != NULL && strstr(words, offloads[i].name) != NULL)
			bits |= offloads[i].bit;
	return bits;
}

void harness_attach(struct harness *h, char *rest)
{
	char *save = NULL, *name = strtok_r(rest, " ", &save), *words = strtok_r(NULL, " ", &save),
	     *mtu = strtok_r(NULL, " ", &save);
	const struct policy_endpoint *e = harness_endpoint(h, name);
	struct guest *g;

	if (e == NULL)
		return;
	g = guest_of(h, e->name);
	g->sink = (struct packet_sink){.ops = &guest_ops,
				       .offloads = parse_offloads(words),
				       .frame_bytes_max = (mtu != NULL ? (uint32_t)atoi(mtu) : GUEST_MTU_DEFAULT) + ETHER_BYTES};
	g->room = UINT_MAX;
	g->input = vpc_attach(h->vpc, e->slot, &g->sink);
	g->attached = true;
}

void harness_detach(struct harness *h, char *rest)
{
	const struct policy_endpoint *e = harness_endpoint(h, rest);

	if (e == NULL)
		return;
	vpc_detach(h->vpc, e->slot);
	guest_of(h, e->name)->attached = false;
}

void harness_eni_room(struct harness *h, char *rest)
{
	char *save = NULL, *name = strtok_r(rest, " ", &save), *room = strtok_r(NULL, " ", &save);
	const struct policy_endpoint *e = harness_endpoint(h, name);

	if (e != NULL)
		guest_of(h, e->name)->room = room != NULL ? (unsigned)strtoul(room, NULL, 10) : UINT_MAX;
}

void harness_send(struct harness *h, const struct policy_endpoint *e, struct packet *p)
{
	struct guest *g = guest_of(h, e->name);

	if (!g->attached)
		harness_error("'%s' is not attached", e->name);
	else
		g->input->receive(g->input, &p, 1, h->now);
}

/* ---- what can be seen ---- */

void harness_capture(struct harness *h, char *rest)
{
	char *save = NULL, *name = strtok_r(rest, " ", &save), *words = strtok_r(NULL, " ", &save);
	const struct policy_endpoint *e = harness_endpoint(h, name);
	uint8_t *data = malloc(READ_BYTES);
	uint64_t lost;
	size_t bytes;

	if (e == NULL || data == NULL) {
		free(data);
		return;
	}
	if (h->capture == NULL) {
		struct capture_config config = {.slot = e->slot, .snap_bytes = 65535, .drops = words != NULL};

		vpc_capture_start(h->vpc, &config, &h->capture);
	} else {
		bytes = vpc_capture_read(h->capture, data, READ_BYTES, &lost);
		fputs("pcap ", stdout);
		print_hex(data, bytes);
		printf(" %llu\n", (unsigned long long)lost);
	}
	free(data);
}

static void add_drops(json_t *to, const uint64_t *drops)
{
	json_t *object = json_object();

	for (unsigned i = 1; i < DROP_REASON_COUNT; i++)
		if (drops[i] != 0)
			json_object_set_new(object, drop_name((enum drop_reason)i), json_integer((json_int_t)drops[i]));
	json_object_set_new(to, "drops", object);
}

void harness_counters(struct harness *h, char *rest)
{
	json_t *out;
	char *text;

	if (*rest == '\0') {
		const struct vpc_counters *c = vpc_counters(h->vpc);

		out = json_pack("{sI sI sI sI}", "flows", (json_int_t)c->flows, "flows_created", (json_int_t)c->flows_created,
				"flows_expired", (json_int_t)c->flows_expired, "packets", (json_int_t)c->packets);
		add_drops(out, c->drops);
	} else {
		const struct policy_endpoint *e = harness_endpoint(h, rest);
		const struct vpc_endpoint_counters *c = e != NULL ? vpc_endpoint_counters(h->vpc, e->slot) : NULL;

		if (c == NULL)
			return;
		out = json_pack("{sI sI sI sI sI sI sI sI}", "packets_in", (json_int_t)c->in.packets, "bytes_in",
				(json_int_t)c->in.bytes, "packets_out", (json_int_t)c->out.packets, "bytes_out",
				(json_int_t)c->out.bytes, "flows", (json_int_t)c->flows, "flows_max", (json_int_t)c->flows_max,
				"flows_created", (json_int_t)c->flows_created, "slow_path", (json_int_t)c->slow_path);
		add_drops(out, c->drops);
	}
	text = json_dumps(out, JSON_COMPACT | JSON_SORT_KEYS);
	printf("counters %s\n", text);
	free(text);
	json_decref(out);
}

static void print_flow(void *context, struct flow *f, uint32_t index)
{
	static const char *const states[] = {"free", "new", "replied", "established", "closing", "closed"};
	static const char *const verdicts[] = {"local", "host", "outside", "endpoint", "refused"};
	struct harness *h = context;
	const struct policy_endpoint *e = policy_endpoint_at(model_policy(h->model), f->key.zone);
	char local[NET_ADDRESS_TEXT_SIZE], remote[NET_ADDRESS_TEXT_SIZE], public[NET_ADDRESS_TEXT_SIZE] = "-";

	(void)index;
	net_address_format(&f->key.local, local);
	net_address_format(&f->key.remote, remote);
	if ((f->flags & FLOW_TRANSLATED) != 0)
		net_address_format(&f->public_address, public);
	printf("flow %s %u %s %u %s %u %s %s %s %s %u\n", e != NULL ? e->name : "-", f->key.protocol, local,
	       ntohs(f->key.local_port), remote, ntohs(f->key.remote_port), states[f->state], verdicts[f->out.verdict],
	       verdicts[f->in.verdict], public, ntohs(f->public_port));
}

static void ignore_flow(void *context, struct flow *f, uint32_t index)
{
	(void)context;
	(void)f;
	(void)index;
}

/* A round of the sweep at a time when nothing has expired that had not before. */
void harness_flows(struct harness *h, char *rest)
{
	(void)rest;
	while (flow_table_sweep_left(h->vpc->flows) > 0)
		flow_table_sweep(h->vpc->flows, h->vpc->now_ms, NULL, ignore_flow, h);
	do
		flow_table_sweep(h->vpc->flows, h->vpc->now_ms, print_flow, print_flow, h);
	while (flow_table_sweep_left(h->vpc->flows) > 0);
}

/* ---- life ---- */

void harness_run_ticks(struct harness *h, uint64_t ticks)
{
	uint64_t end = h->now + ticks, next;

	for (;;) {
		while (vpc_tick(h->vpc, h->now, &next))
			continue;
		harness_print_wires(h);
		if (next >= end || h->now >= end)
			break;
		h->now = next > h->now ? next : h->now + 1;
	}
	h->now = end;
}

static int open_wire(struct harness *h, const char *text, uint16_t mtu, uint32_t offloads)
{
	struct fake_wire *w;

	if (h->wire_count == WIRES_MAX)
		return -ENOSPC;
	w = fake_wire_open(text, h->wire_count);
	w->wire.mtu = mtu;
	w->wire.sink.frame_bytes_max = mtu + (uint32_t)ETHER_BYTES;
	w->wire.sink.offloads = offloads;
	w->wire.offload = NULL;
	h->wires[h->wire_count++] = w;
	return vpc_add_wire(h->vpc, &w->wire);
}

int harness_open(struct harness *h, int argc, char **argv)
{
	struct vpc_config config = {.flows_max = FLOWS_BENCH,
				    .flow_arena_fd = -1,
				    .ticks_per_second = HARNESS_HZ,
				    .cookie_key = {1, 2},
				    .flow_log = print_log,
				    .wall_clock_offset_ns = WALL_CLOCK_START - HARNESS_HZ};
	uint16_t mtu = WIRE_MTU_DEFAULT;
	uint32_t offloads = 0;

	memset(h, 0, sizeof(*h));
	h->now = HARNESS_HZ;
	for (int i = 1; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--flows") == 0)
			config.flows_max = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--wire-mtu") == 0)
			mtu = (uint16_t)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--wire-offloads") == 0)
			offloads = parse_offloads(argv[i + 1]);
	if (model_create(&h->model, NULL) != 0 || vpc_create(&h->vpc, &config) != 0)
		return -ENOMEM;
	vpc_set_policy(h->vpc, model_policy(h->model), h->now);
	for (int i = 1; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--wire") == 0 && open_wire(h, argv[i + 1], mtu, offloads) != 0)
			return -EINVAL;
	harness_begin_answer();
	harness_print_wires(h);
	harness_end_answer();
	return 0;
}

void harness_close(struct harness *h)
{
	if (h->capture != NULL)
		vpc_capture_stop(h->vpc, h->capture);
	vpc_free(h->vpc);
	for (unsigned i = 0; i < h->wire_count; i++)
		fake_wire_close(h->wires[i]);
	model_free(h->model);
}
