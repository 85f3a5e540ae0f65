#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "load/net_load_parts.h"

enum { IDLE_MASK = DRIVER_RING_SIZE_MAX - 1 };

static unsigned idle_count(const struct load_queue *queue)
{
	return queue->idle_tail - queue->idle_head;
}

void load_queue_share(struct net_load *load, struct load_end *end, struct load_queue *queue)
{
	uint16_t count = queue->transmit->chain_count, control = LOAD_CONTROL_CHAINS_FEW;

	if (!end->config->sends || load->config->echo)
		control = count;
	else if (load->tcp)
		control = count / LOAD_CONTROL_CHAINS_SHARE;
	queue->data_chains = (uint16_t)(count - control);
	for (uint16_t chain = 0; chain < count; chain++) {
		if (chain < queue->data_chains)
			queue->idle[queue->idle_tail++ & IDLE_MASK] = chain;
		else
			queue->control[queue->control_count++] = chain;
	}
}

bool load_control_take(struct load_queue *queue, uint16_t *chain)
{
	if (queue->control_count == 0)
		return false;
	*chain = queue->control[--queue->control_count];
	memset(net_transmit_header(queue->transmit, *chain), 0, NET_HEADER_BYTES);
	return true;
}

void load_control_add(struct load_queue *queue, uint16_t chain, uint32_t bytes)
{
	net_transmit_lay(queue->transmit, chain, bytes);
	queue->answers[queue->answer_count++] = chain;
	if (queue->answer_count == NET_RECEIVE_BATCH)
		load_control_post(queue);
}

void load_control_post(struct load_queue *queue)
{
	if (queue->answer_count == 0)
		return;
	driver_ring_post(&queue->transmit->ring, queue->answers, queue->answer_count);
	driver_ring_kick(&queue->transmit->ring);
	queue->answer_count = 0;
}

void load_send_reap(struct load_end *end, struct load_queue *queue, uint64_t now_tsc)
{
	uint16_t chains[2 * LOAD_BATCH];
	unsigned count = driver_ring_reap(&queue->transmit->ring, chains, 2 * LOAD_BATCH);

	for (unsigned i = 0; i < count; i++) {
		if (chains[i] < queue->data_chains)
			queue->idle[queue->idle_tail++ & IDLE_MASK] = chains[i];
		else
			queue->control[queue->control_count++] = chains[i];
	}
	if (count > 0 || queue->transmit->ring.in_flight == 0)
		end->completed_tsc = now_tsc;
}

static void lay_queue(struct net_load *load, struct load_end *end, struct load_queue *queue)
{
	for (uint16_t chain = 0; chain < queue->data_chains; chain++) {
		unsigned index = chain % load->config->size_count;
		const struct frame_template *t = &end->templates[index];

		queue->template_of[chain] = (uint8_t)index;
		*net_transmit_header(queue->transmit, chain) = t->header;
		frame_template_lay(t, net_transmit_frame(queue->transmit, chain));
		net_transmit_lay(queue->transmit, chain, t->frame_bytes);
	}
}

static struct net_flows_config flows_config(const struct net_load *load, const struct load_end *end, unsigned queue)
{
	const struct net_load_config *c = load->config;
	uint32_t share = c->flow_count / end->queue_count, rest = c->flow_count % end->queue_count;

	return (struct net_flows_config){
		.base = {.source_low = end->plan.source.word[3],
			 .destination_low = end->plan.destination.word[3],
			 .destination_port = htons(end->config->destination_port)},
		.flow_count = share + (queue < rest),
		.first = queue,
		.stride = end->queue_count,
		.spread = c->spread,
		.new_flows_per_s = (c->new_flows_per_s + end->queue_count - 1) / end->queue_count,
		.tcp = load->tcp,
		.handshake = c->handshake,
	};
}

int load_send_prepare(struct net_load *load, struct load_end *end, uint64_t now_tsc)
{
	const struct net_load_config *c = load->config;
	int error = 0;

	for (unsigned i = 0; i < c->size_count; i++)
		if (frame_template_make(&end->templates[i], &end->plan, c->sizes[i]) != 0)
			return load_fail(load, -EINVAL, "frames of %u bytes: from %u on there is room for what they are known by",
					 c->sizes[i], frame_bytes_min(&end->plan));
	for (unsigned q = 0; q < end->queue_count && error == 0; q++) {
		struct net_flows_config flows = flows_config(load, end, q);

		lay_queue(load, end, &end->queues[q]);
		error = net_flows_create(&end->queues[q].flows, &flows, now_tsc);
	}
	if (error == 0)
		error = net_track_create(&end->track, c->flow_count + end->queue_count);
	if (error != 0)
		return load_fail(load, error,
				 error == -ENOMEM ? "not enough memory for so many flows"
						  : "so many flows have no different addresses; use fewer --flows");
	if (c->rate_pps != 0)
		end->interval_tsc_q16 = (uint64_t)(((unsigned __int128)clock_tsc_hz() << 16) / c->rate_pps);
	return 0;
}

/* How many packets may go now; in the open loop, stamps[] gets the times at which they were due. */
static unsigned allowance(const struct net_load *load, struct load_end *end, unsigned wanted, uint64_t now_tsc, uint64_t *stamps)
{
	unsigned n = 0;

	if (load->config->rate_pps == 0)
		return wanted;
	while (n < wanted && (end->due_tsc_q16 >> 16) <= now_tsc - load->start_tsc) {
		stamps[n++] = load->start_tsc + (end->due_tsc_q16 >> 16);
		end->due_tsc_q16 += end->interval_tsc_q16;
	}
	return n;
}

static uint32_t build_control(struct net_load *load, struct load_end *end, struct load_queue *queue, uint16_t chain,
			      const struct net_flow_turn *turn, struct net_load_direction *d)
{
	uint8_t *frame = net_transmit_frame(queue->transmit, chain);
	uint32_t bytes, sequence = FRAME_CLIENT_SEQUENCE + 1, acked = FRAME_SERVER_SEQUENCE + 1;

	if (turn->what == NET_FLOW_OPEN) {
		bytes = frame_build_control(frame, &end->plan, &turn->tuple, FRAME_SYN, FRAME_CLIENT_SEQUENCE, 0);
		d->opened++;
		load->asked++;
	} else {
		uint8_t flags = load->config->close_with_reset ? FRAME_RST | FRAME_ACK : FRAME_FIN | FRAME_ACK;

		bytes = frame_build_control(frame, &end->plan, &turn->tuple, flags, sequence, acked);
		d->closed++;
		load->asked += !load->config->close_with_reset;
	}
	net_transmit_lay(queue->transmit, chain, bytes);
	return bytes;
}

static uint32_t patch_data(struct load_end *end, struct load_queue *queue, uint16_t chain, const struct net_flow_turn *turn,
			   uint32_t tag, uint64_t stamp_tsc)
{
	const struct frame_template *t = &end->templates[queue->template_of[chain]];
	const struct frame_signature signature = {tag, turn->flow, turn->sequence, stamp_tsc};

	frame_patch(t, net_transmit_frame(queue->transmit, chain), &turn->tuple, &signature);
	return t->frame_bytes;
}

void load_send(struct net_load *load, struct load_end *end, struct load_queue *queue, uint64_t now_tsc)
{
	uint32_t tag = load->tag | end->index;
	struct net_load_direction *d = load_direction(load, tag);
	unsigned wanted = LOAD_BATCH, count = 0, data = 0, n;
	uint64_t stamps[LOAD_BATCH], bytes = 0;
	uint16_t chains[LOAD_BATCH];
	struct net_flow_turn turn;

	/* A full batch or nothing, as long as nobody is waiting: each look at the ring is paid by many. */
	if (idle_count(queue) < wanted)
		wanted = load->config->rate_pps != 0 || queue->data_chains < LOAD_BATCH ? idle_count(queue) : 0;
	n = allowance(load, end, wanted, now_tsc, stamps);
	while (count < n) {
		if (load->tcp && queue->control_count == 0)
			break;
		net_flows_next(&queue->flows, now_tsc, &turn);
		if (turn.what == NET_FLOW_NOTHING)
			break;
		if (turn.what == NET_FLOW_DATA) {
			chains[count] = queue->idle[queue->idle_head++ & IDLE_MASK];
			bytes += patch_data(end, queue, chains[count], &turn, tag,
					    load->config->rate_pps == 0 ? now_tsc : stamps[count]);
			data++;
		} else {
			load_control_take(queue, &chains[count]);
			bytes += build_control(load, end, queue, chains[count], &turn, d);
		}
		count++;
	}
	if (count < n && load->config->rate_pps != 0)
		end->due_tsc_q16 -= (n - count) * end->interval_tsc_q16; /* due still */
	if (count == 0)
		return;
	driver_ring_post(&queue->transmit->ring, chains, count);
	driver_ring_kick(&queue->transmit->ring);
	d->sent += count;
	d->sent_bytes += bytes;
	d->signed_sent += data;
	load->result->batches += (tag & LOAD_TAG_MEASURED) != 0;
}

bool load_send_closing(struct net_load *load, struct load_end *end, struct load_queue *queue)
{
	struct net_flow_turn turn;
	uint16_t chain;

	for (unsigned i = 0; i < LOAD_BATCH && queue->control_count > 0; i++) {
		net_flows_end(&queue->flows, &turn);
		if (turn.what == NET_FLOW_NOTHING) {
			load_control_post(queue);
			return false;
		}
		load_control_take(queue, &chain);
		load_control_add(queue, chain, build_control(load, end, queue, chain, &turn, &load->warm[end->index]));
	}
	load_control_post(queue);
	return true;
}
