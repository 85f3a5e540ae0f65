#include "../cmocka_all.h"

#include "wire_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "vpc/eal_dpdk.h"

enum { HEAD_BYTES = 256, PARTS_MAX = 8, WAIT_NS = 2000000000 };

static const uint8_t header[14] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 0x88, 0xb5};

int rig_open(void **state)
{
	struct eal_config config = {.core = 0, .memory_mib = 128};
	char error[300];

	(void)state;
	clock_calibrate();
	if (eal_open(&config, error, sizeof(error)) == 0)
		return 0;
	fprintf(stderr, "%s\n", error);
	return -1;
}

int rig_close(void **state)
{
	(void)state;
	eal_close();
	return 0;
}

int rig_wire_error(const char *device, char *error, size_t error_size)
{
	struct wire_config config = {.address = {net_address_v4(0x010200c0), 120}};
	struct wire *wire;
	int rc;

	snprintf(config.device, sizeof(config.device), "%s", device);
	rc = wire_dpdk_open(&wire, &config, 0, error, error_size);
	assert_true(rc < 0);
	return rc;
}

struct wire *rig_wire(const char *device, unsigned index)
{
	struct wire_config config = {.address = {net_address_v4(0x010200c0), 120}};
	struct wire *wire = NULL;
	char error[400] = "";

	snprintf(config.device, sizeof(config.device), "%s", device);
	if (wire_dpdk_open(&wire, &config, index, error, sizeof(error)) != 0)
		fail_msg("%s", error);
	assert_int_equal(wire->index, index);
	assert_string_equal(wire->config.device, device);
	return wire;
}

static void take(struct packet_input *input, struct packet *const *packets, unsigned count, uint64_t now_tsc)
{
	struct rig_input *in = (struct rig_input *)input;

	(void)now_tsc;
	assert_true(count > 0 && count <= PACKET_BATCH_MAX);
	in->batches++;
	for (unsigned i = 0; i < count; i++) {
		const struct packet *p = packets[i];
		uint32_t size = packet_bytes(p), at = p->head_bytes;
		uint8_t *bytes;

		/* What packet.h promises. */
		assert_true(p->headroom_bytes >= PACKET_HEADROOM_BYTES);
		assert_true(p->tail_bytes == 0 || p->head_bytes >= PACKET_HEAD_MIN_BYTES);
		if (size < sizeof(header) || memcmp(p->head + 12, header + 12, 2) != 0 || in->count == RIG_FRAMES_MAX)
			continue;
		bytes = malloc(size);
		assert_non_null(bytes);
		memcpy(bytes, p->head, p->head_bytes);
		for (unsigned part = 0; part < p->tail_count; part++) {
			memcpy(bytes + at, p->tail[part].iov_base, p->tail[part].iov_len);
			at += (uint32_t)p->tail[part].iov_len;
		}
		assert_int_equal(at, size);
		in->valid_checksums += (p->flags & PACKET_CSUM_VALID) != 0;
		in->frames[in->count].bytes = bytes;
		in->frames[in->count].size = size;
		in->count++;
	}
}

void rig_input_init(struct rig_input *in)
{
	memset(in, 0, sizeof(*in));
	in->input.receive = take;
}

void rig_input_forget(struct rig_input *in)
{
	for (unsigned i = 0; i < in->count; i++)
		free(in->frames[i].bytes);
	rig_input_init(in);
}

void rig_frame_make(uint8_t *bytes, uint32_t size, uint32_t number)
{
	memcpy(bytes, header, sizeof(header));
	for (uint32_t i = sizeof(header); i < size; i++)
		bytes[i] = (uint8_t)(number * 131 + i * 7 + i / 251);
}

bool rig_put(struct wire *wire, uint32_t size, uint32_t number, unsigned parts)
{
	static uint8_t bytes[RIG_FRAME_BYTES_MAX];
	struct iovec tail[PARTS_MAX];
	struct packet p = {.head = bytes, .head_bytes = (uint16_t)size, .tail = tail};

	assert_true(size <= sizeof(bytes) && parts >= 1 && parts <= PARTS_MAX);
	rig_frame_make(bytes, size, number);
	if (parts > 1) {
		uint32_t at = HEAD_BYTES;

		p.head_bytes = HEAD_BYTES;
		p.tail_bytes = size - HEAD_BYTES;
		for (unsigned i = 0; i < parts - 1; i++) {
			uint32_t part = i + 2 == parts ? size - at : (size - HEAD_BYTES) / (parts - 1);

			tail[p.tail_count++] = (struct iovec){bytes + at, part};
			at += part;
		}
	}
	return wire->sink.ops->put(&wire->sink, &p, clock_tsc());
}

void rig_flush(struct wire *wire)
{
	wire->sink.ops->flush(&wire->sink, clock_tsc());
}

void rig_receive(struct wire *wire, struct rig_input *in, unsigned count)
{
	uint64_t end = clock_monotonic_ns() + WAIT_NS;

	while (in->count < count && clock_monotonic_ns() < end)
		wire->ops->receive(wire, &in->input, clock_tsc());
}

bool rig_frame_is(const struct rig_input *in, unsigned at, uint32_t size, uint32_t number)
{
	static uint8_t bytes[RIG_FRAME_BYTES_MAX];

	rig_frame_make(bytes, size, number);
	return at < in->count && in->frames[at].size == size && memcmp(in->frames[at].bytes, bytes, size) == 0;
}
