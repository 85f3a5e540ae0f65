#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "load/net_load_parts.h"

static void add_latency(struct net_load_direction *d, uint64_t stamp_tsc, uint64_t now_tsc)
{
	uint64_t ticks = now_tsc > stamp_tsc ? now_tsc - stamp_tsc : 0;

	histogram_add(&d->latency, ticks, 1);
	d->latency_sum_ticks += ticks;
	if (ticks > d->latency_max_ticks)
		d->latency_max_ticks = ticks;
}

/* A packet of this run: true when its signature says so. */
static bool take_signed(struct net_load *load, const struct net_packet *packet, uint64_t now_tsc)
{
	struct frame_signature s;
	struct net_load_direction *d;
	unsigned index;

	if (!net_packet_signature(packet, load->stamped, &s) || ((s.tag ^ load->tag) & LOAD_TAG_RUN_MASK) != 0)
		return false;
	index = s.tag & LOAD_TAG_DIRECTION;
	if (index >= load->end_count || load->ends[index].track.flows == NULL)
		return false;
	d = load_direction(load, s.tag);
	switch (net_track_see(&load->ends[index].track, s.flow, s.sequence)) {
	case NET_TRACK_REORDERED:
		d->reordered++;
		break;
	case NET_TRACK_DUPLICATE:
		d->duplicates++;
		return true;
	case NET_TRACK_UNKNOWN:
		d->damaged++;
		return true;
	case NET_TRACK_NEW:
		break;
	}
	d->arrived++;
	if (load->stamped)
		add_latency(d, s.stamp_tsc, now_tsc);
	return true;
}

/* The plan of an answer to a packet: to where it came from. */
static struct frame_plan plan_back(const struct load_end *end, const struct net_packet *packet)
{
	struct frame_plan plan = end->plan;

	memcpy(plan.destination_mac.bytes, packet->head + 6, 6);
	memcpy(plan.source_mac.bytes, packet->head, 6);
	plan.source = net_packet_destination(packet);
	plan.destination = net_packet_source(packet);
	return plan;
}

static struct frame_tuple tuple_back(const struct net_packet *packet)
{
	return (struct frame_tuple){.source_low = packet->tuple.destination_low,
				    .destination_low = packet->tuple.source_low,
				    .source_port = packet->tuple.destination_port,
				    .destination_port = packet->tuple.source_port};
}

/* What the other side of a connection would answer: its flags, 0 for nothing. */
static uint8_t tcp_answer(const struct net_load *load, const struct load_end *end, const struct net_packet *packet)
{
	bool serves = load->config->echo || load->end_count > 1;
	uint8_t flags = packet->tcp_flags;

	if ((flags & FRAME_RST) != 0)
		return 0;
	if ((flags & FRAME_SYN) != 0)
		return (flags & FRAME_ACK) == 0 && serves ? FRAME_SYN | FRAME_ACK : 0;
	if ((flags & FRAME_FIN) == 0)
		return 0;
	/* Whose good-bye is it? The client's is answered with another one, the server's with an ACK. */
	if (packet->tcp_sequence == FRAME_CLIENT_SEQUENCE + 1)
		return serves ? FRAME_FIN | FRAME_ACK : 0;
	return packet->tcp_sequence == FRAME_SERVER_SEQUENCE + 1 && end->config->sends ? FRAME_ACK : 0;
}

/* Setting up and taking down connections: true when the packet was about that. */
static bool take_tcp(struct net_load *load, struct load_end *end, struct load_queue *queue, const struct net_packet *packet)
{
	struct frame_tuple back = tuple_back(packet);
	struct frame_plan plan;
	uint8_t answer;
	uint32_t sequence;
	uint16_t chain;

	if ((packet->tcp_flags & (FRAME_SYN | FRAME_FIN | FRAME_RST)) == 0) /* an ACK alone: the last word of a FIN */
		return packet->transport_bytes <= packet->payload_offset - packet->transport_offset;
	if ((packet->tcp_flags & (FRAME_SYN | FRAME_ACK)) == (FRAME_SYN | FRAME_ACK) && end->config->sends) {
		load_direction(load, load->tag | end->index)->established++;
		load->replied++;
		for (unsigned q = 0; q < end->queue_count; q++)
			net_flows_established(&end->queues[q].flows, &back);
		return true;
	}
	answer = tcp_answer(load, end, packet);
	load->replied += answer == FRAME_ACK;
	if (answer == 0)
		return true;
	if (!load_control_take(queue, &chain)) {
		end->seen->unanswered++;
		return true;
	}
	sequence = (answer & FRAME_SYN) != 0   ? FRAME_SERVER_SEQUENCE
		   : (answer & FRAME_FIN) != 0 ? FRAME_SERVER_SEQUENCE + 1
					       : FRAME_CLIENT_SEQUENCE + 2;
	plan = plan_back(end, packet);
	load_control_add(queue, chain,
			 frame_build_control(net_transmit_frame(queue->transmit, chain), &plan, &back, answer, sequence,
					     packet->tcp_sequence + 1));
	end->seen->answered++;
	return true;
}

static bool answer_neighbour(struct load_end *end, struct load_queue *queue, const struct net_packet *packet)
{
	uint8_t frame[NET_NEIGHBOUR_BYTES_MAX];
	uint32_t bytes;
	uint16_t chain;

	if (packet->kind != NET_PACKET_ARP && packet->kind != NET_PACKET_ICMPV6)
		return false;
	bytes = net_neighbour_answer(&end->plan, end->config->address_count, packet, frame);
	if (bytes == 0)
		return false;
	if (!load_control_take(queue, &chain)) { /* it will be asked again */
		end->seen->unanswered++;
		return true;
	}
	memcpy(net_transmit_frame(queue->transmit, chain), frame, bytes);
	load_control_add(queue, chain, bytes);
	end->seen->answered++;
	return true;
}

static void swap(uint8_t *a, uint8_t *b, size_t bytes)
{
	uint8_t t[16];

	memcpy(t, a, bytes);
	memcpy(a, b, bytes);
	memcpy(b, t, bytes);
}

/* Back to where it came from. What changes places does not change a checksum, so those stay right, complete or partial. */
static void echo(struct load_end *end, struct load_queue *queue, const struct net_received *received,
		 const struct net_packet *packet)
{
	struct virtio_net_hdr_v1 *header;
	uint8_t *frame, *ip, *transport;
	uint16_t chain;

	if (!load_control_take(queue, &chain)) {
		end->seen->echo_no_room++;
		return;
	}
	header = net_transmit_header(queue->transmit, chain);
	frame = net_transmit_frame(queue->transmit, chain);
	net_receive_copy(queue->receive, received, frame);
	swap(frame, frame + 6, 6);
	ip = frame + packet->ip_offset;
	swap(ip + (packet->v4 ? 12 : 8), ip + (packet->v4 ? 16 : 24), packet->v4 ? 4 : 16);
	transport = frame + packet->transport_offset;
	swap(transport, transport + 2, 2);
	if (packet->kind == NET_PACKET_TCP)
		swap(transport + 4, transport + 8, 4);
	if ((received->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
		*header = received->header;
		header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header->num_buffers = 0;
	}
	load_control_add(queue, chain, received->bytes);
	end->seen->echoed++;
}

static void verify(struct net_load *load, struct load_end *end, struct load_queue *queue, const struct net_received *received,
		   const struct net_packet *packet)
{
	bool partial = (received->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;

	net_receive_copy(queue->receive, received, load->frame);
	end->seen->bad_checksums += !net_packet_checksums_right(packet, load->frame, partial);
}

static bool is_ours(const struct load_end *end, const struct net_packet *packet)
{
	struct net_address to = net_packet_destination(packet);

	return memcmp(to.bytes, end->plan.source.bytes, 12) == 0 &&
	       ntohl(to.word[3]) - ntohl(end->plan.source.word[3]) < end->config->address_count;
}

static void take_one(struct net_load *load, struct load_end *end, struct load_queue *queue, const struct net_received *received,
		     uint64_t now_tsc, load_take_hook *hook)
{
	struct net_packet packet;

	net_packet_parse(&packet, received->head, received->head_bytes, received->bytes);
	if (load->config->verify)
		verify(load, end, queue, received, &packet);
	if (take_signed(load, &packet, now_tsc) || answer_neighbour(end, queue, &packet))
		return;
	if (packet.kind == NET_PACKET_TCP && take_tcp(load, end, queue, &packet))
		return;
	if (load->config->echo && (packet.kind == NET_PACKET_UDP || packet.kind == NET_PACKET_TCP) && is_ours(end, &packet)) {
		echo(end, queue, received, &packet);
		return;
	}
	end->seen->others++;
	if (hook != NULL)
		hook(load, end, queue, &packet);
}

unsigned load_take(struct net_load *load, struct load_end *end, struct load_queue *queue, uint64_t *now_tsc, load_take_hook *hook)
{
	struct net_received received;
	uint64_t bytes = 0;
	unsigned count = 0;

	if (net_receive_poll(queue->receive) == 0)
		return 0;
	*now_tsc = clock_tsc();
	while (net_receive_next(queue->receive, &received)) {
		take_one(load, end, queue, &received, *now_tsc, hook);
		bytes += received.bytes;
		count++;
	}
	load_control_post(queue);
	net_receive_release(queue->receive);
	if (load->receiving) {
		end->seen->received += count;
		end->seen->received_bytes += bytes;
	}
	if (count > 0)
		load->arrived_tsc = *now_tsc;
	return count;
}
