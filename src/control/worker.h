/*
 * One thread for calls that block: those to the vault (vault_client.h), so that the API goes on answering while a passphrase is
 * stretched or ten thousand data keys are rewrapped. Jobs run one after the other, in order; a job owns its data while it runs and
 * touches nothing else. The loop thread hands jobs in and gets them back.
 */
#ifndef OUTBOARD_CONTROL_WORKER_H
#define OUTBOARD_CONTROL_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/events.h"

enum { WORKER_JOBS_MAX = 256 };

/* Embedded at any place of what belongs to the job. */
struct job {
	struct list node;
	void (*run)(struct job *job);  /* on the worker's thread */
	void (*done)(struct job *job); /* on the loop's thread, afterwards; may free the job, or hand it in again */
	uint64_t submitted_ns;
};

struct worker {
	struct events *events;
	struct event_watch watch; /* an eventfd: jobs are done */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool running;
	struct list waiting;
	struct list finished;
	unsigned count; /* handed in and not given back; the loop's thread only */
	bool stop;
};

/* Returns when the thread runs: what starting one needs may be given up then. */
int worker_open(struct worker *worker, struct events *events);
void worker_close(struct worker *worker); /* waits for the job that runs; jobs are dropped without a word */

int worker_submit(struct worker *worker, struct job *job); /* 0, or -EBUSY: too many wait already */

/* For `run`: what is left of `patience_ms`, counted from when the job was handed in. So whatever the vault does not answer is over
 * that long after it was asked for, however many waited before it. */
int worker_time_left_ms(const struct job *job, int patience_ms);

#endif
