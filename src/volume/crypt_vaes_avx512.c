/*
 * AES-256-XTS for processors with VAES and AVX-512: four blocks an instruction.
 *
 * Theory of operation. A 4 KiB unit is 64 vectors of 4 blocks, and 14 rounds each: 896 vaesenc. The processors we know start one
 * 512-bit vaesenc a cycle, which takes 4; that is the bound, and the work is to keep anything else off its path.
 *
 * - A *group* is 8 vectors (32 blocks, 512 bytes) that go through the rounds side by side: enough to hide the latency twice, few
 *   enough for 8 states, 8 tweaks and 8 next tweaks to stay in registers. Round keys are broadcast from memory, one a round.
 * - The tweak costs two instructions a vector: it comes in with the first round key (one three-way xor), and leaves with the last
 *   (vaesenclast xors its key at the end, so the key is `last round key ^ tweak`).
 * - Block j of a unit is whitened with E(unit number) * x^j in GF(2^128). A group's tweaks times x^32 are the next group's. The
 *   multiplication is a rotation, and for the bits that came round a reduction by x^7 + x^2 + x + 1: shifts and xors only, because
 *   on Zen 4 those run on ports that AES does not use, while vpclmulqdq, vgf2p8affineqb and vpshldq take AES's.
 * - All of it is written between the rounds, in the order in which it should execute: a processor that takes the oldest ready
 *   instruction first does not find time for a later, dependent chain while AES saturates its ports. Hence also the two steps of
 *   lookahead: during the last group of unit n the first tweaks of unit n+1 are made from its encrypted number, and the number of
 *   unit n+2 is encrypted. That is why runs of units are worth more than single units: only the first waits for its tweak.
 * - Runs lie apart in memory, where no prefetcher sees them coming: during the last unit of one, the first unit of the next is
 *   fetched, line by line as this one is used up. Fetching further, or the output, or within a run, gained nothing when measured.
 *
 * A unit that is not a multiple of 512 bytes takes a plain path (tests; volumes have 512 and 4096).
 *
 * Every byte of `in` is loaded by one instruction, once. Round keys are read from secret memory into registers only; the registers
 * are cleared on return.
 */
#include "volume/crypt_unit.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <errno.h>
#include <immintrin.h>

#include "base/secret_heap.h"

#define AVX512	      __attribute__((target("aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")))
#define AVX512_INLINE static inline __attribute__((always_inline)) AVX512
#define UNROLL	      _Pragma("GCC unroll 16")

enum {
	ROUNDS = 14,
	VECTORS = 8,
	VECTOR_BYTES = 64,
	GROUP_BYTES = VECTORS * VECTOR_BYTES,
	XOR3 = 0x96, /* vpternlog's table for a ^ b ^ c */
};

struct crypt_key {
	__m128i rounds[2][ROUNDS + 1]; /* by direction; decryption's for the equivalent inverse cipher, FIPS 197, 5.3.5 */
	__m128i tweak[ROUNDS + 1];
};

struct group {
	__m512i v[VECTORS];
};

/* Numbers of the units to come, two ahead of the data. */
struct lookahead {
	const struct crypt_run *run, *end;
	uint64_t unit_in_run;
	__m128i encrypted; /* the number of the unit after the current one */
};

/* --- multiplication in GF(2^128), low bit first (IEEE 1619, 5.2) --- */

/* `rotated` has the bits that came round in place already (times 1); the rest of the polynomial is x + x^2 + x^7. `carry`: those
 * bits, in the low quadword, fewer than 57. */
AVX512_INLINE __m512i field_reduce(__m512i rotated, __m512i carry)
{
	rotated = _mm512_ternarylogic_epi64(rotated, _mm512_slli_epi64(carry, 1), _mm512_slli_epi64(carry, 2), XOR3);
	return _mm512_xor_si512(rotated, _mm512_slli_epi64(carry, 7));
}

AVX512_INLINE __m512i field_times_x32(__m512i t)
{
	return field_reduce(_mm512_shuffle_epi32(t, _MM_SHUFFLE(2, 1, 0, 3)), _mm512_bsrli_epi128(t, 12));
}

AVX512_INLINE __m512i field_times_x16(__m512i t)
{
	const __m128i rotate = _mm_setr_epi8(14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);

	return field_reduce(_mm512_shuffle_epi8(t, _mm512_broadcast_i32x4(rotate)), _mm512_bsrli_epi128(t, 14));
}

AVX512_INLINE __m512i field_times_x8(__m512i t)
{
	const __m128i rotate = _mm_setr_epi8(15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);

	return field_reduce(_mm512_shuffle_epi8(t, _mm512_broadcast_i32x4(rotate)), _mm512_bsrli_epi128(t, 15));
}

/* Each block of t times its own power of x, given for both of its quadwords. */
AVX512_INLINE __m512i field_times_powers(__m512i t, __m512i powers)
{
	__m512i out = _mm512_srlv_epi64(t, _mm512_sub_epi64(_mm512_set1_epi64(64), powers));
	__m512i crossed = _mm512_shuffle_epi32(out, _MM_SHUFFLE(1, 0, 3, 2));

	return field_reduce(_mm512_xor_si512(_mm512_sllv_epi64(t, powers), crossed), _mm512_bsrli_epi128(out, 8));
}

/* --- tweaks --- */

/* The first group's tweaks of a unit, one vector a step, so that they can be spread over rounds. */
AVX512_INLINE void tweaks_first_step(struct group *g, __m128i encrypted, unsigned step)
{
	__m512i t = _mm512_broadcast_i32x4(encrypted);

	if (step == 0)
		g->v[0] = field_times_powers(t, _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3));
	else if (step == 1)
		g->v[1] = field_times_powers(t, _mm512_setr_epi64(4, 4, 5, 5, 6, 6, 7, 7));
	else if (step < 4)
		g->v[step] = field_times_x8(g->v[step - 2]);
	else if (step < VECTORS)
		g->v[step] = field_times_x16(g->v[step - 4]);
}

AVX512_INLINE struct group tweaks_first(__m128i encrypted)
{
	struct group g;

	UNROLL
	for (unsigned step = 0; step < VECTORS; step++)
		tweaks_first_step(&g, encrypted, step);
	return g;
}

AVX512_INLINE __m128i tweak_encrypt(const struct crypt_key *key, __m128i tweak)
{
	tweak = _mm_xor_si128(tweak, key->tweak[0]);
	UNROLL
	for (unsigned round = 1; round < ROUNDS; round++)
		tweak = _mm_aesenc_si128(tweak, key->tweak[round]);
	return _mm_aesenclast_si128(tweak, key->tweak[ROUNDS]);
}

/* The next unit's number; past the last unit, any value. */
AVX512_INLINE __m128i lookahead_tweak(struct lookahead *ahead, uint32_t unit_bytes)
{
	uint64_t unit_number;

	if (ahead->run == ahead->end)
		return _mm_setzero_si128();
	unit_number = ahead->run->unit_number + ahead->unit_in_run;
	ahead->unit_in_run++;
	if (ahead->unit_in_run * unit_bytes >= ahead->run->bytes) {
		ahead->run++;
		ahead->unit_in_run = 0;
	}
	return _mm_cvtsi64_si128((long long)unit_number);
}

/* --- data --- */

AVX512_INLINE __m512i round_key(const __m128i *rounds, unsigned i)
{
	return _mm512_broadcast_i32x4(_mm_load_si128(rounds + i));
}

AVX512_INLINE __m512i cipher_round(enum crypt_direction direction, __m512i s, __m512i key)
{
	return direction == CRYPT_ENCRYPT ? _mm512_aesenc_epi128(s, key) : _mm512_aesdec_epi128(s, key);
}

AVX512_INLINE __m512i cipher_last(enum crypt_direction direction, __m512i s, __m512i key)
{
	return direction == CRYPT_ENCRYPT ? _mm512_aesenclast_epi128(s, key) : _mm512_aesdeclast_epi128(s, key);
}

/* What a group makes in the shadow of its own rounds, and returns. */
enum shadow {
	SHADOW_NOTHING,
	SHADOW_NEXT_GROUP, /* the tweaks of the same unit's next 32 blocks */
	SHADOW_NEXT_UNIT,  /* the first tweaks of the next unit; *encrypted: from `plain`, the number of the unit after that */
};

AVX512_INLINE struct group group_crypt(const struct crypt_key *key, enum crypt_direction direction, struct group tweaks,
				       const uint8_t *in, uint8_t *out, const uint8_t *soon, enum shadow shadow, __m128i plain,
				       __m128i *encrypted)
{
	const __m128i *rounds = key->rounds[direction];
	__m128i chain = _mm_xor_si128(plain, key->tweak[0]);
	struct group s, next = tweaks;
	__m512i k = round_key(rounds, 0);

	UNROLL
	for (unsigned i = 0; i < VECTORS; i++)
		__builtin_prefetch(soon + i * VECTOR_BYTES);
	UNROLL
	for (unsigned i = 0; i < VECTORS; i++)
		s.v[i] = _mm512_ternarylogic_epi64(_mm512_loadu_si512(in + i * VECTOR_BYTES), tweaks.v[i], k, XOR3);
	UNROLL
	for (unsigned round = 1; round < ROUNDS; round++) {
		k = round_key(rounds, round);
		UNROLL
		for (unsigned i = 0; i < VECTORS; i++)
			s.v[i] = cipher_round(direction, s.v[i], k);
		if (shadow == SHADOW_NEXT_GROUP && round <= VECTORS)
			next.v[round - 1] = field_times_x32(tweaks.v[round - 1]);
		if (shadow == SHADOW_NEXT_UNIT) {
			tweaks_first_step(&next, *encrypted, round - 1);
			chain = _mm_aesenc_si128(chain, key->tweak[round]);
		}
	}
	k = round_key(rounds, ROUNDS);
	UNROLL
	for (unsigned i = 0; i < VECTORS; i++) {
		s.v[i] = cipher_last(direction, s.v[i], _mm512_xor_si512(tweaks.v[i], k));
		_mm512_storeu_si512(out + i * VECTOR_BYTES, s.v[i]);
	}
	if (shadow == SHADOW_NEXT_UNIT)
		*encrypted = _mm_aesenclast_si128(chain, key->tweak[ROUNDS]);
	return next;
}

/* Units of whole groups. */
AVX512_INLINE void runs_crypt(const struct crypt_key *key, enum crypt_direction direction, uint32_t unit_bytes,
			      const struct crypt_run *runs, size_t count)
{
	struct lookahead ahead = {.run = runs, .end = runs + count};
	struct group tweaks = tweaks_first(tweak_encrypt(key, lookahead_tweak(&ahead, unit_bytes)));
	__m128i none = _mm_setzero_si128(), encrypted = none;

	if (ahead.run != ahead.end)
		encrypted = tweak_encrypt(key, lookahead_tweak(&ahead, unit_bytes));
	for (const struct crypt_run *run = runs;; run++) {
		const uint8_t *in = run->in, *run_end = in + run->bytes;
		const uint8_t *next_run = run + 1 == ahead.end ? NULL : run[1].in;
		uint8_t *out = run->out;

		while (in < run_end) {
			const uint8_t *last = in + unit_bytes - GROUP_BYTES;
			const uint8_t *soon = next_run != NULL && last + GROUP_BYTES == run_end ? next_run : in;

			for (; in < last; in += GROUP_BYTES, out += GROUP_BYTES, soon += GROUP_BYTES)
				tweaks = group_crypt(key, direction, tweaks, in, out, soon, SHADOW_NEXT_GROUP, none, &encrypted);
			if (next_run == NULL && in + GROUP_BYTES == run_end) {
				group_crypt(key, direction, tweaks, in, out, soon, SHADOW_NOTHING, none, &encrypted);
				return;
			}
			tweaks = group_crypt(key, direction, tweaks, in, out, soon, SHADOW_NEXT_UNIT,
					     lookahead_tweak(&ahead, unit_bytes), &encrypted);
			in += GROUP_BYTES;
			out += GROUP_BYTES;
		}
	}
}

/* Any number of blocks, vector by vector. */
AVX512_INLINE void unit_crypt(const struct crypt_key *key, enum crypt_direction direction, __m128i tweak, const uint8_t *in,
			      uint8_t *out, size_t bytes)
{
	const __m512i powers = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), four = _mm512_set1_epi64(4);
	const __m128i *rounds = key->rounds[direction];
	__m512i tweaks = field_times_powers(_mm512_broadcast_i32x4(tweak_encrypt(key, tweak)), powers);

	for (size_t done = 0; done < bytes; done += VECTOR_BYTES) {
		size_t quadwords = (bytes - done) / 8;
		__mmask8 mask = quadwords >= 8 ? 0xff : (__mmask8)((1U << quadwords) - 1);
		__m512i s = _mm512_maskz_loadu_epi64(mask, in + done);

		s = _mm512_ternarylogic_epi64(s, tweaks, round_key(rounds, 0), XOR3);
		for (unsigned round = 1; round < ROUNDS; round++)
			s = cipher_round(direction, s, round_key(rounds, round));
		s = cipher_last(direction, s, _mm512_xor_si512(tweaks, round_key(rounds, ROUNDS)));
		_mm512_mask_storeu_epi64(out + done, mask, s);
		tweaks = field_times_powers(tweaks, four);
	}
}

AVX512_INLINE void registers_wipe(void)
{
	__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
			 "vpxord %%zmm\\n, %%zmm\\n, %%zmm\\n\n\t"
			 ".endr" ::
				 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
				   "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21",
				   "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

/* --- the kernel --- */

AVX512 void crypt_vaes_avx512_unit(const struct crypt_key *key, enum crypt_direction direction,
				   const uint8_t tweak[CRYPT_BLOCK_BYTES], const uint8_t *in, uint8_t *out, size_t bytes)
{
	__m128i t = _mm_loadu_si128((const __m128i *)(const void *)tweak);

	if (direction == CRYPT_ENCRYPT)
		unit_crypt(key, CRYPT_ENCRYPT, t, in, out, bytes);
	else
		unit_crypt(key, CRYPT_DECRYPT, t, in, out, bytes);
	registers_wipe();
}

AVX512 static void vaes_encrypt_runs(const struct crypt_key *key, uint32_t unit_bytes, const struct crypt_run *runs, size_t count)
{
	if (unit_bytes % GROUP_BYTES != 0) {
		crypt_runs(crypt_vaes_avx512_unit, key, CRYPT_ENCRYPT, unit_bytes, runs, count);
		return;
	}
	runs_crypt(key, CRYPT_ENCRYPT, unit_bytes, runs, count);
	registers_wipe();
}

AVX512 static void vaes_decrypt_runs(const struct crypt_key *key, uint32_t unit_bytes, const struct crypt_run *runs, size_t count)
{
	if (unit_bytes % GROUP_BYTES != 0) {
		crypt_runs(crypt_vaes_avx512_unit, key, CRYPT_DECRYPT, unit_bytes, runs, count);
		return;
	}
	runs_crypt(key, CRYPT_DECRYPT, unit_bytes, runs, count);
	registers_wipe();
}

AVX512 static void vaes_encrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in,
				uint8_t *out, size_t bytes)
{
	const struct crypt_run run = {unit_number, in, out, bytes};

	vaes_encrypt_runs(key, unit_bytes, &run, 1);
}

AVX512 static void vaes_decrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in,
				uint8_t *out, size_t bytes)
{
	const struct crypt_run run = {unit_number, in, out, bytes};

	vaes_decrypt_runs(key, unit_bytes, &run, 1);
}

/* FIPS 197, 5.2 (Nk = 8): the round constant must be an immediate. */
#define KEY_EVEN(w, i, constant) key_step((w)[(i)-2], _mm_shuffle_epi32(_mm_aeskeygenassist_si128((w)[(i)-1], constant), 0xff))
#define KEY_ODD(w, i)		 key_step((w)[(i)-2], _mm_shuffle_epi32(_mm_aeskeygenassist_si128((w)[(i)-1], 0), 0xaa))

AVX512_INLINE __m128i key_step(__m128i previous, __m128i assist)
{
	previous = _mm_xor_si128(previous, _mm_slli_si128(previous, 4));
	previous = _mm_xor_si128(previous, _mm_slli_si128(previous, 8));
	return _mm_xor_si128(previous, assist);
}

AVX512 static void key_expand(__m128i w[ROUNDS + 1], const uint8_t raw[CRYPT_KEY_HALF_BYTES])
{
	w[0] = _mm_loadu_si128((const __m128i *)(const void *)raw);
	w[1] = _mm_loadu_si128((const __m128i *)(const void *)(raw + CRYPT_BLOCK_BYTES));
	w[2] = KEY_EVEN(w, 2, 0x01);
	w[3] = KEY_ODD(w, 3);
	w[4] = KEY_EVEN(w, 4, 0x02);
	w[5] = KEY_ODD(w, 5);
	w[6] = KEY_EVEN(w, 6, 0x04);
	w[7] = KEY_ODD(w, 7);
	w[8] = KEY_EVEN(w, 8, 0x08);
	w[9] = KEY_ODD(w, 9);
	w[10] = KEY_EVEN(w, 10, 0x10);
	w[11] = KEY_ODD(w, 11);
	w[12] = KEY_EVEN(w, 12, 0x20);
	w[13] = KEY_ODD(w, 13);
	w[14] = KEY_EVEN(w, 14, 0x40);
}

AVX512 static int vaes_key_create(struct crypt_key **out, const uint8_t raw[CRYPT_KEY_BYTES])
{
	struct crypt_key *key;

	if (crypt_key_halves_equal(raw))
		return -EINVAL;
	key = secret_heap_alloc(sizeof(*key));
	if (key == NULL)
		return -ENOMEM;
	key_expand(key->rounds[CRYPT_ENCRYPT], raw);
	key_expand(key->tweak, raw + CRYPT_KEY_HALF_BYTES);
	key->rounds[CRYPT_DECRYPT][0] = key->rounds[CRYPT_ENCRYPT][ROUNDS];
	for (unsigned i = 1; i < ROUNDS; i++)
		key->rounds[CRYPT_DECRYPT][i] = _mm_aesimc_si128(key->rounds[CRYPT_ENCRYPT][ROUNDS - i]);
	key->rounds[CRYPT_DECRYPT][ROUNDS] = key->rounds[CRYPT_ENCRYPT][0];
	registers_wipe();
	*out = key;
	return 0;
}

static void vaes_key_free(struct crypt_key *key)
{
	secret_heap_free(key);
}

/* Intel SDM vol. 1, 15.2 and 14.3: the instructions, and an operating system that saves their registers. */
static bool vaes_available(void)
{
	const unsigned avx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
	const unsigned zmm_state = 1U << 1 | 1U << 2 | 1U << 5 | 1U << 6 | 1U << 7; /* XCR0: XMM, YMM, masks, ZMM0-15, ZMM16-31 */
	unsigned eax, ebx, ecx, edx;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE) || !(ecx & bit_AES))
		return false;
	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (ebx & avx512) != avx512 || !(ecx & bit_VAES))
		return false;
	__asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	return (eax & zmm_state) == zmm_state;
}

const struct crypt_kernel crypt_kernel_vaes_avx512 = {
	.name = "vaes-avx512",
	.available = vaes_available,
	.key_create = vaes_key_create,
	.key_free = vaes_key_free,
	.encrypt = vaes_encrypt,
	.decrypt = vaes_decrypt,
	.encrypt_runs = vaes_encrypt_runs,
	.decrypt_runs = vaes_decrypt_runs,
};

#else

#include <stdlib.h>

static bool vaes_available(void)
{
	return false;
}

void crypt_vaes_avx512_unit(const struct crypt_key *key, enum crypt_direction direction, const uint8_t tweak[CRYPT_BLOCK_BYTES],
			    const uint8_t *in, uint8_t *out, size_t bytes)
{
	(void)key, (void)direction, (void)tweak, (void)in, (void)out, (void)bytes;
	abort(); /* not available */
}

const struct crypt_kernel crypt_kernel_vaes_avx512 = {.name = "vaes-avx512", .available = vaes_available};

#endif
