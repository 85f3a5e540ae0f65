#include "base/histogram.h"

static uint32_t load(const uint32_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

uint64_t histogram_bucket_max(unsigned bucket)
{
	unsigned octave = bucket / 4 + 1;

	if (bucket < 4)
		return bucket;
	return ((uint64_t)(4 + bucket % 4 + 1) << (octave - 2)) - 1;
}

uint64_t histogram_total(const struct histogram *h)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += load(&h->count[i]);
	return total;
}

uint64_t histogram_quantile(const struct histogram *h, uint32_t part_per_million)
{
	uint64_t total = histogram_total(h), seen = 0, want;

	if (total == 0)
		return 0;
	want = (uint64_t)(((unsigned __int128)total * part_per_million + 999999) / 1000000);
	if (want == 0)
		want = 1;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += load(&h->count[i]);
		if (seen >= want)
			return histogram_bucket_max(i);
	}
	return histogram_bucket_max(HISTOGRAM_BUCKETS - 1);
}

void histogram_merge(struct histogram *a, const struct histogram *b)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (__builtin_add_overflow(a->count[i], load(&b->count[i]), &a->count[i]))
			a->count[i] = UINT32_MAX;
}

void histogram_difference(struct histogram *out, const struct histogram *newer, const struct histogram *older)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint32_t n = load(&newer->count[i]), o = load(&older->count[i]);

		out->count[i] = n > o ? n - o : 0;
	}
}
