/*
 * Theory of operation. A run is SECRET_HEAP_PAGES_BYTES of secret memory cut into slots of one size (a multiple of 256). Its
 * descriptor lives outside, in plain memory: nothing in it is secret, and it says which slots are taken. A run whose last slot
 * is freed goes back to the kernel, so a card that detached its volumes holds no locked memory for them. There are few runs
 * (10,000 volumes: some 160), and the heap is used when volumes are attached and detached: lists are searched linearly.
 */
#include "base/secret_heap.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/secret.h"

enum { SLOT_GRAIN_BYTES = 256, SLOTS_MAX = SECRET_HEAP_PAGES_BYTES / SLOT_GRAIN_BYTES };

struct run {
	struct list link;
	uint8_t *memory;
	size_t slot_bytes;
	unsigned slots;
	unsigned used;
	bool taken[SLOTS_MAX];
};

static struct {
	pthread_mutex_t lock;
	struct list runs;
} heap = {PTHREAD_MUTEX_INITIALIZER, {&heap.runs, &heap.runs}};

static struct run *run_create(size_t slot_bytes)
{
	struct run *run = calloc(1, sizeof(*run));

	if (run == NULL)
		return NULL;
	run->memory = secret_alloc(SECRET_HEAP_PAGES_BYTES);
	if (run->memory == NULL) {
		free(run);
		return NULL;
	}
	run->slot_bytes = slot_bytes;
	run->slots = (unsigned)(SECRET_HEAP_PAGES_BYTES / slot_bytes);
	list_add_tail(&heap.runs, &run->link);
	return run;
}

static void run_free(struct run *run)
{
	list_del(&run->link);
	secret_free(run->memory, SECRET_HEAP_PAGES_BYTES);
	free(run);
}

static struct run *run_with_room(size_t slot_bytes)
{
	list_for_each_safe (it, after, &heap.runs) {
		struct run *run = list_entry(it, struct run, link);

		if (run->slot_bytes == slot_bytes && run->used < run->slots)
			return run;
	}
	return run_create(slot_bytes);
}

static struct run *run_of(const void *memory)
{
	uintptr_t address = (uintptr_t)memory;

	list_for_each_safe (it, after, &heap.runs) {
		struct run *run = list_entry(it, struct run, link);

		if (address - (uintptr_t)run->memory < SECRET_HEAP_PAGES_BYTES)
			return run;
	}
	return NULL;
}

void *secret_heap_alloc(size_t size)
{
	size_t slot_bytes = size == 0 ? SLOT_GRAIN_BYTES : (size + SLOT_GRAIN_BYTES - 1) / SLOT_GRAIN_BYTES * SLOT_GRAIN_BYTES;
	void *memory = NULL;
	struct run *run;
	unsigned slot = 0;

	if (size > SECRET_HEAP_SIZE_MAX)
		return NULL;
	pthread_mutex_lock(&heap.lock);
	run = run_with_room(slot_bytes);
	if (run != NULL) {
		while (run->taken[slot])
			slot++;
		run->taken[slot] = true;
		run->used++;
		memory = run->memory + slot * slot_bytes;
	}
	pthread_mutex_unlock(&heap.lock);
	return memory;
}

void secret_heap_free(void *memory)
{
	struct run *run;
	size_t offset;

	if (memory == NULL)
		return;
	pthread_mutex_lock(&heap.lock);
	run = run_of(memory);
	assert(run != NULL);
	offset = (size_t)((uint8_t *)memory - run->memory);
	assert(offset % run->slot_bytes == 0 && run->taken[offset / run->slot_bytes]);
	secret_wipe(memory, run->slot_bytes);
	run->taken[offset / run->slot_bytes] = false;
	if (--run->used == 0)
		run_free(run);
	pthread_mutex_unlock(&heap.lock);
}

bool secret_heap_owns(const void *memory)
{
	bool owned;

	pthread_mutex_lock(&heap.lock);
	owned = run_of(memory) != NULL;
	pthread_mutex_unlock(&heap.lock);
	return owned;
}

size_t secret_heap_size(const void *memory)
{
	struct run *run;
	size_t size;

	pthread_mutex_lock(&heap.lock);
	run = run_of(memory);
	assert(run != NULL);
	size = run->slot_bytes;
	pthread_mutex_unlock(&heap.lock);
	return size;
}

size_t secret_heap_pages_bytes(void)
{
	size_t bytes = 0;

	pthread_mutex_lock(&heap.lock);
	list_for_each_safe (it, after, &heap.runs)
		bytes += SECRET_HEAP_PAGES_BYTES;
	pthread_mutex_unlock(&heap.lock);
	return bytes;
}
