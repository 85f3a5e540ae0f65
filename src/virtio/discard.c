#include "virtio/discard.h"

#include <liburing.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

enum { RING_ENTRIES = 8 };

/* Process-wide, as descriptors are; the control thread's. */
static struct io_uring ring;
static bool is_open;

int discard_open(void)
{
	cpu_set_t set;
	int rc = io_uring_queue_init(RING_ENTRIES, &ring, 0);

	if (rc < 0)
		return rc;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		(void)io_uring_register_iowq_aff(&ring, sizeof(set), &set); /* Linux 5.14; else where the kernel likes */
	is_open = true;
	return 0;
}

void discard_close(void)
{
	if (is_open)
		io_uring_queue_exit(&ring);
	is_open = false;
}

/* Nobody asks how a close(2) ended. */
static void forget_completions(void)
{
	io_uring_cq_advance(&ring, io_uring_cq_ready(&ring));
}

void discard(int fd)
{
	struct io_uring_sqe *sqe;

	if (!is_open) {
		close(fd);
		return;
	}
	forget_completions();
	sqe = io_uring_get_sqe(&ring);
	if (sqe == NULL) /* the kernel was short of memory eight times: this one is lost, and tried no longer */
		return;
	io_uring_prep_close(sqe, fd);
	io_uring_sqe_set_flags(sqe, IOSQE_ASYNC); /* not even the first try is ours */
	(void)io_uring_submit(&ring);		  /* what it does not take goes with the next */
}
