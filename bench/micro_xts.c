/*
 * What a 4 KiB block of AES-256-XTS costs, by each kernel that this machine has.
 *
 *	micro-xts [--rounds N] [--json]
 *
 * Nanoseconds per 4 KiB of data; the median over rounds, and how many times OpenSSL's rate that is. In each round every kernel does
 * every case once, so that what the machine does meanwhile (frequency, neighbours) hits all of them alike.
 *
 * Hot: one input and one output, over and over. Source: the input from 64 MiB that are visited in an order that no prefetcher
 * knows, the output into the same 64 KiB (a guest that reads a volume in memory). Cold: the output is as far away as the input. A
 * case is named by its call:
 *
 *	4k		one unit of 4 KiB a call
 *	4k-runs		a call for 16 such units that lie apart (crypt_kernel.h: runs)
 *	64k/4k		64 KiB, units of 4 KiB
 *	64k/512		64 KiB, units of 512 bytes
 *	512		one unit of 512 bytes a call
 */
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "volume/crypt_kernel.h"

enum {
	BLOCK_BYTES = 4096,
	BATCH_BYTES = 512 * 1024, /* between two readings of the clock */
	HOT_BYTES = 64 * 1024,
	COLD_BYTES = 64 * 1024 * 1024,
	HUGE_PAGE_BYTES = 2 * 1024 * 1024,
	RUNS = 16,
	ROUNDS_DEFAULT = 50,
	ROUNDS_MAX = 1000,
	KERNELS = 3,
};

struct call {
	const char *name;
	uint32_t unit_bytes;
	uint32_t bytes;
	bool runs;
};

static const struct call calls[] = {
	{"4k", 4096, 4096, false},	{"4k-runs", 4096, RUNS * 4096, true},
	{"64k/4k", 4096, 65536, false}, {"64k/512", 512, 65536, false},
	{"512", 512, 512, false},
};

enum cache { CACHE_HOT, CACHE_SOURCE, CACHE_COLD };

enum { CALLS = sizeof(calls) / sizeof(calls[0]), CACHES = 3, DIRECTIONS = 2, CASES = CALLS * CACHES * DIRECTIONS };

static const char *const cache_names[CACHES] = {"hot", "source", "cold"};
static const char *const direction_names[DIRECTIONS] = {"encrypt", "decrypt"};
static const struct crypt_kernel *const kernels[KERNELS] = {&crypt_kernel_vaes_avx512, &crypt_kernel_gcrypt, &crypt_kernel_openssl};

struct bench {
	uint8_t *in, *out; /* COLD_BYTES each */
	uint32_t *order;   /* in which the pieces of HOT_BYTES are visited */
	size_t piece, lap;
	struct crypt_key *keys[KERNELS];
	unsigned rounds;
	double *ns_per_block; /* [case][kernel][round] */
};

static double *samples(struct bench *b, size_t test, size_t kernel)
{
	return b->ns_per_block + (test * KERNELS + kernel) * b->rounds;
}

/* The next piece, and in it the next place of this size every time round. */
static size_t next_far(struct bench *b, uint32_t bytes)
{
	if (++b->piece == COLD_BYTES / HOT_BYTES) {
		b->piece = 0;
		b->lap++;
	}
	return (size_t)b->order[b->piece] * HOT_BYTES + b->lap % (HOT_BYTES / bytes) * bytes;
}

static void place(struct bench *b, enum cache cache, struct crypt_run *run, size_t near, uint32_t bytes)
{
	size_t far = cache == CACHE_HOT ? near : next_far(b, bytes);

	run->in = b->in + far;
	run->out = b->out + (cache == CACHE_COLD ? far : near);
	run->bytes = bytes;
}

static void call_once(struct bench *b, size_t kernel, const struct call *call, enum cache cache, bool decrypt, uint64_t unit_number)
{
	const struct crypt_kernel *k = kernels[kernel];
	struct crypt_run runs[RUNS];

	if (!call->runs) {
		place(b, cache, runs, 0, call->bytes);
		(decrypt ? k->decrypt : k->encrypt)(b->keys[kernel], unit_number, call->unit_bytes, runs->in, runs->out,
						    call->bytes);
		return;
	}
	for (size_t i = 0; i < RUNS; i++) {
		place(b, cache, &runs[i], i * BLOCK_BYTES, BLOCK_BYTES);
		runs[i].unit_number = unit_number + 1000 * i;
	}
	(decrypt ? k->decrypt_runs : k->encrypt_runs)(b->keys[kernel], call->unit_bytes, runs, RUNS);
}

static double batch_ns_per_block(struct bench *b, size_t kernel, const struct call *call, enum cache cache, bool decrypt)
{
	uint64_t start_tsc = clock_tsc();

	for (uint32_t done = 0; done < BATCH_BYTES; done += call->bytes)
		call_once(b, kernel, call, cache, decrypt, done / call->unit_bytes);
	return (double)clock_tsc_to_ns(clock_tsc() - start_tsc) / (BATCH_BYTES / BLOCK_BYTES);
}

static void run(struct bench *b)
{
	for (unsigned round = 0; round < b->rounds; round++) {
		for (size_t test = 0; test < CASES; test++) {
			for (size_t n = 0; n < KERNELS; n++) {
				size_t kernel = (n + round) % KERNELS; /* each finds the caches as each of the others left them */

				if (b->keys[kernel] == NULL)
					continue;
				samples(b, test, kernel)[round] = batch_ns_per_block(b, kernel, &calls[test / CACHES / DIRECTIONS],
										     test / DIRECTIONS % CACHES, test % DIRECTIONS);
			}
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(struct bench *b, size_t test, size_t kernel)
{
	double *s = samples(b, test, kernel);

	qsort(s, b->rounds, sizeof(*s), compare);
	return s[b->rounds / 2];
}

static void print_table(struct bench *b)
{
	printf("AES-256-XTS, ns per 4 KiB of data: median of %u rounds (times OpenSSL's rate)\n\n%-9s %-6s %-8s", b->rounds, "call",
	       "cache", "");
	for (size_t kernel = 0; kernel < KERNELS; kernel++)
		printf("%18s", kernels[kernel]->name);
	for (size_t test = 0; test < CASES; test++) {
		double openssl = median(b, test, KERNELS - 1);

		printf("\n%-9s %-6s %-8s", calls[test / CACHES / DIRECTIONS].name, cache_names[test / DIRECTIONS % CACHES],
		       direction_names[test % DIRECTIONS]);
		for (size_t kernel = 0; kernel < KERNELS; kernel++) {
			if (b->keys[kernel] == NULL)
				printf("%18s", "-");
			else
				printf("%10.0f (%4.2fx)", median(b, test, kernel), openssl / median(b, test, kernel));
		}
	}
	putchar('\n');
}

static int print_json(struct bench *b)
{
	json_t *results = json_array(), *root = json_pack("{s:i, s:o}", "rounds", (int)b->rounds, "results", results);
	int rc;

	for (size_t test = 0; test < CASES; test++) {
		for (size_t kernel = 0; kernel < KERNELS; kernel++) {
			if (b->keys[kernel] == NULL)
				continue;
			json_array_append_new(results, json_pack("{s:s, s:s, s:s, s:s, s:f}", "kernel", kernels[kernel]->name,
								 "call", calls[test / CACHES / DIRECTIONS].name, "cache",
								 cache_names[test / DIRECTIONS % CACHES], "direction",
								 direction_names[test % DIRECTIONS], "ns_per_4kib",
								 median(b, test, kernel)));
		}
	}
	rc = json_dumpf(root, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(root);
	return rc;
}

static int bench_open(struct bench *b)
{
	uint8_t key[64];
	size_t pieces = COLD_BYTES / HOT_BYTES;

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 7 + 1);
	b->in = aligned_alloc(HUGE_PAGE_BYTES, COLD_BYTES);
	b->out = aligned_alloc(HUGE_PAGE_BYTES, COLD_BYTES);
	b->order = calloc(pieces, sizeof(*b->order));
	b->ns_per_block = calloc((size_t)CASES * KERNELS * b->rounds, sizeof(double));
	if (b->in == NULL || b->out == NULL || b->order == NULL || b->ns_per_block == NULL)
		return -1;
	madvise(b->in, COLD_BYTES, MADV_HUGEPAGE); /* as the card maps a memory volume and guests their memory */
	madvise(b->out, COLD_BYTES, MADV_HUGEPAGE);
	memset(b->in, 1, COLD_BYTES);
	memset(b->out, 2, COLD_BYTES);
	for (size_t i = 0; i < pieces; i++)
		b->order[i] = (uint32_t)(i * 389 % pieces); /* odd: a permutation of a power of two */
	for (size_t kernel = 0; kernel < KERNELS; kernel++) {
		if (kernels[kernel]->available() && kernels[kernel]->key_create(&b->keys[kernel], key) != 0)
			return -1;
	}
	return 0;
}

static void bench_close(struct bench *b)
{
	for (size_t kernel = 0; kernel < KERNELS; kernel++) {
		if (b->keys[kernel] != NULL)
			kernels[kernel]->key_free(b->keys[kernel]);
	}
	free(b->in);
	free(b->out);
	free(b->order);
	free(b->ns_per_block);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"rounds", required_argument, NULL, 'r'}, {"json", no_argument, NULL, 'j'}, {0}};
	struct bench b = {.rounds = ROUNDS_DEFAULT};
	bool json = false;
	int option, rc = EXIT_FAILURE;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'j')
			json = true;
		else if (option == 'r')
			b.rounds = (unsigned)strtoul(optarg, NULL, 10);
		if (option == '?' || b.rounds == 0 || b.rounds > ROUNDS_MAX) {
			fprintf(stderr, "usage: micro-xts [--rounds 1..%u] [--json]\n", ROUNDS_MAX);
			return EXIT_FAILURE;
		}
	}
	clock_calibrate();
	if (bench_open(&b) != 0) {
		fprintf(stderr, "micro-xts: no memory, or none that can be locked for keys (ulimit -l)\n");
		goto close;
	}
	run(&b);
	if (!json)
		print_table(&b);
	else if (print_json(&b) != 0)
		goto close;
	rc = EXIT_SUCCESS;
close:
	bench_close(&b);
	return rc;
}
