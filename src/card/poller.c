#include "card/poller.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* ---- a pass ---- */

static void account_gap(struct poller *p, struct source *s, uint64_t now_tsc)
{
	uint64_t gap = now_tsc - s->visited_tsc;

	s->visited_tsc = now_tsc;
	histogram_add(&p->account.gap, gap, 1);
	if (gap > s->gap_ticks_max)
		ACCOUNT_SET(s->gap_ticks_max, gap);
	if (gap > p->account.gap_ticks_max)
		ACCOUNT_SET(p->account.gap_ticks_max, gap);
}

static uint64_t add_ticks(uint64_t *total, uint64_t from_tsc)
{
	uint64_t now_tsc = clock_tsc();

	ACCOUNT_SET(*total, *total + (now_tsc - from_tsc));
	return now_tsc;
}

/* Where a visit leaves it. */
static void settle(struct source *s, const struct visit *v, uint64_t now_tsc)
{
	if (s->broken_why != NULL)
		source_mark_broken(s);
	else if (v->again_tsc != 0)
		source_hold(s, v->again_tsc);
	else if (v->started == 0 && !v->more && now_tsc - s->worked_tsc > s->spin_ticks)
		source_fall_asleep(s, now_tsc);
}

static unsigned visit_active(struct poller *p, uint64_t *now_tsc)
{
	unsigned worked = 0;

	virtio_worker_contend(p->worker, p->account.active > 1);
	list_for_each_safe (node, after, &p->active) {
		struct source *s = list_entry(node, struct source, link);
		struct visit v;

		account_gap(p, s, *now_tsc);
		v = s->ops->visit(s, *now_tsc);
		if (s->armed) { /* after the visit that its kick led to: what that found did not wait while we slept */
			if (s->ops->disarm != NULL)
				s->ops->disarm(s);
			s->armed = false;
		}
		if (v.started > 0) {
			virtio_worker_publish(p->worker, *now_tsc);
			*now_tsc = add_ticks(&p->account.visit_ticks, *now_tsc);
			s->worked_tsc = *now_tsc;
			worked += v.started;
		}
		settle(s, &v, *now_tsc);
	}
	return worked;
}

static unsigned release_held(struct poller *p, uint64_t now_tsc)
{
	uint64_t earliest = UINT64_MAX;
	unsigned released = 0;

	if (list_empty(&p->held) || now_tsc < p->held_until_tsc)
		return 0;
	list_for_each_safe (node, after, &p->held) {
		struct source *s = list_entry(node, struct source, link);

		if (s->again_tsc <= now_tsc) {
			source_activate(s, now_tsc);
			released++;
		} else if (s->again_tsc < earliest) {
			earliest = s->again_tsc;
		}
	}
	p->held_until_tsc = earliest;
	return released;
}

static unsigned take_events(const struct epoll_event *events, int count, uint64_t now_tsc)
{
	unsigned woken = 0;

	for (int i = 0; i < count; i++) {
		struct source *s = events[i].data.ptr;

		if (s == NULL) /* the mailbox, or the engine: looked at every pass anyhow */
			continue;
		woken += s->place == SOURCE_ASLEEP;
		source_kicked(s, now_tsc);
	}
	return woken;
}

static unsigned look_at_kicks(struct poller *p, uint64_t *now_tsc)
{
	struct epoll_event events[POLLER_EVENTS_MAX];
	unsigned woken;
	int count;

	if (p->asleep == 0 || *now_tsc - p->kicks_looked_tsc < p->kick_interval_ticks)
		return 0;
	count = epoll_wait(p->epoll_fd, events, POLLER_EVENTS_MAX, 0);
	woken = take_events(events, count, *now_tsc);
	*now_tsc = add_ticks(&p->account.kick_ticks, *now_tsc);
	p->kicks_looked_tsc = *now_tsc;
	return woken;
}

static unsigned pass(struct poller *p, uint64_t *now_tsc)
{
	unsigned worked = 0, completed;

	if (!mailbox_empty(&p->mailbox)) {
		worked += mailbox_run(&p->mailbox);
		*now_tsc = clock_tsc(); /* what was added is not newer than this pass */
	}
	worked += release_held(p, *now_tsc);
	worked += visit_active(p, now_tsc);
	completed = volume_engine_poll(p->engine, *now_tsc);
	if (completed > 0) {
		*now_tsc = add_ticks(&p->account.engine_ticks, *now_tsc);
		virtio_worker_publish(p->worker, *now_tsc);
		*now_tsc = add_ticks(&p->account.publish_ticks, *now_tsc);
		worked += completed;
	}
	if (!list_empty(&p->stopping)) { /* a giant request is cut to its end here, some at a time: not the time to sleep */
		worked += virtio_worker_publish(p->worker, *now_tsc);
		worked += source_leave_stopped(p);
	}
	worked += look_at_kicks(p, now_tsc);
	return worked;
}

/* ---- sleep ---- */

static void sleep_until_event(struct poller *p, uint64_t *now_tsc)
{
	struct epoll_event events[POLLER_EVENTS_MAX];
	struct timespec timeout, *limit = NULL;
	uint64_t slept_from = *now_tsc;
	int count;

	if (!list_empty(&p->held)) {
		uint64_t ns = p->held_until_tsc > *now_tsc ? clock_tsc_to_ns(p->held_until_tsc - *now_tsc) : 0;

		timeout = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
		limit = &timeout;
	}
	if (!mailbox_sleep(&p->mailbox))
		return;
	count = epoll_pwait2(p->epoll_fd, events, POLLER_EVENTS_MAX, limit, NULL);
	mailbox_wake(&p->mailbox);
	*now_tsc = clock_tsc();
	p->kicks_looked_tsc = *now_tsc;
	ACCOUNT_SET(p->account.sleeps, p->account.sleeps + 1);
	ACCOUNT_SET(p->account.sleep_ticks, p->account.sleep_ticks + (*now_tsc - slept_from));
	take_events(events, count, *now_tsc);
}

static void poll_for_ever(struct poller *p)
{
	uint64_t now_tsc = clock_tsc(), worked_tsc = now_tsc;

	while (!p->stop) {
		uint64_t start_tsc = now_tsc;
		unsigned worked = pass(p, &now_tsc);

		now_tsc = clock_tsc();
		ACCOUNT_SET(p->account.passes, p->account.passes + 1);
		if (worked > 0) {
			worked_tsc = now_tsc;
			ACCOUNT_SET(p->account.busy_ticks, p->account.busy_ticks + (now_tsc - start_tsc));
			continue;
		}
		/* In-flight requests are waited for with a short spin, then asleep like everything else. */
		if (list_empty(&p->active) && (volume_engine_in_flight(p->engine) == 0 || now_tsc - worked_tsc > p->spin_min_ticks))
			sleep_until_event(p, &now_tsc);
		ACCOUNT_SET(p->account.idle_ticks, p->account.idle_ticks + (now_tsc - start_tsc));
	}
}

/* ---- life ---- */

struct start {
	struct poller *poller;
	sem_t ready;
};

static int watch_fd(struct poller *p, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = NULL};

	return epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 ? -errno : 0;
}

static int open_on_thread(struct poller *p)
{
	struct volume_engine_config engine = {.buffer_bytes = p->config.buffer_bytes, .ring_entries = 256, .huge = p->config.huge};
	char name[16];
	cpu_set_t set;
	int rc;

	snprintf(name, sizeof(name), "poller-%d", p->config.core);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_TIMERSLACK, 1000ul);
	CPU_ZERO(&set);
	CPU_SET((size_t)p->config.core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		return -errno;
	rc = volume_engine_create(&p->engine, &engine);
	if (rc < 0)
		return rc;
	rc = virtio_worker_create(&p->worker, VIRTIO_WORKER_REQUESTS_DEFAULT);
	if (rc < 0)
		goto free_engine;
	rc = watch_fd(p, p->mailbox.event_fd, EPOLLIN);
	if (rc < 0)
		goto free_worker;
	rc = watch_fd(p, volume_engine_wait_fd(p->engine), EPOLLIN);
	if (rc < 0)
		goto free_worker;
	return 0;
free_worker:
	virtio_worker_free(p->worker);
free_engine:
	volume_engine_free(p->engine);
	return rc;
}

static void *poller_main(void *argument)
{
	struct start *start = argument;
	struct poller *p = start->poller;

	p->start_error = open_on_thread(p);
	sem_post(&start->ready);
	if (p->start_error < 0)
		return NULL;
	poll_for_ever(p);
	virtio_worker_free(p->worker);
	volume_engine_free(p->engine);
	return NULL;
}

int poller_start(struct poller *p, const struct poller_config *config)
{
	struct start start = {.poller = p};
	int rc;

	memset(p, 0, sizeof(*p));
	p->watched_fd = -1;
	p->config = *config;
	list_init(&p->active);
	list_init(&p->held);
	list_init(&p->others);
	list_init(&p->stopping);
	p->spin_min_ticks = clock_ns_to_tsc(POLLER_SPIN_MIN_NS);
	p->spin_max_ticks = clock_ns_to_tsc(POLLER_SPIN_MAX_NS);
	p->kick_interval_ticks = clock_ns_to_tsc(POLLER_KICK_INTERVAL_NS);
	rc = mailbox_open(&p->mailbox);
	if (rc < 0)
		return rc;
	p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll_fd < 0) {
		rc = -errno;
		goto close_mailbox;
	}
	sem_init(&start.ready, 0, 0);
	rc = -pthread_create(&p->thread, NULL, poller_main, &start);
	if (rc == 0) {
		while (sem_wait(&start.ready) != 0)
			;
		rc = p->start_error;
		if (rc < 0)
			pthread_join(p->thread, NULL);
	}
	sem_destroy(&start.ready);
	if (rc == 0)
		return 0;
	close(p->epoll_fd);
close_mailbox:
	mailbox_close(&p->mailbox);
	return rc;
}

struct stop_message {
	struct message message;
	struct poller *poller;
};

static void run_stop(struct message *message)
{
	container_of(message, struct stop_message, message)->poller->stop = true;
}

void poller_stop(struct poller *p)
{
	struct stop_message stop = {.message.run = run_stop, .poller = p};

	mailbox_post(&p->mailbox, &stop.message);
	pthread_join(p->thread, NULL);
	close(p->epoll_fd);
	mailbox_close(&p->mailbox);
}
