#include "card/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

enum { LOOP_TICK_MS = 1000 / LOOP_TICKS_PER_SECOND };

static void mailbox_ready(struct watch *watch, uint32_t events)
{
	(void)watch; /* the loop runs the mailbox after every wait */
	(void)events;
}

int loop_open(struct loop *loop)
{
	int rc;

	loop->stop = false;
	loop->idle = NULL;
	loop->busy = false;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	rc = mailbox_open(&loop->mailbox);
	if (rc < 0)
		goto close_epoll;
	loop->mailbox_watch = (struct watch){.fd = -1, .ready = mailbox_ready};
	rc = loop_add(loop, &loop->mailbox_watch, loop->mailbox.event_fd, EPOLLIN);
	if (rc < 0)
		goto close_mailbox;
	return 0;
close_mailbox:
	mailbox_close(&loop->mailbox);
close_epoll:
	close(loop->epoll_fd);
	return rc;
}

void loop_close(struct loop *loop)
{
	mailbox_close(&loop->mailbox);
	close(loop->epoll_fd);
}

int loop_add(struct loop *loop, struct watch *watch, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return -errno;
	watch->fd = fd;
	return 0;
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) != 0 ? -errno : 0;
}

void loop_remove(struct loop *loop, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
}

/* One event a wait: what a handler frees can then not be the target of a later event of the same batch. The control thread is not
 * the data path. */
static int wait_once(struct loop *loop, int timeout_ms)
{
	struct epoll_event event;
	int count, error;

	if (mailbox_sleep(&loop->mailbox)) {
		count = epoll_wait(loop->epoll_fd, &event, 1, timeout_ms);
		error = errno;
		mailbox_wake(&loop->mailbox);
		if (count < 0 && error != EINTR)
			return -error;
		if (count == 1) {
			struct watch *watch = event.data.ptr;

			watch->ready(watch, event.events);
		}
	}
	mailbox_run(&loop->mailbox);
	return 0;
}

int loop_run(struct loop *loop, void (*tick)(void *context), void *context)
{
	uint64_t next_ns = clock_monotonic_ns();
	int rc = 0;

	while (!loop->stop && rc == 0) {
		uint64_t now_ns = clock_monotonic_ns();

		if (now_ns >= next_ns) {
			tick(context);
			next_ns = now_ns + LOOP_TICK_MS * 1000000ull;
		}
		rc = wait_once(loop, loop->busy ? 0 : (int)((next_ns - now_ns) / 1000000u) + 1);
		if (loop->busy)
			loop->busy = loop->idle(context);
	}
	return rc;
}
