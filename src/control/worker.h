/*
 * One thread for calls that block: those to the vault (vault_client.h), so that the API goes on answering while a passphrase is
 * stretched or ten thousand data keys are rewrapped. Jobs run one after the other, in order; a job owns its data while it runs and
 * touches nothing else. The loop thread hands jobs in and gets them back.
 */
#ifndef OUTBOARD_CONTROL_WORKER_H
#define OUTBOARD_CONTROL_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/events.h"

enum { WORKER_JOBS_MAX = 256 };

/* Embedded at any place of what belongs to the job. */
struct job {
	struct list node;
	void (*run)(struct job *job);  /* on the worker's thread */
	void (*done)(struct job *job); /* on the loop's thread, afterwards; may free the job, or hand it in again */
};

struct worker {
	struct events *events;
	struct event_watch watch; /* an eventfd: jobs are done */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list waiting;
	struct list finished;
	unsigned count; /* handed in and not given back; the loop's thread only */
	bool stop;
};

int worker_open(struct worker *worker, struct events *events);
void worker_close(struct worker *worker); /* waits for the job that runs; jobs are dropped without a word */

int worker_submit(struct worker *worker, struct job *job); /* 0, or -EBUSY: too many wait already */

#endif
