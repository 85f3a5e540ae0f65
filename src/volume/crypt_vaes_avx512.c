#include "volume/crypt_unit.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <errno.h>
#include <immintrin.h>

#include "base/secret.h"
#include "base/secret_heap.h"

#define AVX512	      __attribute__((target("aes,vaes,avx512f,avx512bw,avx512dq,avx512vl")))
#define AVX512_INLINE static inline __attribute__((always_inline)) AVX512
#define UNROLL	      _Pragma("GCC unroll 16")

enum { ROUNDS = 14, VECTORS = 8, VECTOR_BYTES = 64, GROUP_BYTES = VECTORS * VECTOR_BYTES };

struct crypt_key {
	__m128i encrypt[ROUNDS + 1];
	__m128i decrypt[ROUNDS + 1];
	__m128i tweak[ROUNDS + 1];
};

struct group {
	__m512i v[VECTORS];
};

AVX512_INLINE __m512i reduce(__m512i shifted, __m512i carry)
{
	shifted = _mm512_ternarylogic_epi64(shifted, _mm512_slli_epi64(carry, 1), _mm512_slli_epi64(carry, 2), 0x96);
	return _mm512_xor_si512(shifted, _mm512_slli_epi64(carry, 7));
}

AVX512_INLINE __m512i times_x32(__m512i t)
{
	return reduce(_mm512_shuffle_epi32(t, _MM_SHUFFLE(2, 1, 0, 3)), _mm512_bsrli_epi128(t, 12));
}

AVX512_INLINE __m512i times_x16(__m512i t)
{
	const __m512i rotate = _mm512_broadcast_i32x4(_mm_setr_epi8(14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13));

	return reduce(_mm512_shuffle_epi8(t, rotate), _mm512_bsrli_epi128(t, 14));
}

AVX512_INLINE __m512i times_x8(__m512i t)
{
	const __m512i rotate = _mm512_broadcast_i32x4(_mm_setr_epi8(15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14));

	return reduce(_mm512_shuffle_epi8(t, rotate), _mm512_bsrli_epi128(t, 15));
}

AVX512_INLINE __m512i times_powers(__m512i t, __m512i powers)
{
	__m512i out = _mm512_srlv_epi64(t, _mm512_sub_epi64(_mm512_set1_epi64(64), powers));
	__m512i shifted = _mm512_xor_si512(_mm512_sllv_epi64(t, powers), _mm512_shuffle_epi32(out, _MM_SHUFFLE(1, 0, 3, 2)));

	return reduce(shifted, _mm512_bsrli_epi128(out, 8));
}

AVX512_INLINE struct group group_first_tweaks(__m128i tweak)
{
	__m512i t = _mm512_broadcast_i32x4(tweak);
	struct group g;

	g.v[0] = times_powers(t, _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3));
	g.v[1] = times_powers(t, _mm512_setr_epi64(4, 4, 5, 5, 6, 6, 7, 7));
	g.v[2] = times_x8(g.v[0]);
	g.v[3] = times_x8(g.v[1]);
	UNROLL
	for (unsigned i = 0; i < 4; i++)
		g.v[4 + i] = times_x16(g.v[i]);
	return g;
}

AVX512_INLINE __m512i round_key(const __m128i *keys, unsigned i)
{
	return _mm512_broadcast_i32x4(_mm_load_si128(keys + i));
}

AVX512_INLINE __m512i cipher_round(enum crypt_direction direction, __m512i s, __m512i key)
{
	return direction == CRYPT_ENCRYPT ? _mm512_aesenc_epi128(s, key) : _mm512_aesdec_epi128(s, key);
}

AVX512_INLINE __m512i cipher_last(enum crypt_direction direction, __m512i s, __m512i key)
{
	return direction == CRYPT_ENCRYPT ? _mm512_aesenclast_epi128(s, key) : _mm512_aesdeclast_epi128(s, key);
}

AVX512_INLINE struct group group_crypt(enum crypt_direction direction, const __m128i *keys, struct group tweaks, const uint8_t *in,
				       uint8_t *out)
{
	struct group s, next;
	__m512i key = round_key(keys, 0);

	UNROLL
	for (unsigned i = 0; i < VECTORS; i++)
		s.v[i] = _mm512_ternarylogic_epi64(_mm512_loadu_si512(in + i * VECTOR_BYTES), tweaks.v[i], key, 0x96);
	UNROLL
	for (unsigned round = 1; round < ROUNDS; round++) {
		key = round_key(keys, round);
		UNROLL
		for (unsigned i = 0; i < VECTORS; i++)
			s.v[i] = cipher_round(direction, s.v[i], key);
		if (round <= VECTORS)
			next.v[round - 1] = times_x32(tweaks.v[round - 1]);
	}
	key = round_key(keys, ROUNDS);
	UNROLL
	for (unsigned i = 0; i < VECTORS; i++) {
		s.v[i] = cipher_last(direction, s.v[i], _mm512_xor_si512(tweaks.v[i], key));
		_mm512_storeu_si512(out + i * VECTOR_BYTES, s.v[i]);
	}
	return next;
}

AVX512_INLINE __mmask8 tail_mask(size_t bytes, unsigned i)
{
	size_t left = bytes > i * VECTOR_BYTES ? bytes - i * VECTOR_BYTES : 0;

	return left >= VECTOR_BYTES ? 0xff : (__mmask8)((1U << left / 8) - 1);
}

AVX512_INLINE void tail_crypt(enum crypt_direction direction, const __m128i *keys, struct group tweaks, const uint8_t *in, uint8_t *out,
			      size_t bytes)
{
	for (unsigned i = 0; i * VECTOR_BYTES < bytes; i++) {
		__mmask8 mask = tail_mask(bytes, i);
		__m512i s = _mm512_maskz_loadu_epi64(mask, in + i * VECTOR_BYTES);

		s = _mm512_ternarylogic_epi64(s, tweaks.v[i], round_key(keys, 0), 0x96);
		for (unsigned round = 1; round < ROUNDS; round++)
			s = cipher_round(direction, s, round_key(keys, round));
		s = cipher_last(direction, s, _mm512_xor_si512(tweaks.v[i], round_key(keys, ROUNDS)));
		_mm512_mask_storeu_epi64(out + i * VECTOR_BYTES, mask, s);
	}
}

AVX512_INLINE __m128i tweak_encrypt(const struct crypt_key *key, __m128i tweak)
{
	tweak = _mm_xor_si128(tweak, key->tweak[0]);
	UNROLL
	for (unsigned round = 1; round < ROUNDS; round++)
		tweak = _mm_aesenc_si128(tweak, key->tweak[round]);
	return _mm_aesenclast_si128(tweak, key->tweak[ROUNDS]);
}

AVX512_INLINE void unit_crypt(const struct crypt_key *key, enum crypt_direction direction, __m128i tweak, const uint8_t *in, uint8_t *out,
			      size_t bytes)
{
	const __m128i *keys = direction == CRYPT_ENCRYPT ? key->encrypt : key->decrypt;
	struct group tweaks = group_first_tweaks(tweak_encrypt(key, tweak));

	for (; bytes >= GROUP_BYTES; bytes -= GROUP_BYTES, in += GROUP_BYTES, out += GROUP_BYTES)
		tweaks = group_crypt(direction, keys, tweaks, in, out);
	if (bytes > 0)
		tail_crypt(direction, keys, tweaks, in, out, bytes);
}

AVX512 void crypt_vaes_avx512_unit(const struct crypt_key *key, enum crypt_direction direction, const uint8_t tweak[CRYPT_BLOCK_BYTES],
			    const uint8_t *in, uint8_t *out, size_t bytes)
{
	__m128i t = _mm_loadu_si128((const __m128i *)tweak);

	if (direction == CRYPT_ENCRYPT)
		unit_crypt(key, CRYPT_ENCRYPT, t, in, out, bytes);
	else
		unit_crypt(key, CRYPT_DECRYPT, t, in, out, bytes);
}

AVX512 static void vaes_encrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			 size_t bytes)
{
	for (size_t done = 0; done < bytes; done += unit_bytes)
		unit_crypt(key, CRYPT_ENCRYPT, _mm_set_epi64x(0, (long long)unit_number++), in + done, out + done, unit_bytes);
}

AVX512 static void vaes_decrypt(const struct crypt_key *key, uint64_t unit_number, uint32_t unit_bytes, const uint8_t *in, uint8_t *out,
			 size_t bytes)
{
	for (size_t done = 0; done < bytes; done += unit_bytes)
		unit_crypt(key, CRYPT_DECRYPT, _mm_set_epi64x(0, (long long)unit_number++), in + done, out + done, unit_bytes);
}

AVX512_INLINE __m128i key_step(__m128i previous, __m128i assist)
{
	previous = _mm_xor_si128(previous, _mm_slli_si128(previous, 4));
	previous = _mm_xor_si128(previous, _mm_slli_si128(previous, 8));
	return _mm_xor_si128(previous, assist);
}

/* FIPS 197, 5.2 (Nk = 8). The round constant must be an immediate. */
#define KEY_STEP_EVEN(w, i, constant) \
	(w)[i] = key_step((w)[(i)-2], _mm_shuffle_epi32(_mm_aeskeygenassist_si128((w)[(i)-1], constant), 0xff))
#define KEY_STEP_ODD(w, i) (w)[i] = key_step((w)[(i)-2], _mm_shuffle_epi32(_mm_aeskeygenassist_si128((w)[(i)-1], 0), 0xaa))

AVX512 static void key_expand(__m128i w[ROUNDS + 1], const uint8_t raw[CRYPT_KEY_HALF_BYTES])
{
	w[0] = _mm_loadu_si128((const __m128i *)raw);
	w[1] = _mm_loadu_si128((const __m128i *)(raw + 16));
	KEY_STEP_EVEN(w, 2, 0x01);
	KEY_STEP_ODD(w, 3);
	KEY_STEP_EVEN(w, 4, 0x02);
	KEY_STEP_ODD(w, 5);
	KEY_STEP_EVEN(w, 6, 0x04);
	KEY_STEP_ODD(w, 7);
	KEY_STEP_EVEN(w, 8, 0x08);
	KEY_STEP_ODD(w, 9);
	KEY_STEP_EVEN(w, 10, 0x10);
	KEY_STEP_ODD(w, 11);
	KEY_STEP_EVEN(w, 12, 0x20);
	KEY_STEP_ODD(w, 13);
	KEY_STEP_EVEN(w, 14, 0x40);
}

AVX512 static int vaes_key_create(struct crypt_key **out, const uint8_t raw[CRYPT_KEY_BYTES])
{
	struct crypt_key *key;

	if (crypt_key_halves_equal(raw))
		return -EINVAL;
	key = secret_heap_alloc(sizeof(*key));
	if (key == NULL)
		return -ENOMEM;
	key_expand(key->encrypt, raw);
	key_expand(key->tweak, raw + CRYPT_KEY_HALF_BYTES);
	key->decrypt[0] = key->encrypt[ROUNDS];
	for (unsigned i = 1; i < ROUNDS; i++)
		key->decrypt[i] = _mm_aesimc_si128(key->encrypt[ROUNDS - i]);
	key->decrypt[ROUNDS] = key->encrypt[0];
	*out = key;
	return 0;
}

static void vaes_key_free(struct crypt_key *key)
{
	secret_heap_free(key);
}

/* Intel SDM vol. 1, 15.2-15.4 (AVX-512 and the state it needs), 14.9.2 and vol. 2 (CPUID leaf 7). */
static bool vaes_available(void)
{
	const unsigned avx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
	const unsigned zmm_state = 1U << 1 | 1U << 2 | 1U << 5 | 1U << 6 | 1U << 7; /* XMM, YMM, opmask, ZMM 0-15, ZMM 16-31 */
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
};

#else

static bool vaes_available(void)
{
	return false;
}

const struct crypt_kernel crypt_kernel_vaes_avx512 = {.name = "vaes-avx512", .available = vaes_available};

#endif
