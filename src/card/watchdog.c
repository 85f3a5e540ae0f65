/*
 * Frees a poller that hangs in its one system call that the other side can make block: the write to a queue's call or error
 * eventfd. A VMM shares that descriptor, and can take O_NONBLOCK away from it and fill its counter; every queue of the poller would
 * then wait for that VMM. So ten times a second the control thread looks at what each poller is writing to: when it is the same
 * descriptor in the same pass as at the last look, and its counter is found full, the counter is drained (the write returns), and
 * the device is cut off until it is attached anew. The worst that it can do to its neighbours is one stall of two looks.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "card/vhost_device.h"

/* True when the counter was full, which is no state that a guest's driver brings about. */
static bool drain(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	uint64_t count;
	struct iovec iov = {.iov_base = &count, .iov_len = sizeof(count)};

	if (poll(&p, 1, 0) != 1 || (p.revents & (POLLIN | POLLOUT)) != POLLIN) /* it takes writes: nobody hangs in it */
		return false;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	/* Not read(2): the flag can be taken away again, and the counter be empty by now. */
	return preadv2(fd, &iov, 1, -1, RWF_NOWAIT) == sizeof(count);
}

static void look(struct card *card, struct poller *p)
{
	int fd = virtio_worker_calling(p->worker);
	uint64_t passes = __atomic_load_n(&p->account.passes, __ATOMIC_RELAXED);
	bool same = fd >= 0 && fd == p->watched_fd && passes == p->watched_passes;
	struct vhost_device *d;

	p->watched_fd = fd;
	p->watched_passes = passes;
	if (!same || !drain(fd))
		return;
	d = vhost_device_by_eventfd(card, fd);
	if (d != NULL && !d->disconnecting)
		vhost_device_shun(d);
}

void watchdog_tick(struct card *card)
{
	for (unsigned i = 0; i < card->poller_count; i++)
		look(card, &card->pollers[i]);
}
