/* All kernels, for tests that go over them. */
#ifndef OUTBOARD_TEST_CRYPT_KERNELS_H
#define OUTBOARD_TEST_CRYPT_KERNELS_H

#include "volume/crypt_unit.h"

struct kernel_under_test {
	const struct crypt_kernel *kernel;
	crypt_unit_fn *unit;
};

static const struct kernel_under_test kernels[] = {
	{&crypt_kernel_openssl, crypt_openssl_unit},
	{&crypt_kernel_gcrypt, crypt_gcrypt_unit},
	{&crypt_kernel_vaes_avx512, crypt_vaes_avx512_unit},
};

enum { KERNELS = sizeof(kernels) / sizeof(kernels[0]) };

/* Two of three are there on any machine that runs the tests; the third where the processor has it. */
static inline bool kernel_here(const struct kernel_under_test *k)
{
	bool here = k->kernel->available();

	if (k->kernel != &crypt_kernel_vaes_avx512)
		assert_true(here);
	return here;
}

#endif
