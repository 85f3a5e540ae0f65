/*
 * What the ends ask the network before they send: their addresses (DHCP), then the MAC address of the next hop. Everybody answers
 * meanwhile, as the next hop of one end may be the other.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "load/net_load_parts.h"
#include "load/relax.h"

enum { ASK_AGAIN_NS = 200000000, ATTEMPTS = 15 };

__attribute__((format(printf, 2, 3))) static void note(struct net_load *load, const char *format, ...)
{
	char text[200];
	va_list args;

	if (load->config->note == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	load->config->note(load->config->context, text);
}

static void learn_neighbour(struct net_load *load, struct load_end *end, struct load_queue *queue, const struct net_packet *packet)
{
	char mac[MAC_TEXT_SIZE], address[NET_ADDRESS_TEXT_SIZE];

	(void)queue;
	if (!end->config->resolve || end->next_hop_known ||
	    !net_neighbour_learn(packet, &end->next_hop, &end->plan.destination_mac))
		return;
	end->next_hop_known = true;
	mac_format(&end->plan.destination_mac, mac);
	net_address_format(&end->next_hop, address);
	note(load, "%s is at %s", address, mac);
}

static void learn_lease(struct net_load *load, struct load_end *end, struct load_queue *queue, const struct net_packet *packet)
{
	char address[NET_ADDRESS_TEXT_SIZE], router[NET_ADDRESS_TEXT_SIZE] = "none";
	struct net_address a;

	(void)queue;
	if (!end->config->dhcp || !net_dhcp_take(&end->dhcp, packet) || end->dhcp.state != DHCP_BOUND)
		return;
	end->plan.source = net_address_v4(end->dhcp.address);
	net_address_format(&end->plan.source, address);
	a = net_address_v4(end->dhcp.router);
	if (end->dhcp.router != 0)
		net_address_format(&a, router);
	note(load, "socket %u has the address %s, router %s", end->index + 1, address, router);
}

static void ask(struct load_end *end, bool lease)
{
	struct load_queue *queue = &end->queues[0];
	uint8_t *frame;
	uint16_t chain;

	if (!load_control_take(queue, &chain))
		return;
	frame = net_transmit_frame(queue->transmit, chain);
	load_control_add(queue, chain,
			 lease ? net_dhcp_build(&end->dhcp, frame) : net_neighbour_ask(&end->plan, &end->next_hop, frame));
	load_control_post(queue);
}

static int listen_until(struct net_load *load, uint64_t end_tsc, load_take_hook *hook)
{
	uint64_t now_tsc = clock_tsc();
	int error = 0;

	while (error == 0 && now_tsc < end_tsc && !load_interrupted(load)) {
		unsigned came = 0;

		for (unsigned i = 0; i < load->end_count; i++)
			for (unsigned q = 0; q < load->ends[i].queue_count; q++)
				came += load_take(load, &load->ends[i], &load->ends[i].queues[q], &now_tsc, hook);
		relax();
		now_tsc = clock_tsc();
		error = load_check_health(load, now_tsc);
		if (came > 0) /* perhaps what was waited for */
			break;
	}
	return error;
}

static bool lacks(const struct load_end *end, bool lease)
{
	if (lease)
		return end->config->dhcp && end->dhcp.state != DHCP_BOUND;
	return end->config->resolve && !end->next_hop_known;
}

/* The first end that lacks a lease, or its next hop; NULL: none. */
static struct load_end *lacking(struct net_load *load, bool lease)
{
	for (unsigned i = 0; i < load->end_count; i++)
		if (lacks(&load->ends[i], lease))
			return &load->ends[i];
	return NULL;
}

/* Asks again and again, until everybody knows or nobody answers. */
static int find_out(struct net_load *load, bool lease)
{
	int error = 0;

	for (unsigned attempt = 0; attempt < ATTEMPTS && error == 0 && lacking(load, lease) != NULL; attempt++) {
		uint64_t end_tsc = clock_tsc() + clock_ns_to_tsc(ASK_AGAIN_NS);
		enum net_dhcp_state before[NET_LOAD_ENDS_MAX];
		bool moved = false;

		for (unsigned i = 0; i < load->end_count; i++) {
			before[i] = load->ends[i].dhcp.state;
			if (lacks(&load->ends[i], lease))
				ask(&load->ends[i], lease);
		}
		while (error == 0 && !moved && clock_tsc() < end_tsc && lacking(load, lease) != NULL && !load_interrupted(load)) {
			error = listen_until(load, end_tsc, lease ? learn_lease : learn_neighbour);
			for (unsigned i = 0; i < load->end_count; i++)
				moved |= load->ends[i].dhcp.state != before[i];
		}
		if (load_interrupted(load))
			break;
	}
	return error;
}

static int lease_addresses(struct net_load *load)
{
	struct load_end *end;
	int error;

	for (unsigned i = 0; i < load->end_count; i++)
		net_dhcp_start(&load->ends[i].dhcp, &load->ends[i].plan.source_mac, load->ends[i].plan.vlan, load->tag + i);
	error = find_out(load, true);
	end = lacking(load, true);
	if (error != 0 || load_interrupted(load))
		return error;
	if (end != NULL)
		return load_fail(load, -EHOSTUNREACH,
				 "no DHCP server answers on socket %u; give --source-ip and --destination-ip instead of --dhcp",
				 end->index + 1);
	return 0;
}

/* Each end sends to the other, through its router when that is in another subnet. */
static void settle_next_hops(struct net_load *load)
{
	for (unsigned i = 0; i < load->end_count; i++) {
		struct load_end *end = &load->ends[i];
		uint32_t apart;

		if (!end->config->dhcp)
			continue;
		if (load->end_count > 1)
			end->plan.destination = load->ends[1 - i].plan.source;
		apart = (end->plan.destination.word[3] ^ end->dhcp.address) & end->dhcp.mask;
		end->next_hop = apart != 0 && end->dhcp.router != 0 ? net_address_v4(end->dhcp.router) : end->plan.destination;
	}
}

static int resolve(struct net_load *load)
{
	char address[NET_ADDRESS_TEXT_SIZE];
	struct load_end *end;
	int error;

	error = find_out(load, false);
	end = lacking(load, false);
	if (error != 0 || end == NULL || load_interrupted(load))
		return error;
	net_address_format(&end->next_hop, address);
	return load_fail(
		load, -EHOSTUNREACH,
		"nobody answers for %s (asked %d times through socket %u); is it in this network? --gateway names another next "
		"hop, --gateway-mac needs no answer",
		address, ATTEMPTS, end->index + 1);
}

int load_learn(struct net_load *load)
{
	int error = 0;

	if (load->config->ends[0].dhcp) {
		error = lease_addresses(load);
		settle_next_hops(load);
	}
	return error == 0 && !load_interrupted(load) ? resolve(load) : error;
}
