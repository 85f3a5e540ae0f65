/*
 * What one 4 KiB random read of a memory volume costs in the copy alone: source blocks at random over a volume larger than the
 * cache (memfd with transparent huge pages, as the card maps it), destinations in a ring of guest buffers. Variants of the copy, and
 * of how many cache lines of the next block(s) are asked for while the present one is copied. Prints the best of the rounds: what
 * the others add is the machine's other work.
 *
 *	micro_copy [volume MiB] [guest MiB]
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { BLOCK_BYTES = 4096, BATCH = 32, BATCHES = 64, ROUNDS = 100, LINE_BYTES = 64 };

typedef void copy_fn(uint8_t *to, const uint8_t *from);

static void copy_memcpy(uint8_t *to, const uint8_t *from)
{
	memcpy(to, from, BLOCK_BYTES);
}

#if defined(__x86_64__)
static void copy_rep_movsb(uint8_t *to, const uint8_t *from)
{
	size_t n = BLOCK_BYTES;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

__attribute__((target("avx512f"))) static void copy_avx512(uint8_t *to, const uint8_t *from)
{
	for (unsigned i = 0; i < BLOCK_BYTES; i += 256) {
		__m512i a = _mm512_loadu_si512(from + i), b = _mm512_loadu_si512(from + i + 64);
		__m512i c = _mm512_loadu_si512(from + i + 128), d = _mm512_loadu_si512(from + i + 192);

		_mm512_storeu_si512(to + i, a);
		_mm512_storeu_si512(to + i + 64, b);
		_mm512_storeu_si512(to + i + 128, c);
		_mm512_storeu_si512(to + i + 192, d);
	}
}

__attribute__((target("avx512f"))) static void copy_avx512_stream(uint8_t *to, const uint8_t *from)
{
	for (unsigned i = 0; i < BLOCK_BYTES; i += 256) {
		__m512i a = _mm512_loadu_si512(from + i), b = _mm512_loadu_si512(from + i + 64);
		__m512i c = _mm512_loadu_si512(from + i + 128), d = _mm512_loadu_si512(from + i + 192);

		_mm512_stream_si512((void *)(to + i), a);
		_mm512_stream_si512((void *)(to + i + 64), b);
		_mm512_stream_si512((void *)(to + i + 128), c);
		_mm512_stream_si512((void *)(to + i + 192), d);
	}
	_mm_sfence();
}

/* Asks for the next block while it copies this one, line by line: the misses of the one hide behind the copying of the other. */
__attribute__((target("avx512f"))) static void copy_woven(uint8_t *to, const uint8_t *from, const uint8_t *next)
{
	for (unsigned i = 0; i < BLOCK_BYTES; i += 256) {
		__m512i a = _mm512_loadu_si512(from + i), b = _mm512_loadu_si512(from + i + 64);
		__m512i c = _mm512_loadu_si512(from + i + 128), d = _mm512_loadu_si512(from + i + 192);

		for (unsigned j = 0; j < 256; j += LINE_BYTES)
			__builtin_prefetch(next + i + j);
		_mm512_storeu_si512(to + i, a);
		_mm512_storeu_si512(to + i + 64, b);
		_mm512_storeu_si512(to + i + 128, c);
		_mm512_storeu_si512(to + i + 192, d);
	}
}
#endif

static uint8_t *volume, *guest;
static uint64_t volume_blocks, guest_blocks, random_state = 88172645463325252ull;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* `distance` blocks ahead, `lines` of each. copy NULL: woven. */
static double measure_ns(copy_fn *copy, unsigned distance, unsigned lines)
{
	uint64_t best = UINT64_MAX, slot = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t ticks = 0;

		for (unsigned batch = 0; batch < BATCHES; batch++) {
			const uint8_t *from[BATCH + 1];
			uint64_t start;

			for (unsigned i = 0; i <= BATCH; i++)
				from[i] = volume + next_random() % volume_blocks * BLOCK_BYTES;
			start = clock_tsc();
			for (unsigned i = 0; i < BATCH; i++) {
				uint8_t *to = guest + slot++ % guest_blocks * BLOCK_BYTES;

				if (copy == NULL) {
#if defined(__x86_64__)
					copy_woven(to, from[i], i + 1 < BATCH ? from[i + 1] : from[i]);
#endif
					continue;
				}
				if (i + distance < BATCH)
					for (unsigned l = 0; l < lines; l++)
						__builtin_prefetch(from[i + distance] + l * LINE_BYTES);
				copy(to, from[i]);
			}
			ticks += clock_tsc() - start;
		}
		if (ticks < best)
			best = ticks;
	}
	return (double)best * 1e9 / (double)clock_tsc_hz() / (BATCH * (double)BATCHES);
}

static uint8_t *map(const char *name, uint64_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	void *memory;

	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
		return NULL;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory == MAP_FAILED)
		return NULL;
	(void)madvise(memory, bytes, MADV_HUGEPAGE);
	memset(memory, 1, bytes);
	return memory;
}

static void report(const char *name, copy_fn *copy)
{
	static const unsigned lines[] = {0, 2, 4, 8, 16, 64};

	printf("%-14s", name);
	for (unsigned distance = 1; distance <= 2; distance++)
		for (unsigned i = distance - 1; i < sizeof(lines) / sizeof(lines[0]); i++)
			printf(" %6.0f", measure_ns(copy, distance, lines[i]));
	printf("\n");
}

int main(int argc, char **argv)
{
	uint64_t volume_bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1024) << 20;
	uint64_t guest_bytes = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1) << 20;

	clock_calibrate();
	volume = map("volume", volume_bytes);
	guest = map("guest", guest_bytes);
	if (volume == NULL || guest == NULL || volume_bytes < BLOCK_BYTES || guest_bytes < BLOCK_BYTES) {
		fprintf(stderr, "micro_copy: no memory for a volume of %s MiB\n", argc > 1 ? argv[1] : "1024");
		return 1;
	}
	volume_blocks = volume_bytes / BLOCK_BYTES;
	guest_blocks = guest_bytes / BLOCK_BYTES;
	printf("ns a 4 KiB block; columns: lines prefetched 0 2 4 8 16 64 of the next block, then 2 4 8 16 64 of the one after "
	       "it\n");
	report("memcpy", copy_memcpy);
#if defined(__x86_64__)
	report("rep movsb", copy_rep_movsb);
	if (__builtin_cpu_supports("avx512f")) {
		report("avx512", copy_avx512);
		report("avx512 stream", copy_avx512_stream);
		printf("%-14s %6.0f\n", "avx512 woven", measure_ns(NULL, 1, 64));
	}
#endif
	return 0;
}
