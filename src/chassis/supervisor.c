#include "chassis/supervisor.h"

#include <assert.h>

static const enum supervised stop_order[SUPERVISED_COUNT] = {SUPERVISED_CONTROL, SUPERVISED_CARD, SUPERVISED_VAULT};

const char *supervised_name(enum supervised child)
{
	static const char *const names[SUPERVISED_COUNT] = {"vault", "card", "control"};

	return names[child];
}

static void act(struct supervisor_actions *out, enum supervisor_action_kind kind, enum supervised child)
{
	assert(out->count < SUPERVISOR_ACTIONS_MAX);
	out->item[out->count++] = (struct supervisor_action){.kind = kind, .child = child};
}

static void child_start(struct supervisor *s, enum supervised which, uint64_t now_ms, struct supervisor_actions *out)
{
	s->child[which].state = CHILD_STARTING;
	s->child[which].deadline_ms = now_ms + SUPERVISOR_START_MS;
	act(out, ACTION_SPAWN, which);
}

/* The next child of the order is asked to stop when those before it are gone. */
static void stop_advance(struct supervisor *s, uint64_t now_ms, struct supervisor_actions *out)
{
	for (unsigned i = 0; i < SUPERVISED_COUNT; i++)
		if (s->child[i].state == CHILD_WAITING) /* for a restart that will not come */
			s->child[i].state = CHILD_DOWN;
	for (unsigned i = 0; i < SUPERVISED_COUNT; i++) {
		struct supervised_child *c = &s->child[stop_order[i]];

		if (c->state == CHILD_DOWN)
			continue;
		if (c->state != CHILD_STOPPING) {
			c->state = CHILD_STOPPING;
			c->deadline_ms = now_ms + SUPERVISOR_STOP_MS;
			act(out, ACTION_TERMINATE, stop_order[i]);
		}
		return;
	}
	act(out, ACTION_FINISH, SUPERVISED_VAULT);
}

static uint64_t backoff_ms(unsigned failures)
{
	uint64_t delay_ms = SUPERVISOR_BACKOFF_MIN_MS;

	if (failures <= 1)
		return 0;
	for (unsigned i = 2; i < failures && delay_ms < SUPERVISOR_BACKOFF_MAX_MS; i++)
		delay_ms *= 2;
	return delay_ms < SUPERVISOR_BACKOFF_MAX_MS ? delay_ms : SUPERVISOR_BACKOFF_MAX_MS;
}

static void give_up(struct supervisor *s, enum supervised which, uint64_t now_ms, struct supervisor_actions *out)
{
	s->child[which].state = CHILD_DOWN;
	s->stopping = true;
	s->gave_up = true;
	act(out, ACTION_GIVE_UP, which);
	stop_advance(s, now_ms, out);
}

static void child_exited(struct supervisor *s, enum supervised which, uint64_t now_ms, struct supervisor_actions *out)
{
	struct supervised_child *c = &s->child[which];
	uint64_t delay_ms;

	if (s->stopping) {
		c->state = CHILD_DOWN;
		stop_advance(s, now_ms, out);
		return;
	}
	if (c->state == CHILD_READY && now_ms - c->ready_ms >= SUPERVISOR_STABLE_MS)
		c->failures = 0;
	c->failures++;
	if (!c->was_ready && c->failures >= SUPERVISOR_START_ATTEMPTS) {
		give_up(s, which, now_ms, out);
		return;
	}
	delay_ms = backoff_ms(c->failures);
	if (delay_ms == 0) {
		child_start(s, which, now_ms, out);
		return;
	}
	c->state = CHILD_WAITING;
	c->deadline_ms = now_ms + delay_ms;
}

static void child_refused(struct supervisor *s, enum supervised which, uint64_t now_ms, struct supervisor_actions *out)
{
	if (s->stopping || s->child[which].was_ready)
		child_exited(s, which, now_ms, out);
	else
		give_up(s, which, now_ms, out);
}

static void child_ready(struct supervisor *s, enum supervised which, uint64_t now_ms, struct supervisor_actions *out)
{
	struct supervised_child *c = &s->child[which];

	if (c->state != CHILD_STARTING) /* said twice, or while it is being stopped */
		return;
	c->state = CHILD_READY;
	c->deadline_ms = UINT64_MAX;
	c->ready_ms = now_ms;
	c->was_ready = true;
	for (unsigned i = 0; i < SUPERVISED_COUNT; i++)
		if (s->child[i].state != CHILD_READY)
			return;
	if (!s->announced)
		act(out, ACTION_ANNOUNCE, which);
	s->announced = true;
}

static void time_passed(struct supervisor *s, uint64_t now_ms, struct supervisor_actions *out)
{
	for (unsigned i = 0; i < SUPERVISED_COUNT; i++) {
		struct supervised_child *c = &s->child[i];

		if (c->state == CHILD_DOWN || c->state == CHILD_READY || now_ms < c->deadline_ms)
			continue;
		if (c->state == CHILD_WAITING) {
			child_start(s, i, now_ms, out);
			continue;
		}
		c->deadline_ms = UINT64_MAX; /* SIGKILL cannot be refused: EXITED will come */
		act(out, ACTION_KILL, i);
	}
}

void supervisor_step(struct supervisor *s, struct supervisor_event event, uint64_t now_ms, struct supervisor_actions *out)
{
	out->count = 0;
	switch (event.kind) {
	case EVENT_START:
		for (unsigned i = 0; i < SUPERVISED_COUNT; i++)
			child_start(s, i, now_ms, out);
		break;
	case EVENT_READY:
		child_ready(s, event.child, now_ms, out);
		break;
	case EVENT_EXITED:
		child_exited(s, event.child, now_ms, out);
		break;
	case EVENT_REFUSED:
		child_refused(s, event.child, now_ms, out);
		break;
	case EVENT_STOP:
		if (!s->stopping) {
			s->stopping = true;
			stop_advance(s, now_ms, out);
		}
		break;
	case EVENT_TIME:
		time_passed(s, now_ms, out);
		break;
	}
}

uint64_t supervisor_deadline(const struct supervisor *s)
{
	uint64_t first_ms = UINT64_MAX;

	for (unsigned i = 0; i < SUPERVISED_COUNT; i++) {
		const struct supervised_child *c = &s->child[i];

		if (c->state != CHILD_DOWN && c->state != CHILD_READY && c->deadline_ms < first_ms)
			first_ms = c->deadline_ms;
	}
	return first_ms;
}
