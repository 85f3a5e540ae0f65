/* Every primitive on a known answer, as FIPS 140-3 has it: a libcrypto that computes something else must not touch keys. */
#ifndef OUTBOARD_VAULT_SELF_TEST_H
#define OUTBOARD_VAULT_SELF_TEST_H

int self_test(void); /* 0, or -EIO */

#endif
