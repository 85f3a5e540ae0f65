#include "base/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t round_to_page(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

static int secret_fd(void)
{
#ifdef SYS_memfd_secret
	return (int)syscall(SYS_memfd_secret, 0);
#else
	errno = ENOSYS;
	return -1;
#endif
}

const char *secret_kind(void)
{
	int fd = secret_fd();

	if (fd < 0)
		return "mlock";
	close(fd);
	return "memfd_secret";
}

void *secret_alloc(size_t size)
{
	size_t length = round_to_page(size);
	int fd = secret_fd();
	void *memory = MAP_FAILED;

	if (fd >= 0) {
		if (ftruncate(fd, (off_t)length) == 0)
			memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (memory == MAP_FAILED) {
		memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			return NULL;
		if (mlock(memory, length) != 0)
			goto unmap;
	}
	if (madvise(memory, length, MADV_DONTFORK) != 0)
		goto unmap;
	if (madvise(memory, length, MADV_DONTDUMP) != 0 && errno != EINVAL) /* secret memory is never dumped anyway */
		goto unmap;
	memset(memory, 0, length); /* a page that cannot be had shows itself now, not at the first key */
	return memory;
unmap:
	munmap(memory, length);
	return NULL;
}

void secret_wipe(void *memory, size_t size)
{
	explicit_bzero(memory, size);
}

void secret_free(void *memory, size_t size)
{
	if (memory == NULL)
		return;
	secret_wipe(memory, round_to_page(size));
	munmap(memory, round_to_page(size));
}
