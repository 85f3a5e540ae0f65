/* The root key from a file: 32 raw bytes, or 64 hexadecimal digits with or without a newline. */
#include "vault/root.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"

enum { HEX_DIGITS = 2 * CRYPTO_KEY_BYTES, FILE_MAX_BYTES = HEX_DIGITS + 1 };

static int check_file(int fd, size_t *size)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		log_error("cannot look at the root key file: %s", strerror(errno));
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("the root key must be in a regular file");
		return -EINVAL;
	}
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		log_error("the root key file has mode %04o: others may use it; make it 0400", (unsigned)st.st_mode & 07777);
		return -EPERM;
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		log_error("the root key file belongs to user %u: it must belong to root or to the vault's own user",
			  (unsigned)st.st_uid);
		return -EPERM;
	}
	if (st.st_size != CRYPTO_KEY_BYTES && st.st_size != HEX_DIGITS && st.st_size != FILE_MAX_BYTES) {
		log_error("the root key file has %lld bytes: it must hold 32 bytes or 64 hexadecimal digits",
			  (long long)st.st_size);
		return -EINVAL;
	}
	*size = (size_t)st.st_size;
	return 0;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(const uint8_t *text, size_t size, uint8_t key[CRYPTO_KEY_BYTES])
{
	if (size == CRYPTO_KEY_BYTES) {
		memcpy(key, text, CRYPTO_KEY_BYTES);
		return 0;
	}
	if (size == FILE_MAX_BYTES && text[HEX_DIGITS] != '\n')
		return -EINVAL;
	for (size_t i = 0; i < CRYPTO_KEY_BYTES; i++) {
		int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static bool all_zero(const uint8_t key[CRYPTO_KEY_BYTES])
{
	uint8_t bits = 0;

	for (size_t i = 0; i < CRYPTO_KEY_BYTES; i++)
		bits |= key[i];
	return bits == 0;
}

int root_from_file(struct root *root, int fd)
{
	uint8_t text[FILE_MAX_BYTES], key[CRYPTO_KEY_BYTES];
	size_t size = 0;
	int rc;

	*root = (struct root){.kind = ROOT_FILE, .state = ROOT_LOCKED, .header_fd = -1};
	rc = check_file(fd, &size);
	if (rc != 0)
		goto out;
	if (pread(fd, text, size, 0) != (ssize_t)size) {
		log_error("cannot read the root key file");
		rc = -EIO;
		goto out;
	}
	rc = decode(text, size, key);
	if (rc != 0)
		log_error("the root key file is as long as 64 hexadecimal digits but does not consist of them");
	else if (all_zero(key)) { /* a file that was made and never written */
		log_error("the root key file holds nothing but zeros");
		rc = -EINVAL;
	} else {
		rc = root_key_set(root, key);
	}
out:
	secret_wipe(text, sizeof(text));
	secret_wipe(key, sizeof(key));
	close(fd);
	return rc;
}
