/* Where a poller keeps its sources, and how they come and go. All but the three calls of the control thread run on the poller. */
#include "card/source.h"

#include <sys/epoll.h>

#include "base/clock.h"
#include "card/poller.h"

/* ---- places ---- */

static void place(struct source *s, enum source_place where, struct list *list)
{
	struct poller *p = s->poller;

	list_del(&s->link);
	list_add_tail(list, &s->link);
	p->asleep -= s->place == SOURCE_ASLEEP;
	p->account.active -= s->place == SOURCE_ACTIVE;
	s->place = where;
	p->asleep += where == SOURCE_ASLEEP;
	ACCOUNT_SET(p->account.active, p->account.active + (where == SOURCE_ACTIVE));
}

void source_activate(struct source *s, uint64_t now_tsc)
{
	s->visited_tsc = now_tsc;
	s->worked_tsc = now_tsc;
	place(s, SOURCE_ACTIVE, &s->poller->active);
}

void source_hold(struct source *s, uint64_t again_tsc)
{
	struct poller *p = s->poller;

	s->again_tsc = again_tsc;
	if (list_empty(&p->held) || again_tsc < p->held_until_tsc)
		p->held_until_tsc = again_tsc;
	place(s, SOURCE_HELD, &p->held);
}

void source_hurry(struct source *s, uint64_t now_tsc)
{
	if (s->place != SOURCE_HELD || s->again_tsc <= now_tsc)
		return;
	s->again_tsc = now_tsc; /* released with those that are due: a visit in progress goes through the active ones */
	s->poller->held_until_tsc = now_tsc;
}

void source_fall_asleep(struct source *s, uint64_t now_tsc)
{
	if (s->kick_fd < 0 || (s->ops->arm != NULL && !s->ops->arm(s)))
		return;
	s->slept_tsc = now_tsc;
	s->armed = true;
	place(s, SOURCE_ASLEEP, &s->poller->others);
}

/* Work that came soon after the source was put to sleep is worth a longer spin the next time; other work, a shorter one. */
static void wake(struct source *s, uint64_t now_tsc)
{
	const struct poller *p = s->poller;
	bool soon = now_tsc - s->slept_tsc < p->spin_max_ticks;

	s->spin_ticks = soon ? s->spin_ticks * 2 : s->spin_ticks / 2;
	if (s->spin_ticks > p->spin_max_ticks)
		s->spin_ticks = p->spin_max_ticks;
	if (s->spin_ticks < p->spin_min_ticks)
		s->spin_ticks = p->spin_min_ticks;
	source_activate(s, now_tsc);
}

void source_kicked(struct source *s, uint64_t now_tsc)
{
	ACCOUNT_SET(s->kicks, s->kicks + 1);
	if (s->place == SOURCE_ASLEEP)
		wake(s, now_tsc);
}

void source_mark_broken(struct source *s)
{
	place(s, SOURCE_BROKEN, &s->poller->others);
	virtio_worker_call(s->poller->worker, s->err_fd);
	mailbox_post(s->poller->config.control, &s->broken);
}

void source_broken(struct source *s, const char *why)
{
	if (s->broken_why != NULL)
		return;
	s->broken_why = why;
	/* An active one is moved after its visit, a held one after its next: the poller may be walking their lists. */
	if (s->place == SOURCE_PASSIVE || s->place == SOURCE_ASLEEP)
		source_mark_broken(s);
}

/* ---- messages ---- */

static void run_add(struct message *message)
{
	struct source *s = container_of(message, struct source, addition);
	struct poller *p = s->poller;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = s};

	list_init(&s->link);
	s->spin_ticks = p->spin_min_ticks * 4;
	if (s->ops->visit == NULL)
		s->kick_fd = -1; /* nobody would act on it */
	if (s->kick_fd >= 0 && epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, s->kick_fd, &event) != 0)
		s->kick_fd = -1; /* nothing that can be waited for: then it is polled */
	ACCOUNT_SET(p->account.sources, p->account.sources + 1);
	if (s->ops->disarm != NULL)
		s->ops->disarm(s);
	if (s->broken_why != NULL)
		source_mark_broken(s);
	else if (s->ops->visit == NULL)
		place(s, SOURCE_PASSIVE, &p->others);
	else
		source_activate(s, clock_tsc());
	/* A predecessor may have been killed between the used index and the call, and that request be the guest's only one. */
	virtio_worker_call(p->worker, s->call_fd);
}

static void run_call(struct message *message)
{
	struct source *s = container_of(message, struct source, call);

	__atomic_store_n(&s->call_posted, false,
			 __ATOMIC_RELEASE); /* first: what is replaced from now on is told by another call */
	virtio_worker_call(s->poller->worker, s->call_fd);
}

static void run_remove(struct message *message)
{
	struct source *s = container_of(message, struct source, removal);
	struct poller *p = s->poller;

	if (s->kick_fd >= 0)
		epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, s->kick_fd, NULL);
	if (s->ops->stop != NULL)
		s->ops->stop(s);
	place(s, SOURCE_STOPPING, &p->stopping);
}

unsigned source_leave_stopped(struct poller *p)
{
	unsigned left = 0;

	list_for_each_safe (node, after, &p->stopping) {
		struct source *s = list_entry(node, struct source, link);

		if (s->ops->stopped != NULL && !s->ops->stopped(s))
			continue;
		list_del(&s->link);
		ACCOUNT_SET(p->account.sources, p->account.sources - 1);
		mailbox_post(p->config.control, &s->stopped); /* the owner's from here */
		left++;
	}
	return left;
}

/* ---- the control thread's side ---- */

void poller_post(struct poller *p, struct message *message)
{
	mailbox_post(&p->mailbox, message);
}

void poller_add(struct poller *p, struct source *s)
{
	s->poller = p;
	s->addition.run = run_add;
	mailbox_post(&p->mailbox, &s->addition);
}

void poller_call(struct poller *p, struct source *s)
{
	if (__atomic_exchange_n(&s->call_posted, true, __ATOMIC_ACQ_REL))
		return;
	s->call.run = run_call;
	mailbox_post(&p->mailbox, &s->call);
}

void poller_remove(struct poller *p, struct source *s)
{
	s->removal.run = run_remove;
	mailbox_post(&p->mailbox, &s->removal);
}
