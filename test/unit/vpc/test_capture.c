/* Captures: pcapng as its reader sees it, block by block. */
#include "../cmocka_all.h"

#include <netinet/in.h>
#include <string.h>

#include "pipeline_rig.h"

enum { BUFFER_BYTES = 1 << 20 };

static int open_rig(void **state)
{
	*state = malloc(sizeof(struct pipeline_rig));
	assert_non_null(*state);
	pipeline_rig_open(*state, 0);
	return 0;
}

static int close_rig(void **state)
{
	pipeline_rig_close(*state);
	free(*state);
	return 0;
}

static const struct words ab = {.source = "10.0.1.10",
				.destination = "10.0.1.11",
				.protocol = IPPROTO_UDP,
				.source_port = 1000,
				.destination_port = 53,
				.payload_bytes = 300};

struct block {
	uint32_t type, bytes;
	const uint8_t *at;
};

/* The next block; its two lengths are the same and it ends on four bytes. False: the end. */
static bool next_block(const uint8_t *data, size_t size, size_t *at, struct block *out)
{
	if (*at == size)
		return false;
	assert_true(size - *at >= 12);
	out->at = data + *at;
	out->type = get_le32(out->at);
	out->bytes = get_le32(out->at + 4);
	assert_int_equal(out->bytes % 4, 0);
	assert_in_range(out->bytes, 12, size - *at);
	assert_int_equal(get_le32(out->at + out->bytes - 4), out->bytes);
	*at += out->bytes;
	return true;
}

/* Frames of an interface; the comment of the last one, "" when it has none. */
static unsigned frames_of(const uint8_t *data, size_t size, uint32_t interface, char *comment, uint32_t *flags)
{
	struct block b;
	size_t at = 0;
	unsigned count = 0;

	while (next_block(data, size, &at, &b)) {
		const uint8_t *option;

		if (b.type != 6 || get_le32(b.at + 8) != interface)
			continue;
		count++;
		comment[0] = '\0';
		for (option = b.at + 28 + ((get_le32(b.at + 20) + 3) & ~3u); get_le16(option) != 0;
		     option += 4 + ((get_le16(option + 2) + 3) & ~3)) {
			if (get_le16(option) == 1) {
				memcpy(comment, option + 4, get_le16(option + 2));
				comment[get_le16(option + 2)] = '\0';
			} else if (get_le16(option) == 2) {
				*flags = get_le32(option + 4);
			}
		}
	}
	return count;
}

static void test_frames(void **state)
{
	struct pipeline_rig *rig = *state;
	struct capture_config config = {.slot = rig_endpoint(&rig->model, NET_ENI, "a")->slot, .snap_bytes = 65535};
	struct words ba = {.source = "10.0.1.11",
			   .destination = "10.0.1.10",
			   .protocol = IPPROTO_UDP,
			   .source_port = 53,
			   .destination_port = 1000};
	uint8_t *data = malloc(BUFFER_BYTES);
	struct words spoofed = ab;
	struct capture *c;
	struct block b;
	char comment[256];
	uint32_t flags = 0;
	uint64_t lost;
	size_t size, at = 0;

	assert_int_equal(vpc_capture_start(rig->vpc, &config, &c), 0);
	rig_send(rig, "a", &ab);
	spoofed.source = "10.0.1.99";
	spoofed.from = rig_mac(10);
	rig_send(rig, "a", &spoofed);
	size = vpc_capture_read(c, data, BUFFER_BYTES, &lost);
	assert_int_equal(lost, 0);
	assert_true(next_block(data, size, &at, &b));
	assert_int_equal(b.type, 0x0a0d0d0a);
	assert_int_equal(get_le32(b.at + 8), 0x1a2b3c4d);
	assert_true(next_block(data, size, &at, &b));
	assert_int_equal(b.type, 1);
	assert_memory_equal(b.at + 20, "a", 1); /* the name */
	assert_true(next_block(data, size, &at, &b));
	assert_int_equal(b.type, 6);
	assert_int_equal(get_le32(b.at + 20), 342);
	assert_memory_equal(b.at + 28 + 26, ((uint8_t[]){10, 0, 1, 10, 10, 0, 1, 11}), 8);
	assert_int_equal(b.at[28 + 341], (uint8_t)299);			/* head and tail */
	assert_int_equal(frames_of(data, size, 0, comment, &flags), 2); /* what the guest sent, carried or not */
	assert_int_equal(flags, 2);
	rig_send(rig, "b", &ba);
	size = vpc_capture_read(c, data, BUFFER_BYTES, &lost); /* goes on where it was */
	assert_int_equal(frames_of(data, size, 0, comment, &flags), 1);
	assert_int_equal(flags, 1);
	assert_int_equal(vpc_capture_read(c, data, BUFFER_BYTES, &lost), 0);
	vpc_capture_stop(rig->vpc, c);
	free(data);
}

static void test_drops(void **state)
{
	struct pipeline_rig *rig = *state;
	struct capture_config config = {.slot = rig_endpoint(&rig->model, NET_ENI, "a")->slot, .snap_bytes = 64, .drops = true};
	uint8_t *data = malloc(BUFFER_BYTES);
	struct words w = ab;
	struct capture *c;
	char comment[256];
	uint32_t flags;
	uint64_t lost;
	size_t size;

	assert_int_equal(vpc_capture_start(rig->vpc, &config, &c), 0);
	w.destination = "10.0.1.77";
	assert_int_equal(rig_send(rig, "a", &w), DROP_NO_MAPPING);
	size = vpc_capture_read(c, data, BUFFER_BYTES, &lost);
	assert_int_equal(frames_of(data, size, 0, comment, &flags), 1);
	assert_int_equal(frames_of(data, size, 1, comment, &flags), 1);
	assert_string_equal(comment, "dropped: nobody in the VPC has the destination address");
	vpc_capture_stop(rig->vpc, c);
	free(data);
}

/* Nobody reads: what finds no room is counted, what found it is whole. Read in small parts it is the same. */
static void test_full(void **state)
{
	struct pipeline_rig *rig = *state;
	struct capture_config config = {.slot = rig_endpoint(&rig->model, NET_ENI, "a")->slot, .buffer_bytes = 1};
	uint8_t *data = malloc(BUFFER_BYTES);
	struct capture *c;
	char comment[256];
	uint32_t flags;
	uint64_t lost, lost_more;
	size_t size = 0, part;
	unsigned whole;

	assert_int_equal(vpc_capture_start(rig->vpc, &config, &c), 0);
	for (unsigned i = 0; i < 500; i++)
		rig_send(rig, "a", &ab);
	size = vpc_capture_read(c, data, 7, &lost);
	while ((part = vpc_capture_read(c, data + size, 777, &lost_more)) > 0)
		size += part;
	whole = frames_of(data, size, 0, comment, &flags);
	assert_in_range(whole, 100, 200); /* 64 KiB, the least there is */
	assert_int_equal(whole + lost, 500);
	/* Round the ring's end. */
	for (unsigned i = 0; i < 100; i++) {
		rig_send(rig, "a", &ab);
		rig_clear(rig);
		size = vpc_capture_read(c, data, BUFFER_BYTES, &lost);
		assert_int_equal(frames_of(data, size, 0, comment, &flags), 1);
		assert_int_equal(lost, 0);
	}
	vpc_capture_stop(rig->vpc, c);
	config.slot = UINT32_MAX;
	assert_int_not_equal(vpc_capture_start(rig->vpc, &config, &c), 0);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_drops, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(test_full, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
