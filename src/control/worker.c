#include "control/worker.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

static void *run(void *context)
{
	struct worker *w = context;
	const uint64_t one = 1;

	pthread_mutex_lock(&w->lock);
	w->running = true;
	pthread_cond_signal(&w->wake);
	for (;;) {
		struct job *job;

		while (list_empty(&w->waiting) && !w->stop)
			pthread_cond_wait(&w->wake, &w->lock);
		if (w->stop)
			break;
		job = list_entry(w->waiting.next, struct job, node);
		list_del(&job->node);
		pthread_mutex_unlock(&w->lock);
		job->run(job);
		pthread_mutex_lock(&w->lock);
		list_add_tail(&w->finished, &job->node);
		if (write(w->watch.fd, &one, sizeof(one)) < 0)
			continue; /* the counter is full: the loop is awake anyway */
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static struct job *take_finished(struct worker *w)
{
	struct job *job = NULL;

	pthread_mutex_lock(&w->lock);
	if (!list_empty(&w->finished)) {
		job = list_entry(w->finished.next, struct job, node);
		list_del(&job->node);
	}
	pthread_mutex_unlock(&w->lock);
	return job;
}

static void jobs_done(struct event_watch *watch, uint32_t epoll_events)
{
	struct worker *w = container_of(watch, struct worker, watch);
	struct job *job;
	uint64_t count;

	(void)epoll_events;
	if (read(watch->fd, &count, sizeof(count)) < 0)
		return;
	while ((job = take_finished(w)) != NULL) {
		w->count--;
		job->done(job);
	}
}

int worker_submit(struct worker *w, struct job *job)
{
	if (w->count >= WORKER_JOBS_MAX)
		return -EBUSY;
	w->count++;
	job->submitted_ns = clock_monotonic_ns();
	pthread_mutex_lock(&w->lock);
	list_add_tail(&w->waiting, &job->node);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

int worker_time_left_ms(const struct job *job, int patience_ms)
{
	uint64_t waited_ms = (clock_monotonic_ns() - job->submitted_ns) / 1000000;

	return waited_ms < (uint64_t)patience_ms ? patience_ms - (int)waited_ms : 0;
}

int worker_open(struct worker *w, struct events *events)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), rc;

	if (fd < 0)
		return -errno;
	*w = (struct worker){.events = events, .watch = {.fd = -1, .ready = jobs_done}};
	list_init(&w->waiting);
	list_init(&w->finished);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	rc = events_add(events, &w->watch, fd, EPOLLIN);
	if (rc == 0)
		rc = -pthread_create(&w->thread, NULL, run, w);
	if (rc == 0) {
		pthread_mutex_lock(&w->lock);
		while (!w->running)
			pthread_cond_wait(&w->wake, &w->lock);
		pthread_mutex_unlock(&w->lock);
		return 0;
	}
	events_remove(events, &w->watch);
	close(fd);
	return rc;
}

void worker_close(struct worker *w)
{
	int fd = w->watch.fd;

	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	events_remove(w->events, &w->watch);
	close(fd);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
}
