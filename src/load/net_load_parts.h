/* Private to net_load*.c: the running load, its parts that send, receive and learn from the network. */
#ifndef OUTBOARD_LOAD_NET_LOAD_PARTS_H
#define OUTBOARD_LOAD_NET_LOAD_PARTS_H

#include "load/net_dhcp.h"
#include "load/net_load.h"
#include "load/net_neighbour.h"
#include "load/net_track.h"

enum {
	LOAD_BATCH = 32,
	LOAD_CONTROL_CHAINS_FEW = 8,   /* for answers and questions only */
	LOAD_CONTROL_CHAINS_SHARE = 4, /* a quarter of the ring when connections are made */
	LOAD_TAG_MEASURED = 2,	       /* sent while measured, not in warm-up */
	LOAD_TAG_DIRECTION = 1,	       /* which end sent it */
	LOAD_TAG_RUN_MASK = ~3,
};

/* A queue pair. Chains below data_chains are laid out for data; the others are for what is built by hand. */
struct load_queue {
	struct net_transmit *transmit;
	struct net_receive *receive;
	struct net_flows flows;
	uint16_t idle[DRIVER_RING_SIZE_MAX];	/* data chains, a queue in a power of two */
	uint32_t idle_head, idle_tail;		/* free-running */
	uint16_t control[DRIVER_RING_SIZE_MAX]; /* a stack */
	unsigned control_count;
	uint16_t answers[NET_RECEIVE_BATCH]; /* to be posted at the end of the visit */
	unsigned answer_count;
	uint16_t data_chains;
	uint8_t template_of[DRIVER_RING_SIZE_MAX];
};

struct load_end {
	const struct net_load_end_config *config;
	struct net_driver *driver;
	struct frame_plan plan;
	struct load_queue *queues;
	unsigned queue_count;
	struct frame_template templates[NET_LOAD_SIZES_MAX];
	struct net_track track; /* of what this end sent, wherever it arrives */
	struct net_load_end *seen;
	uint64_t due_tsc_q16, interval_tsc_q16; /* open loop */
	uint64_t completed_tsc;			/* last time that the back end took something, or had nothing to take */
	struct net_address next_hop;
	bool next_hop_known;
	struct net_dhcp dhcp;
	unsigned index;
	unsigned tick;
};

struct net_load {
	const struct net_load_config *config;
	struct net_load_result *result;
	struct load_end ends[NET_LOAD_ENDS_MAX];
	unsigned end_count;
	struct net_load_direction warm[NET_LOAD_ENDS_MAX]; /* of packets sent in warm-up: not reported */
	uint32_t tag;					   /* of this run, and whether it is measured now */
	bool tcp, stamped;
	bool receiving; /* measured: what arrives counts */
	uint64_t start_tsc;
	uint64_t asked, replied; /* TCP: SYN and FIN sent, and what the other side said to them */
	uint64_t arrived_tsc;	 /* last time that something did */
	uint8_t *frame;		 /* room for one, to be verified */
};

static inline bool load_interrupted(const struct net_load *load)
{
	return load->config->interrupted != NULL && *load->config->interrupted != 0;
}

/* The counters of a packet that carries `tag`. */
static inline struct net_load_direction *load_direction(struct net_load *load, uint32_t tag)
{
	unsigned index = tag & LOAD_TAG_DIRECTION;

	return (tag & LOAD_TAG_MEASURED) != 0 ? &load->result->directions[index] : &load->warm[index];
}

__attribute__((format(printf, 3, 4))) int load_fail(struct net_load *load, int error, const char *format, ...);

/* --- net_send.c --- */

/* Which chains are for data, before anything is sent. */
void load_queue_share(struct net_load *load, struct load_end *end, struct load_queue *queue);
/* Templates, flows and laid-out frames, when all addresses are known. */
int load_send_prepare(struct net_load *load, struct load_end *end, uint64_t now_tsc);
void load_send(struct net_load *load, struct load_end *end, struct load_queue *queue, uint64_t now_tsc);
/* Says good-bye to open connections: true while there may be more. */
bool load_send_closing(struct net_load *load, struct load_end *end, struct load_queue *queue);
/* Takes back what the back end is done with. */
void load_send_reap(struct load_end *end, struct load_queue *queue, uint64_t now_tsc);

/* A chain for a frame built by hand; false: all are in use. */
bool load_control_take(struct load_queue *queue, uint16_t *chain);
/* It is `bytes` long now: it goes out with load_control_post(). */
void load_control_add(struct load_queue *queue, uint16_t chain, uint32_t bytes);
void load_control_post(struct load_queue *queue);

/* --- net_take.c --- */

typedef void load_take_hook(struct net_load *load, struct load_end *end, struct load_queue *queue, const struct net_packet *packet);

/* Handles everything that has arrived; `hook`, which may be NULL, sees what is neither signed nor answered. */
unsigned load_take(struct net_load *load, struct load_end *end, struct load_queue *queue, uint64_t *now_tsc, load_take_hook *hook);

/* --- net_learn.c --- */

/* DHCP, then the next hops' MAC addresses. */
int load_learn(struct net_load *load);

/* --- net_load.c --- */

/* What ends a run: a broken ring, a lost connection, a back end that takes nothing. */
int load_check_health(struct net_load *load, uint64_t now_tsc);

#endif
