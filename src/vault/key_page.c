#include "vault/key_page.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KEY_PAGE_BYTES = 4096 };

int key_page_make(const uint8_t *key, size_t size)
{
#ifdef SYS_memfd_secret
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC), rc;
	void *page;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, KEY_PAGE_BYTES) != 0)
		goto fail;
	page = mmap(NULL, KEY_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		goto fail;
	memcpy(page, key, size);
	munmap(page, KEY_PAGE_BYTES);
	return fd;
fail:
	rc = -errno;
	close(fd);
	return rc;
#else
	(void)key, (void)size;
	return -ENOSYS;
#endif
}

int key_page_take(int fd, uint8_t *key, size_t size)
{
	struct stat st;
	void *page;

	/* A page beyond the end would be a SIGBUS; secret memory cannot be shortened after this look. */
	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size < KEY_PAGE_BYTES)
		return -EBADMSG;
	page = mmap(NULL, KEY_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	memcpy(key, page, size);
	munmap(page, KEY_PAGE_BYTES);
	return 0;
}
