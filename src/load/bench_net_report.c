#include "load/bench_net_report.h"

#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"

static bool is_driven(const struct bench_net *b, unsigned end)
{
	return end < b->options.socket_count && !b->options.echo && !b->options.receive_only && (end == 0 || b->options.both_ways);
}

/* With one socket, packets may have no way back: then nothing is known about them. */
static bool loss_known(const struct bench_net *b, unsigned end)
{
	return b->options.socket_count > 1 || b->result.directions[end].arrived > 0;
}

static double per_second(const struct bench_net *b, uint64_t count)
{
	return b->result.elapsed_ns > 0 ? (double)count * 1e9 / (double)b->result.elapsed_ns : 0;
}

static double gbit_per_s(const struct bench_net *b, uint64_t bytes)
{
	return per_second(b, bytes) * 8 / 1e9;
}

static uint64_t latency_ns(const struct net_load_direction *d, uint32_t part_per_million)
{
	return bench_quantile_ns(&d->latency, d->latency_max_ticks, part_per_million);
}

static void print_sizes(const struct bench_net_options *o)
{
	for (unsigned i = 0; i < o->size_count; i++)
		printf("%s%u", i > 0 ? "," : "", o->sizes[i]);
}

void bench_net_print_header(const struct bench_net *b)
{
	const struct bench_net_options *o = &b->options;
	const struct net_driver *d = &b->drivers[0];

	for (unsigned i = 0; i < o->socket_count; i++) {
		const struct net_facts *f = &b->drivers[i].facts;
		char mac[MAC_TEXT_SIZE] = "not told";

		if (f->mac_known)
			mac_format(&f->mac, mac);
		printf("device  %s: MAC %s, MTU ", o->sockets[i], mac);
		printf(f->mtu != 0 ? "%u" : "not told", f->mtu);
		printf(", up to %u queue pair%s\n", f->queues_max, f->queues_max == 1 ? "" : "s");
	}
	printf("rings   %u pair%s of %s, %u slots%s%s%s%s%s\n", o->queue_count, o->queue_count == 1 ? "" : "s",
	       o->packed ? "packed rings" : "split rings", o->ring_size, o->indirect ? ", indirect descriptors" : "",
	       net_driver_has(d, VIRTIO_RING_F_EVENT_IDX) ? ", event index" : "",
	       net_driver_has(d, VIRTIO_NET_F_MRG_RXBUF) ? ", mergeable buffers" : "",
	       net_driver_has(d, VIRTIO_NET_F_CSUM) ? ", checksum offload" : "",
	       net_driver_has(d, VIRTIO_NET_F_HOST_TSO4) ? ", TSO" : "");
	if (o->echo || o->receive_only) {
		printf("load    %s", o->echo ? "sends back what comes" : "receives only");
	} else {
		printf("load    %s frames of ", o->tcp ? "TCP" : "UDP");
		print_sizes(o);
		printf(" bytes, %u flow%s", o->flow_count, o->flow_count == 1 ? "" : "s");
		if (o->new_flows_per_s != 0)
			printf(", %llu new ones a second", (unsigned long long)o->new_flows_per_s);
		if (o->rate_pps != 0)
			printf(", %llu packets a second (open loop)", (unsigned long long)o->rate_pps);
	}
	if (o->seconds > 0)
		printf(", for %u s\n", o->seconds);
	else
		printf(", until interrupted\n");
	fflush(stdout);
}

static void print_direction(const struct bench_net *b, unsigned end)
{
	const struct net_load_direction *d = &b->result.directions[end];

	printf("sent    %s: %llu packets, %.3f Mpps, %.3f Gbit/s\n", b->options.sockets[end], (unsigned long long)d->sent,
	       per_second(b, d->sent) / 1e6, gbit_per_s(b, d->sent_bytes));
	if (loss_known(b, end))
		printf("lost    %llu of them (%.4f %%), %llu duplicates, %llu reordered, %llu damaged\n",
		       (unsigned long long)net_load_lost(d),
		       d->signed_sent > 0 ? 100.0 * (double)net_load_lost(d) / (double)d->signed_sent : 0,
		       (unsigned long long)d->duplicates, (unsigned long long)d->reordered, (unsigned long long)d->damaged);
	if (b->options.tcp)
		printf("flows   %llu connections opened, %llu answered, %llu closed\n", (unsigned long long)d->opened,
		       (unsigned long long)d->established, (unsigned long long)d->closed);
	else if (b->options.new_flows_per_s != 0)
		printf("flows   %llu begun in place of others\n", (unsigned long long)d->renewed);
	if (!b->options.latency)
		return;
	if (histogram_total(&d->latency) == 0) {
		printf("latency nothing came back to be timed; does the other end --echo?\n");
		return;
	}
	printf("latency avg %.2f us, p50 %.2f, p99 %.2f, p99.9 %.2f, max %.2f us (%s)\n",
	       (double)clock_tsc_to_ns(d->latency_sum_ticks / histogram_total(&d->latency)) / 1e3,
	       (double)latency_ns(d, 500000) / 1e3, (double)latency_ns(d, 990000) / 1e3, (double)latency_ns(d, 999000) / 1e3,
	       (double)clock_tsc_to_ns(d->latency_max_ticks) / 1e3, b->options.socket_count > 1 ? "one way" : "round trip");
}

static void print_end(const struct bench_net *b, unsigned i)
{
	const struct net_load_end *e = &b->result.ends[i];

	printf("arrived %s: %llu packets, %.3f Mpps, %.3f Gbit/s", b->options.sockets[i], (unsigned long long)e->received,
	       per_second(b, e->received) / 1e6, gbit_per_s(b, e->received_bytes));
	if (e->others > 0 && !b->options.receive_only)
		printf("; %llu not of this run", (unsigned long long)e->others);
	if (b->options.echo)
		printf("; %llu sent back, %llu had no room", (unsigned long long)e->echoed, (unsigned long long)e->echo_no_room);
	if (e->untaken > 0)
		printf("; %llu were never taken from the ring: is every queue polled?", (unsigned long long)e->untaken);
	if (b->options.verify)
		printf("; %llu with wrong checksums", (unsigned long long)e->bad_checksums);
	printf("\n");
}

void bench_net_report_text(const struct bench_net *b)
{
	uint64_t sent = 0, kicks = 0;

	for (unsigned i = 0; i < b->options.socket_count; i++) {
		if (is_driven(b, i))
			print_direction(b, i);
		print_end(b, i);
		sent += b->result.directions[i].sent;
		kicks += b->result.ends[i].kicks;
	}
	printf("client  %llu notifications sent; clock read once a batch of %.1f packets (latency is an upper bound)\n",
	       (unsigned long long)kicks, b->result.batches > 0 ? (double)sent / (double)b->result.batches : 0.0);
}

static void put(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void put_real(json_t *object, const char *key, double value)
{
	json_object_set_new(object, key, json_real(value));
}

static json_t *latency_json(const struct net_load_direction *d)
{
	uint64_t total = histogram_total(&d->latency);
	json_t *j;

	if (total == 0)
		return json_null();
	j = json_object();
	put(j, "avg", clock_tsc_to_ns(d->latency_sum_ticks / total));
	put(j, "p50", latency_ns(d, 500000));
	put(j, "p99", latency_ns(d, 990000));
	put(j, "p999", latency_ns(d, 999000));
	put(j, "max", clock_tsc_to_ns(d->latency_max_ticks));
	return j;
}

static json_t *direction_json(const struct bench_net *b, unsigned end)
{
	const struct net_load_direction *d = &b->result.directions[end];
	json_t *j = json_object();

	json_object_set_new(j, "from", json_string(b->options.sockets[end]));
	put(j, "sent", d->sent);
	put_real(j, "pps", per_second(b, d->sent));
	put_real(j, "gbit_per_s", gbit_per_s(b, d->sent_bytes));
	put(j, "signed", d->signed_sent);
	put(j, "arrived", d->arrived);
	json_object_set_new(j, "lost", loss_known(b, end) ? json_integer((json_int_t)net_load_lost(d)) : json_null());
	put(j, "duplicates", d->duplicates);
	put(j, "reordered", d->reordered);
	put(j, "damaged", d->damaged);
	put(j, "opened", d->opened);
	put(j, "established", d->established);
	put(j, "closed", d->closed);
	put(j, "renewed", d->renewed);
	json_object_set_new(j, "latency_ns", latency_json(d));
	return j;
}

static json_t *end_json(const struct bench_net *b, unsigned i)
{
	const struct net_load_end *e = &b->result.ends[i];
	char mac[MAC_TEXT_SIZE], next[MAC_TEXT_SIZE], address[NET_ADDRESS_TEXT_SIZE];
	json_t *j = json_object();

	mac_format(&e->mac, mac);
	mac_format(&e->next_hop_mac, next);
	net_address_format(&e->address, address);
	json_object_set_new(j, "socket", json_string(b->options.sockets[i]));
	json_object_set_new(j, "mac", json_string(mac));
	json_object_set_new(j, "address", json_string(address));
	json_object_set_new(j, "next_hop_mac", json_string(next));
	put(j, "received", e->received);
	put_real(j, "pps", per_second(b, e->received));
	put_real(j, "gbit_per_s", gbit_per_s(b, e->received_bytes));
	put(j, "others", e->others);
	put(j, "answered", e->answered);
	put(j, "unanswered", e->unanswered);
	put(j, "echoed", e->echoed);
	put(j, "echo_no_room", e->echo_no_room);
	put(j, "bad_checksums", e->bad_checksums);
	put(j, "untaken", e->untaken);
	put(j, "kicks", e->kicks);
	put(j, "mtu", b->drivers[i].facts.mtu);
	return j;
}

static json_t *settings_json(const struct bench_net *b)
{
	const struct bench_net_options *o = &b->options;
	json_t *j = json_object(), *sizes = json_array();

	for (unsigned i = 0; i < o->size_count; i++)
		json_array_append_new(sizes, json_integer(o->sizes[i]));
	json_object_set_new(j, "sizes", sizes);
	json_object_set_new(j, "protocol", json_string(o->tcp ? "tcp" : "udp"));
	put(j, "flows", o->flow_count);
	put(j, "new_flows", o->new_flows_per_s);
	put(j, "rate_pps", o->rate_pps);
	put(j, "tso_bytes", o->tso_bytes);
	put(j, "queues", o->queue_count);
	put(j, "ring_size", o->ring_size);
	put(j, "seconds", o->seconds);
	put(j, "warmup_seconds", o->warmup_seconds);
	json_object_set_new(j, "both_ways", json_boolean(o->both_ways));
	json_object_set_new(j, "echo", json_boolean(o->echo));
	json_object_set_new(j, "packed", json_boolean(o->packed));
	json_object_set_new(j, "indirect", json_boolean(o->indirect));
	json_object_set_new(j, "checksum_offload", json_boolean(net_driver_has(&b->drivers[0], VIRTIO_NET_F_CSUM)));
	json_object_set_new(j, "mergeable", json_boolean(net_driver_has(&b->drivers[0], VIRTIO_NET_F_MRG_RXBUF)));
	json_object_set_new(j, "huge_pages", json_boolean(b->drivers[0].memory.huge_pages));
	json_object_set_new(j, "cpu", o->cpu < 0 ? json_null() : json_integer(o->cpu));
	return j;
}

/* Sums over what was sent and received; the parts are in `directions` and `ends`. */
static void put_totals(json_t *j, const struct bench_net *b)
{
	uint64_t sent = 0, sent_bytes = 0, received = 0, received_bytes = 0, lost = 0;
	bool known = true;

	for (unsigned i = 0; i < b->options.socket_count; i++) {
		sent += b->result.directions[i].sent;
		sent_bytes += b->result.directions[i].sent_bytes;
		received += b->result.ends[i].received;
		received_bytes += b->result.ends[i].received_bytes;
		lost += net_load_lost(&b->result.directions[i]);
		known &= !is_driven(b, i) || loss_known(b, i);
	}
	put(j, "sent", sent);
	put(j, "received", received);
	put_real(j, "pps_sent", per_second(b, sent));
	put_real(j, "pps_received", per_second(b, received));
	put_real(j, "gbit_per_s_sent", gbit_per_s(b, sent_bytes));
	put_real(j, "gbit_per_s_received", gbit_per_s(b, received_bytes));
	json_object_set_new(j, "lost", known ? json_integer((json_int_t)lost) : json_null());
	json_object_set_new(j, "latency_ns", latency_json(&b->result.directions[0]));
}

void bench_net_report_json(const struct bench_net *b)
{
	json_t *j = json_object(), *directions = json_array(), *ends = json_array();

	put_totals(j, b);
	put_real(j, "seconds", (double)b->result.elapsed_ns / 1e9);
	put(j, "batches", b->result.batches);
	for (unsigned i = 0; i < b->options.socket_count; i++) {
		if (is_driven(b, i))
			json_array_append_new(directions, direction_json(b, i));
		json_array_append_new(ends, end_json(b, i));
	}
	json_object_set_new(j, "directions", directions);
	json_object_set_new(j, "ends", ends);
	json_object_set_new(j, "settings", settings_json(b));
	if (b->failure[0] != '\0')
		json_object_set_new(j, "error",
				    json_pack("{s:s, s:s, s:s}", "code", "bench_failed", "message", b->failure, "socket",
					      b->options.sockets[b->culprit]));
	json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	printf("\n");
	json_decref(j);
}
