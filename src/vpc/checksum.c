#include "vpc/checksum.h"

#include <arpa/inet.h>
#include <assert.h>

static inline uint64_t add_carried(uint64_t sum, const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	sum += word;
	return sum + (sum < word); /* the end-around carry of one's complement */
}

static inline uint64_t add_folded(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

/* Four sums at once: an addition with its carry takes two cycles, but four of them do not wait for each other. */
uint16_t checksum_of(const void *data, uint32_t bytes)
{
	uint64_t sum[4] = {0}, rest = 0;
	const uint8_t *p = data;

	for (; bytes >= 32; bytes -= 32, p += 32)
		for (unsigned i = 0; i < 4; i++)
			sum[i] = add_carried(sum[i], p + 8 * i);
	for (; bytes >= 8; bytes -= 8, p += 8)
		sum[0] = add_carried(sum[0], p);
	memcpy(&rest, p, bytes);
	return checksum_fold(add_folded(add_folded(sum[0], sum[1]), add_folded(add_folded(sum[2], sum[3]), rest)));
}

uint16_t checksum_pseudo(const struct net_address *source, const struct net_address *destination, uint8_t protocol,
			 uint32_t l4_bytes)
{
	/* RFC 793 3.1, RFC 8200 8.1. A mapped IPv4 address sums to its four bytes: 0xffff before it counts as zero, but for a sum
	 * of nothing but zeroes, which the protocol number rules out. */
	uint64_t sum = htonl(l4_bytes);

	for (unsigned i = 0; i < 4; i++)
		sum += (uint64_t)source->word[i] + destination->word[i];
	return checksum_fold(sum + htonl(protocol));
}

uint16_t checksum_of_packet(const struct packet *p, uint32_t offset, uint32_t bytes)
{
	uint32_t done = 0, part, skip = offset > p->head_bytes ? offset - p->head_bytes : 0;
	uint64_t sum = 0;

	assert(offset <= packet_bytes(p) && bytes <= packet_bytes(p) - offset);
	if (offset < p->head_bytes) {
		done = p->head_bytes - offset < bytes ? p->head_bytes - offset : bytes;
		sum = checksum_of(p->head + offset, done);
	}
	for (const struct iovec *v = p->tail; done < bytes; v++) {
		if (v->iov_len <= skip) {
			skip -= (uint32_t)v->iov_len;
			continue;
		}
		part = v->iov_len - skip < bytes - done ? (uint32_t)(v->iov_len - skip) : bytes - done;
		sum += checksum_placed(checksum_of((const uint8_t *)v->iov_base + skip, part), done);
		done += part;
		skip = 0;
	}
	return checksum_fold(sum);
}
