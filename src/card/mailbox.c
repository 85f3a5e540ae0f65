#include "card/mailbox.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int mailbox_open(struct mailbox *box)
{
	atomic_init(&box->newest, NULL);
	atomic_init(&box->asleep, false);
	box->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return box->event_fd < 0 ? -errno : 0;
}

void mailbox_close(struct mailbox *box)
{
	close(box->event_fd);
}

void mailbox_post(struct mailbox *box, struct message *message)
{
	struct message *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);
	const uint64_t one = 1;

	do
		message->next = newest;
	while (!atomic_compare_exchange_weak(&box->newest, &newest, message)); /* sequentially consistent: see mailbox_sleep */
	if (atomic_load(&box->asleep))
		(void)!write(box->event_fd, &one, sizeof(one));
}

unsigned mailbox_run(struct mailbox *box)
{
	struct message *newest = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire), *oldest = NULL;
	unsigned count = 0;

	while (newest != NULL) { /* turn round: they were pushed onto a stack */
		struct message *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest != NULL) {
		struct message *next = oldest->next; /* `run` may give the message away */

		oldest->run(oldest);
		oldest = next;
		count++;
	}
	return count;
}

/* Either the poster sees `asleep` and writes, or we see its message: both are sequentially consistent. */
bool mailbox_sleep(struct mailbox *box)
{
	atomic_store(&box->asleep, true);
	if (atomic_load(&box->newest) == NULL)
		return true;
	atomic_store(&box->asleep, false);
	return false;
}

void mailbox_wake(struct mailbox *box)
{
	uint64_t posted;

	atomic_store(&box->asleep, false);
	(void)!read(box->event_fd, &posted, sizeof(posted));
}
