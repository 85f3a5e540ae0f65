/*
 * A wire over a DPDK port: one receive and one transmit queue, on one poller.
 *
 * Receiving is a burst of at most 32 buffers, which are lent to the pipeline as packets and freed when it returns. Sending copies
 * into buffers of our own, 32 of which make a burst; flush() sends what there is. A device that takes only part of a burst is asked
 * once more; the rest is dropped and counted: a queue here would only hide that the wire is too slow.
 *
 * Pollers are not EAL's threads, and a thread without an id of EAL's has no buffer cache: so a poller registers itself when it
 * first touches the wire.
 */
#include "vpc/wire_dpdk.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "base/log.h"
#include "vpc/eal_dpdk.h"
#include "vpc/offload.h"

static struct wire_dpdk *wire_of_sink(struct packet_sink *sink)
{
	return wire_dpdk_of(container_of(sink, struct wire, sink));
}

static void count(uint64_t *counter, uint64_t more)
{
	ACCOUNT_SET(*counter, *counter + more);
}

static void register_poller(struct wire_dpdk *w)
{
	if (rte_lcore_id() != LCORE_ID_ANY || w->registration_failed)
		return;
	if (rte_thread_register() == 0)
		return;
	w->registration_failed = true;
	log_warning("wire %u: its poller cannot register with DPDK, so buffers are not cached and it is slower", w->wire.index);
}

/* ---- sending ---- */

/* Devices that finish checksums and segments have wishes about the headers (rte_eth_tx_prepare); what they cannot do is dropped. */
static void prepare(struct wire_dpdk *w)
{
	unsigned good = 0;

	if (w->wire.sink.offloads == 0)
		return;
	while (good < w->transmit_count) {
		good += rte_eth_tx_prepare(w->port, 0, w->transmit + good, (uint16_t)(w->transmit_count - good));
		if (good == w->transmit_count)
			break;
		rte_pktmbuf_free(w->transmit[good]);
		count(&w->wire.counters.full, 1);
		w->transmit_count--;
		for (unsigned i = good; i < w->transmit_count; i++)
			w->transmit[i] = w->transmit[i + 1];
	}
}

static void send_batch(struct wire_dpdk *w, uint64_t now_tsc)
{
	struct wire_counters *counters = &w->wire.counters;
	unsigned put = w->transmit_count, sent;
	uint32_t bytes[WIRE_BATCH];
	uint64_t bytes_sent = 0;

	if (put == 0)
		return;
	prepare(w);
	for (unsigned i = 0; i < w->transmit_count; i++)
		bytes[i] = w->transmit[i]->pkt_len;
	sent = rte_eth_tx_burst(w->port, 0, w->transmit, (uint16_t)w->transmit_count);
	if (sent < w->transmit_count)
		sent += rte_eth_tx_burst(w->port, 0, w->transmit + sent, (uint16_t)(w->transmit_count - sent));
	for (unsigned i = 0; i < sent; i++)
		bytes_sent += bytes[i];
	if (sent < w->transmit_count) {
		rte_pktmbuf_free_bulk(w->transmit + sent, w->transmit_count - sent);
		count(&counters->full, w->transmit_count - sent);
	}
	count(&counters->packets_out, sent);
	count(&counters->bytes_out, bytes_sent);
	account_depart(&counters->transmit, now_tsc, put, bytes_sent, now_tsc - w->transmit_tsc);
	w->transmit_count = 0;
}

/* Empty buffers come a batch at a time. NULL: there are none. */
static struct rte_mbuf *spare_take(struct wire_dpdk *w)
{
	if (w->spare_count == 0) {
		register_poller(w);
		if (rte_pktmbuf_alloc_bulk(w->pool, w->spares, WIRE_BATCH) != 0)
			return rte_pktmbuf_alloc(w->pool);
		w->spare_count = WIRE_BATCH;
	}
	return w->spares[--w->spare_count];
}

static bool wire_put(struct packet_sink *sink, const struct packet *p, uint64_t now_tsc)
{
	struct wire_dpdk *w = wire_of_sink(sink);
	struct rte_mbuf *m = p->gso != PACKET_GSO_NONE || packet_bytes(p) <= sink->frame_bytes_max ? spare_take(w) : NULL;

	if (m == NULL || !mbuf_fill(w->pool, m, p)) {
		rte_pktmbuf_free(m);
		count(&w->wire.counters.full, 1);
		return false;
	}
	mbuf_set_offloads(m, p);
	if (w->transmit_count == 0)
		w->transmit_tsc = now_tsc;
	w->transmit[w->transmit_count++] = m;
	account_arrive(&w->wire.counters.transmit, now_tsc, 1);
	if (w->transmit_count == WIRE_BATCH)
		send_batch(w, now_tsc);
	return true;
}

static void wire_flush(struct packet_sink *sink, uint64_t now_tsc)
{
	send_batch(wire_of_sink(sink), now_tsc);
}

/* ---- receiving ---- */

static unsigned wire_receive(struct wire *wire, struct packet_input *input, uint64_t now_tsc)
{
	struct wire_dpdk *w = wire_dpdk_of(wire);
	struct packet *packets[WIRE_BATCH];
	struct rte_mbuf *mbufs[WIRE_BATCH];
	unsigned received, good = 0;
	uint64_t bytes = 0;

	register_poller(w);
	received = rte_eth_rx_burst(w->port, 0, mbufs, WIRE_BATCH);
	if (received == 0)
		return 0;
	for (unsigned i = 0; i < received; i++) {
		bytes += mbufs[i]->pkt_len;
		if (mbuf_to_packet(mbufs[i], &w->packets[good], w->tails[good])) {
			packets[good] = &w->packets[good];
			good++;
		}
	}
	count(&wire->counters.packets_in, received);
	count(&wire->counters.bytes_in, bytes);
	count(&wire->counters.errors_in, received - good);
	if (good > 0)
		input->receive(input, packets, good, now_tsc);
	rte_pktmbuf_free_bulk(mbufs, received);
	return received;
}

/* ---- sleeping ---- */

static int wire_wait_fd(struct wire *wire)
{
	return wire_dpdk_of(wire)->wait_fd;
}

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) != 0;
}

static bool wire_arm(struct wire *wire)
{
	struct wire_dpdk *w = wire_dpdk_of(wire);

	if (w->wait == WIRE_WAIT_DATA)
		return !is_readable(w->wait_fd);
	if (w->wait == WIRE_WAIT_NONE || rte_eth_dev_rx_intr_enable(w->port, 0) != 0)
		return false;
	if (rte_eth_rx_queue_count(w->port, 0) <= 0) /* a device that cannot tell raises an interrupt for what is there */
		return true;
	rte_eth_dev_rx_intr_disable(w->port, 0);
	return false;
}

static void wire_disarm(struct wire *wire)
{
	struct wire_dpdk *w = wire_dpdk_of(wire);
	uint64_t events;

	if (w->wait != WIRE_WAIT_INTERRUPT)
		return;
	rte_eth_dev_rx_intr_disable(w->port, 0);
	if (is_readable(w->wait_fd) && read(w->wait_fd, &events, sizeof(events)) < 0)
		log_debug("wire %u: its interrupt cannot be read", wire->index);
}

/* The drivers of packet and XDP sockets and of pcap say "up" of any interface. */
static bool interface_is_running(const struct wire_dpdk *w)
{
	struct ifreq request = {0};

	memcpy(request.ifr_name, w->interface, sizeof(request.ifr_name));
	return ioctl(w->link_fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) && (request.ifr_flags & IFF_RUNNING);
}

static bool wire_link_up(struct wire *wire)
{
	struct wire_dpdk *w = wire_dpdk_of(wire);
	struct rte_eth_link link;

	if (w->link_fd >= 0 && !interface_is_running(w))
		return false;
	return rte_eth_link_get_nowait(w->port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

/* ---- life ---- */

static void wire_close(struct wire *wire)
{
	struct wire_dpdk *w = wire_dpdk_of(wire);

	rte_pktmbuf_free_bulk(w->transmit, w->transmit_count);
	wire_release(w);
	free(w);
}

static const struct packet_sink_ops sink_ops = {wire_put, wire_flush};
static const struct wire_ops wire_ops = {
	.receive = wire_receive,
	.wait_fd = wire_wait_fd,
	.arm = wire_arm,
	.disarm = wire_disarm,
	.close = wire_close,
	.link_up = wire_link_up,
};

int wire_dpdk_open(struct wire **out, const struct wire_config *config, unsigned index, char *error, size_t error_size)
{
	struct wire_dpdk *w = calloc(1, sizeof(*w));
	int rc;

	if (w == NULL) {
		snprintf(error, error_size, "wire %s: no memory", config->device);
		return -ENOMEM;
	}
	w->wire = (struct wire){.ops = &wire_ops, .config = *config, .index = index, .sink = {.ops = &sink_ops}};
	w->port = RTE_MAX_ETHPORTS;
	w->wait_fd = w->link_fd = -1;
	rc = wire_probe(w, error, error_size);
	if (rc < 0) {
		wire_release(w);
		free(w);
		return rc;
	}
	*out = &w->wire;
	return 0;
}
