/*
 * A guest with a NIC that misbehaves, for tests of what it can do to others: connects like any driver, then does one forbidden or
 * excessive thing.
 *
 *	hostile_net --socket S --mode MODE --from N [--to M] [--seconds N] [--packed]
 *
 * It is 10.0.1.N, 02:00:00:00:00:N, and sends to 10.0.1.M likewise. Its rings are its own, so that it can write anything to them: 1,024
 * chains each way, each with a table of up to 128 descriptors, or one that this program makes.
 *
 * Standard output, for scripts: "started" once the misdeed is under way, at the end "connection open" or "connection closed" and
 * "sent N" (chains that came back). Exit status 0 when the misdeed was done, whatever became of it; 1 when there was no back end to do
 * it to.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "load/net_driver.h"
#include "load/net_frame.h"

enum {
	CHAINS = 1024,
	FRAMES = 64, /* that chains share: they change while the card reads them */
	FRAME_STRIDE = 66 << 10,
	BUFFER_STRIDE = 2048,
	FRAME_AT = 64, /* of a stride; the header is right before it */
	TABLE_ENTRIES = CHAINS,
	SECONDS_DEFAULT = 2,
	ROUNDS = 64,	  /* between two looks at the clock */
	GSO_UDP = 5,	  /* VIRTIO_NET_HDR_GSO_UDP_L4 */
	F_USO_FIRST = 54, /* GUEST_USO4, GUEST_USO6, HOST_USO */
	UDP_HEADERS_BYTES = 42,
};

struct hostile {
	const char *socket_path;
	bool packed;
	unsigned from, to;
	struct net_driver driver;
	struct driver_ring receive, transmit;
	uint8_t *frames, *buffers;
	struct vring_desc *table; /* TABLE_ENTRIES, for those who need longer ones */
	uint64_t end_ns, sent;
	uint64_t random;
	bool closed;
};

/* ---- a driver ---- */

static uint64_t next_random(struct hostile *h)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 7;
	return h->random ^= h->random << 17;
}

static uint8_t *frame_at(const struct hostile *h, unsigned chain)
{
	return h->frames + (size_t)(chain % FRAMES) * FRAME_STRIDE + FRAME_AT;
}

static struct virtio_net_hdr_v1 *header_at(const struct hostile *h, unsigned chain)
{
	return (struct virtio_net_hdr_v1 *)(void *)(frame_at(h, chain) - NET_HEADER_BYTES);
}

static uint64_t guest_address(const struct hostile *h, const void *p)
{
	return shared_memory_guest_address(&h->driver.memory, p);
}

/* Everything that the card offers is accepted, so that there is most to lie about. */
static uint64_t features(const struct hostile *h)
{
	uint64_t wanted = h->driver.client.features_offered;

	if (!h->packed)
		wanted &= ~(UINT64_C(1) << VIRTIO_F_RING_PACKED);
	return wanted & ~(UINT64_C(1) << VIRTIO_NET_F_CTRL_VQ | UINT64_C(1) << VIRTIO_NET_F_MQ);
}

static int make_rings(struct hostile *h)
{
	const struct driver_ring_config ring = {
		.chain_count = CHAINS, .segments_max = DRIVER_CHAIN_SEGMENTS_MAX, .packed = h->packed, .indirect = true};
	uint64_t bytes = 2 * driver_ring_memory_bytes(&ring) + FRAMES * (uint64_t)FRAME_STRIDE + CHAINS * (uint64_t)BUFFER_STRIDE +
			 TABLE_ENTRIES * sizeof(struct vring_desc) + 4096;
	int rc = shared_memory_create(&h->driver.memory, bytes);

	if (rc == 0)
		rc = driver_ring_create(&h->receive, &ring, &h->driver.memory);
	if (rc == 0)
		rc = driver_ring_create(&h->transmit, &ring, &h->driver.memory);
	if (rc != 0)
		return rc;
	h->frames = shared_memory_take(&h->driver.memory, (uint64_t)FRAMES * FRAME_STRIDE, 64);
	h->buffers = shared_memory_take(&h->driver.memory, (uint64_t)CHAINS * BUFFER_STRIDE, 64);
	h->table = shared_memory_take(&h->driver.memory, TABLE_ENTRIES * sizeof(struct vring_desc), 64);
	return h->frames != NULL && h->buffers != NULL && h->table != NULL ? 0 : -1;
}

static void lay_buffers(struct hostile *h)
{
	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		const struct driver_segment buffer = {h->buffers + (size_t)chain * BUFFER_STRIDE, BUFFER_STRIDE, true};

		driver_ring_lay(&h->receive, chain, &buffer, 1);
	}
}

static void post_all(struct driver_ring *ring)
{
	uint16_t chains[CHAINS];

	for (uint16_t chain = 0; chain < CHAINS; chain++)
		chains[chain] = chain;
	driver_ring_post(ring, chains, CHAINS);
}

/* What the mode laid out for receiving is posted before the card may fill it. */
static int start_rings(struct hostile *h)
{
	int rc = vhost_user_client_queue_start(&h->driver.client, 0, &h->receive);

	return rc != 0 ? rc : vhost_user_client_queue_start(&h->driver.client, 1, &h->transmit);
}

static int open_driver(struct hostile *h)
{
	int rc = net_driver_connect(&h->driver, h->socket_path, VHOST_USER_CLIENT_TIMEOUT_DEFAULT_MS);

	if (rc == 0)
		rc = make_rings(h);
	if (rc == 0)
		rc = vhost_user_client_features_set(&h->driver.client, features(h));
	if (rc == 0)
		rc = vhost_user_client_memory_set(&h->driver.client, &h->driver.memory);
	return rc;
}

static void close_driver(struct hostile *h)
{
	vhost_user_client_close(&h->driver.client);
	driver_ring_free(&h->receive);
	driver_ring_free(&h->transmit);
	shared_memory_free(&h->driver.memory);
}

static bool over(struct hostile *h)
{
	h->closed = h->closed || vhost_user_client_poll(&h->driver.client) != 0;
	return h->closed || clock_monotonic_ns() >= h->end_ns;
}

static void started(void)
{
	puts("started");
	fflush(stdout);
}

/* ---- frames ---- */

/* A right UDP datagram in chain `chain`; as several of `segment_bytes` (0: as it is). */
static void make_datagram(struct hostile *h, uint16_t chain, uint32_t frame_bytes, uint16_t segment_bytes)
{
	const struct frame_plan plan = {.source_mac = {{2, 0, 0, 0, 0, (uint8_t)h->from}},
					.destination_mac = {{2, 0, 0, 0, 0, (uint8_t)h->to}},
					.source = net_address_v4(htonl(0x0a000100 + h->from)),
					.destination = net_address_v4(htonl(0x0a000100 + h->to)),
					.vlan = FRAME_NO_VLAN,
					.protocol = IPPROTO_UDP,
					.checksum_offload = true};
	const struct frame_tuple tuple = {htonl(0x0a000100 + h->from), htonl(0x0a000100 + h->to),
					  htons((uint16_t)(4000 + chain % 8)), htons(9)};
	const struct frame_signature signature = {.tag = 1};
	struct frame_template t;

	if (frame_template_make(&t, &plan, frame_bytes) != 0)
		abort();
	frame_template_lay(&t, frame_at(h, chain));
	frame_patch(&t, frame_at(h, chain), &tuple, &signature);
	*header_at(h, chain) = t.header;
	if (segment_bytes != 0) {
		header_at(h, chain)->gso_type = GSO_UDP;
		header_at(h, chain)->gso_size = segment_bytes;
		header_at(h, chain)->hdr_len = UDP_HEADERS_BYTES;
	}
}

static void lay_frame(struct hostile *h, uint16_t chain, uint32_t frame_bytes)
{
	const struct driver_segment one = {header_at(h, chain), NET_HEADER_BYTES + frame_bytes, false};

	driver_ring_lay(&h->transmit, chain, &one, 1);
}

/* The chain's table is this one instead. */
static void use_table(struct hostile *h, struct driver_ring *ring, uint16_t chain)
{
	if (h->packed) {
		ring->packed.templates[chain].addr = guest_address(h, h->table);
		ring->packed.templates[chain].len = TABLE_ENTRIES * sizeof(*h->table);
	} else {
		ring->split.desc[chain].addr = guest_address(h, h->table);
		ring->split.desc[chain].len = TABLE_ENTRIES * sizeof(*h->table);
	}
}

/* TABLE_ENTRIES descriptors, all empty but the last. */
static void fill_table(struct hostile *h, const void *last, uint32_t last_bytes, uint16_t write)
{
	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		uint16_t next = i + 1 < TABLE_ENTRIES ? VRING_DESC_F_NEXT : 0;
		uint64_t at = guest_address(h, last);

		h->table[i] = (struct vring_desc){.addr = at, .flags = (uint16_t)(write | next), .next = (uint16_t)(i + 1)};
		if (h->packed) /* entries follow each other, and have their flags where the other kind has the index */
			memcpy(&h->table[i],
			       &(struct vring_packed_desc){.addr = at, .flags = write, .len = next == 0 ? last_bytes : 0},
			       sizeof(h->table[i]));
		else if (next == 0)
			h->table[i].len = last_bytes;
	}
}

/* ---- misdeeds ---- */

/* Whatever came back is sent again, as fast as the card takes it; what comes is thrown away. */
static void send_for_ever(struct hostile *h, void (*again)(struct hostile *h, uint16_t chain))
{
	uint16_t chains[CHAINS];

	post_all(&h->transmit);
	driver_ring_kick_always(&h->transmit);
	started();
	while (!over(h)) {
		for (unsigned i = 0; i < ROUNDS; i++) {
			unsigned count = driver_ring_reap(&h->transmit, chains, CHAINS);

			h->sent += count;
			for (unsigned k = 0; again != NULL && k < count; k++)
				again(h, chains[k]);
			driver_ring_post(&h->transmit, chains, count);
			if (count > 0)
				driver_ring_kick(&h->transmit);
			count = driver_ring_reap(&h->receive, chains, CHAINS);
			driver_ring_post(&h->receive, chains, count);
		}
	}
}

static void kick_storm(struct hostile *h)
{
	started();
	while (!over(h))
		for (unsigned i = 0; i < ROUNDS; i++) {
			driver_ring_kick_always(&h->receive);
			driver_ring_kick_always(&h->transmit);
		}
}

/* Header and frame in descriptors of one byte each. */
static void slivers(struct hostile *h)
{
	struct driver_segment segments[DRIVER_CHAIN_SEGMENTS_MAX];

	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		make_datagram(h, chain, 110, 0);
		for (unsigned i = 0; i < NET_HEADER_BYTES + 110; i++)
			segments[i] = (struct driver_segment){(uint8_t *)header_at(h, chain) + i, 1, false};
		driver_ring_lay(&h->transmit, chain, segments, NET_HEADER_BYTES + 110);
	}
	send_for_ever(h, NULL);
}

/* Tables as long as the ring, with one descriptor that is not empty. */
static void tables(struct hostile *h)
{
	make_datagram(h, 0, 110, 0);
	fill_table(h, header_at(h, 0), NET_HEADER_BYTES + 110, 0);
	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		lay_frame(h, chain, 110);
		use_table(h, &h->transmit, chain);
	}
	send_for_ever(h, NULL);
}

/* Buffers in such tables, each with room for a header: whoever sends here has the work. */
static void sponge(struct hostile *h)
{
	uint16_t chains[CHAINS];

	started();
	while (!over(h)) {
		driver_ring_post(&h->receive, chains, driver_ring_reap(&h->receive, chains, CHAINS));
		driver_ring_kick(&h->receive);
	}
}

/* The largest frames there are; `segment` 1: small ones that stand for two thousand each. */
static void giants(struct hostile *h)
{
	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		make_datagram(h, chain, 65000, 1400);
		lay_frame(h, chain, 65000);
	}
	send_for_ever(h, NULL);
}

static void crumbs(struct hostile *h)
{
	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		make_datagram(h, chain, UDP_HEADERS_BYTES + 2040, 1);
		lay_frame(h, chain, UDP_HEADERS_BYTES + 2040);
	}
	send_for_ever(h, NULL);
}

/* A frame that is right, under a header that is not. */
static void lie(struct hostile *h, uint16_t chain)
{
	uint64_t random[2] = {next_random(h), next_random(h)};

	memcpy(header_at(h, chain), random, NET_HEADER_BYTES);
	if (random[1] >> 40 & 1)
		header_at(h, chain)->csum_start = 34;
	if (random[1] >> 41 & 1)
		header_at(h, chain)->csum_offset = 6;
	if (random[1] >> 42 & 1)
		header_at(h, chain)->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header_at(h, chain)->gso_type &= 0x87;
}

static void lies(struct hostile *h)
{
	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		uint32_t bytes = (uint32_t)(60 + next_random(h) % 9000);

		make_datagram(h, chain, bytes, 0);
		lay_frame(h, chain, bytes);
		lie(h, chain);
	}
	send_for_ever(h, lie);
}

/* Any bytes, mostly in the name of its own. */
static void babble(struct hostile *h, uint16_t chain)
{
	static const uint16_t types[] = {0x0800, 0x86dd, 0x0806, 0x8100};
	uint8_t *frame = frame_at(h, chain);
	uint64_t random = next_random(h);

	for (unsigned at = 0; at < 128; at += 8) {
		uint64_t word = next_random(h);

		memcpy(frame + at, &word, sizeof(word));
	}
	memset(header_at(h, chain), 0, NET_HEADER_BYTES);
	if ((random & 7) != 0)
		memcpy(frame + 6, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)h->from}, 6);
	frame[12] = (uint8_t)(types[random >> 8 & 3] >> 8);
	frame[13] = (uint8_t)types[random >> 8 & 3];
	if ((random & 8) != 0)
		frame[14] = frame[12] == 8 ? 0x45 : 0x60;
}

static void babbles(struct hostile *h)
{
	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		lay_frame(h, chain, (uint32_t)(14 + next_random(h) % 1500));
		babble(h, chain);
	}
	send_for_ever(h, babble);
}

/* Takes its memory away while the card copies frames from it. */
static void truncate_memory(struct hostile *h)
{
	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		make_datagram(h, chain, 65000, 1400);
		lay_frame(h, chain, 65000);
	}
	post_all(&h->transmit);
	driver_ring_kick_always(&h->transmit);
	if (ftruncate(h->driver.memory.fd, 0) != 0)
		perror("hostile_net: ftruncate");
	started();
	while (!over(h)) {
		driver_ring_kick_always(&h->transmit);
		usleep(1000);
	}
}

/* Rings are stopped and started while frames are on their way. */
static void restarts(struct hostile *h)
{
	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		make_datagram(h, chain, 600, 0);
		lay_frame(h, chain, 600);
	}
	started();
	while (!over(h)) {
		struct driver_ring *rings[] = {&h->receive, &h->transmit};
		unsigned index = next_random(h) & 1;
		uint16_t chains[CHAINS];
		uint32_t base;

		if (vhost_user_client_queue_stop(&h->driver.client, index, &base) != 0)
			break;
		h->sent += driver_ring_reap(&h->transmit, chains, CHAINS);
		driver_ring_restart(rings[index], chains);
		if (rings[index] == &h->receive)
			lay_buffers(h);
		post_all(rings[index]);
		if (vhost_user_client_queue_start(&h->driver.client, index, rings[index]) != 0)
			break;
		driver_ring_kick_always(rings[index]);
	}
}

/* Comes and goes, with frames under way, as often as it is let in. */
static void vanish(struct hostile *h)
{
	started();
	while (!over(h)) {
		for (uint16_t chain = 0; chain < CHAINS; chain++) {
			make_datagram(h, chain, 600, 0);
			lay_frame(h, chain, 600);
		}
		post_all(&h->transmit);
		driver_ring_kick_always(&h->transmit);
		usleep((useconds_t)(next_random(h) % 2000));
		close_driver(h);
		h->sent++;
		if (open_driver(h) != 0) {
			h->closed = true;
			return;
		}
		lay_buffers(h);
		post_all(&h->receive);
		if (start_rings(h) != 0)
			h->closed = true;
	}
}

/* Heads that do not exist. */
static void bad_index(struct hostile *h)
{
	if (h->packed) {
		for (unsigned i = 0; i < h->transmit.size; i++)
			h->transmit.packed.desc[i] = (struct vring_packed_desc){
				.id = UINT16_MAX, .flags = VRING_DESC_F_NEXT | 1 << VRING_PACKED_DESC_F_AVAIL};
	} else {
		memset(h->transmit.split.avail->ring, 0xff, h->transmit.size * sizeof(uint16_t));
		__atomic_store_n(&h->transmit.split.avail->idx, 30000, __ATOMIC_RELEASE);
	}
	driver_ring_kick_always(&h->transmit);
	started();
	while (!over(h))
		usleep(1000);
}

/* ---- what is received goes where? ---- */

static void lay_sponge(struct hostile *h)
{
	fill_table(h, h->buffers, NET_HEADER_BYTES, VRING_DESC_F_WRITE);
	for (uint16_t chain = 0; chain < CHAINS; chain++)
		use_table(h, &h->receive, chain);
}

/* Over its own rings, whoever sends. */
static void lay_over_rings(struct hostile *h)
{
	struct driver_ring_layout at = driver_ring_layout(&h->receive);
	void *const areas[] = {at.descriptor_area, at.driver_area, at.device_area};

	for (uint16_t chain = 0; chain < CHAINS; chain++) {
		const struct driver_segment buffer = {areas[chain % 3], BUFFER_STRIDE, true};

		driver_ring_lay(&h->receive, chain, &buffer, 1);
	}
}

static const struct mode {
	const char *name;
	void (*run)(struct hostile *h);
	void (*lay)(struct hostile *h); /* NULL: buffers as usual */
} modes[] = {{"kick-storm", kick_storm, NULL},
	     {"slivers", slivers, NULL},
	     {"tables", tables, NULL},
	     {"giants", giants, NULL},
	     {"crumbs", crumbs, NULL},
	     {"lies", lies, NULL},
	     {"babble", babbles, NULL},
	     {"truncate-memory", truncate_memory, NULL},
	     {"restarts", restarts, NULL},
	     {"vanish", vanish, NULL},
	     {"bad-index", bad_index, NULL},
	     {"sponge", sponge, lay_sponge},
	     {"self-eater", sponge, lay_over_rings}};

static int usage(void)
{
	fprintf(stderr, "usage: hostile_net --socket S --mode MODE --from N [--to M] [--seconds N] [--packed]\nmodes:");
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		fprintf(stderr, " %s", modes[i].name);
	fprintf(stderr, "\n");
	return 2;
}

static int misbehave(struct hostile *h, const struct mode *mode)
{
	int rc = open_driver(h);

	if (rc == 0) {
		lay_buffers(h);
		if (mode->lay != NULL)
			mode->lay(h);
		post_all(&h->receive);
		rc = start_rings(h);
	}
	if (rc != 0) {
		fprintf(stderr, "hostile_net: %s: %s\n", h->socket_path, h->driver.client.error);
		return 1;
	}
	mode->run(h);
	printf("connection %s\nsent %llu\n", h->closed ? "closed" : "open", (unsigned long long)h->sent);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {{"socket", required_argument, NULL, 's'},
					      {"mode", required_argument, NULL, 'm'},
					      {"from", required_argument, NULL, 'f'},
					      {"to", required_argument, NULL, 't'},
					      {"seconds", required_argument, NULL, 'n'},
					      {"packed", no_argument, NULL, 'p'},
					      {0}};
	struct hostile h = {.random = UINT64_C(0x9e3779b97f4a7c15)};
	unsigned long seconds = SECONDS_DEFAULT;
	const char *mode = "";
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 's')
			h.socket_path = optarg;
		else if (option == 'm')
			mode = optarg;
		else if (option == 'f')
			h.from = (unsigned)strtoul(optarg, NULL, 10) & 0xff;
		else if (option == 't')
			h.to = (unsigned)strtoul(optarg, NULL, 10) & 0xff;
		else if (option == 'n')
			seconds = strtoul(optarg, NULL, 10);
		else if (option == 'p')
			h.packed = true;
		else
			return usage();
	}
	clock_calibrate();
	h.end_ns = clock_monotonic_ns() + seconds * 1000000000u;
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]) && h.socket_path != NULL && h.from != 0; i++)
		if (strcmp(mode, modes[i].name) == 0)
			return misbehave(&h, &modes[i]);
	return usage();
}
