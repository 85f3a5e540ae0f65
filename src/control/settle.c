#include "control/settle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "control/attach.h"
#include "control/place.h"

/* One volume on its way. The steps come in the order of the functions below; each starts the next. */
struct settle_item {
	struct attach_call call; /* and the volume */
	struct busy busy;
};

static void run(struct control *control);
static void step_memory(struct settle_item *item);
static void step_size(struct settle_item *item);
static void step_attachment(struct settle_item *item);

static const char *name_of(const struct settle_item *item)
{
	return item->call.volume.name;
}

static void end(struct settle_item *item, bool progress)
{
	struct control *control = item->call.control;

	control->settling.running--;
	control->settling.progress |= progress;
	busy_release(&item->busy);
	volume_row_clear(&item->call.volume);
	free(item);
	run(control);
}

/* Logs what did not work; the timer comes back to it. */
static void give_up(struct settle_item *item, const struct peer_answer *answer, const char *what)
{
	struct failure failure;
	char sentence[NAME_SIZE + 64];

	snprintf(sentence, sizeof(sentence), "%s \"%s\"", what, name_of(item));
	card_failure(&failure, answer, sentence);
	log_warning("%s", failure.message);
	end(item, false);
}

/* ---- unfinished volumes ---- */

static void storage_deleted(void *context, const struct peer_answer *answer)
{
	struct settle_item *item = context;

	if (answer->outcome != PEER_OK) {
		give_up(item, answer, "delete the storage of volume");
		return;
	}
	if (store_volume_delete(&item->call.control->store, &item->call.volume.id) == 0)
		log_info("volume \"%s\" was left unfinished by an interruption, and is gone now", name_of(item));
	end(item, true);
}

static void delete_storage(struct settle_item *item)
{
	struct control *control = item->call.control;

	card_request(control, json_pack("{s:s,s:o}", "op", "storage_delete", "volume", card_volume(&item->call.volume)),
		     CARD_TIMEOUT_MS, storage_deleted, item);
}

/*
 * The file was made by the creation that is undone, or lay there before and was refused: it goes only when it is as the card
 * makes one, of that size and without a single block. So whatever happened, nobody's data are lost.
 */
static bool file_is_fresh(const struct volume_row *row)
{
	struct stat st;

	if (lstat(row->path, &st) != 0)
		return errno == ENOENT; /* nothing to lose */
	return S_ISREG(st.st_mode) && st.st_size == row->size_bytes && st.st_blocks == 0;
}

static void undo_creation(struct settle_item *item)
{
	const struct volume_row *row = &item->call.volume;

	if (row->backend != BACKEND_FILE || file_is_fresh(row)) {
		delete_storage(item);
		return;
	}
	if (place_is_block_device(row->path))
		log_info("volume \"%s\" was left unfinished by an interruption, and is gone now; the device %s stays", row->name,
			 row->path);
	else
		log_warning("the creation of volume \"%s\" is undone, but %s is left alone: it is not an empty file of that size",
			    row->name, row->path);
	end(item, store_volume_delete(&item->call.control->store, &row->id) == 0);
}

/* ---- memory ---- */

static void memory_made(void *context, const struct peer_answer *answer)
{
	struct settle_item *item = context;

	if (answer->outcome == PEER_OK || (answer->outcome == PEER_REFUSED && strcmp(answer->code, "exists") == 0))
		step_size(item);
	else
		give_up(item, answer, "make the memory of volume");
}

static void step_memory(struct settle_item *item)
{
	if (item->call.volume.backend != BACKEND_MEMORY)
		step_size(item);
	else
		card_request(item->call.control,
			     json_pack("{s:s,s:o}", "op", "storage_create", "volume", card_volume(&item->call.volume)),
			     CARD_TIMEOUT_MS, memory_made, item);
}

/* ---- size ---- */

static void resized(void *context, const struct peer_answer *answer)
{
	struct settle_item *item = context;
	struct volume_row *row = &item->call.volume;
	int rc;

	if (answer->outcome != PEER_OK && answer->outcome != PEER_REFUSED) {
		give_up(item, answer, "grow volume");
		return;
	}
	if (answer->outcome == PEER_OK)
		row->size_bytes = row->size_target_bytes;
	rc = store_volume_set_size(&item->call.control->store, &row->id, row->size_bytes, 0);
	row->size_target_bytes = 0;
	if (rc < 0)
		end(item, false);
	else
		step_attachment(item);
}

static void step_size(struct settle_item *item)
{
	struct volume_row *row = &item->call.volume;
	json_t *command;

	if (row->size_target_bytes == 0) {
		step_attachment(item);
		return;
	}
	command = card_command("resize", &row->id);
	json_object_update_new(
		command, json_pack("{s:I,s:o}", "size_bytes", (json_int_t)row->size_target_bytes, "volume", card_volume(row)));
	card_request(item->call.control, command, CARD_TIMEOUT_MS, resized, item);
}

/* ---- attachment ---- */

static void rate_set(void *context, const struct peer_answer *answer)
{
	(void)answer; /* the next change sets it again */
	end(context, true);
}

/* Unless a VMM was faster than the card's reply. */
static void show_waiting(struct control *control, const struct uuid *id)
{
	struct volume_row now;

	if (store_volume_get_by_id(&control->store, id, &now) < 0)
		return;
	if (strcmp(now.attachment.state, "connected") != 0)
		store_live_set(&control->store, id, "waiting", NULL);
	volume_row_clear(&now);
}

static void attached(struct attach_call *call)
{
	struct settle_item *item = container_of(call, struct settle_item, call);
	struct control *control = call->control;

	if (call->failure.code != ERROR_NONE) {
		log_warning("%s", call->failure.message);
		store_live_set(&control->store, &call->volume.id, "pending", call->failure.message);
		end(item, false);
		return;
	}
	show_waiting(control, &call->volume.id);
	/* A card that served it already keeps the limits it had: one that was changed while we died is set again. */
	card_request(control, card_rate(&call->volume), CARD_TIMEOUT_MS, rate_set, item);
}

static void detached(struct attach_call *call)
{
	struct settle_item *item = container_of(call, struct settle_item, call);

	if (call->failure.code != ERROR_NONE) {
		log_warning("%s", call->failure.message);
		end(item, false);
		return;
	}
	end(item, store_attachment_delete(&call->control->store, &call->volume.id) == 0);
}

static void step_attachment(struct settle_item *item)
{
	switch (item->call.volume.attachment.phase) {
	case ATTACHMENT_NONE:
		end(item, true);
		break;
	case ATTACHMENT_ATTACHED:
		item->call.done = attached;
		attach_start(&item->call);
		break;
	case ATTACHMENT_ATTACHING:
	case ATTACHMENT_DETACHING:
		item->call.done = detached;
		detach_start(&item->call);
		break;
	}
}

/* ---- the list ---- */

static void start(struct control *control, const struct uuid *id)
{
	struct settle_item *item = calloc(1, sizeof(*item));
	struct failure failure;

	if (item == NULL)
		return;
	item->call.control = control;
	if (store_volume_get_by_id(&control->store, id, &item->call.volume) < 0) { /* gone meanwhile */
		free(item);
		return;
	}
	if (busy_take(control, &item->busy, name_of(item), &failure) < 0) { /* whoever is at it finishes it */
		volume_row_clear(&item->call.volume);
		free(item);
		return;
	}
	control->settling.running++;
	switch (item->call.volume.state) {
	case VOLUME_CREATING:
		undo_creation(item);
		break;
	case VOLUME_DELETING:
		delete_storage(item);
		break;
	case VOLUME_AVAILABLE:
		step_memory(item);
		break;
	}
}

static void schedule_retry(struct control *control)
{
	struct settling *s = &control->settling;

	s->retry_ms = s->progress ? SETTLE_RETRY_MIN_MS : 2 * s->retry_ms;
	if (s->retry_ms > SETTLE_RETRY_MAX_MS)
		s->retry_ms = SETTLE_RETRY_MAX_MS;
	event_timer_set(&control->events, &s->retry, s->retry_ms);
}

static void run(struct control *control)
{
	struct settling *s = &control->settling;

	while (s->next < s->count && s->running < SETTLE_PARALLEL_MAX && control->card.up)
		start(control, &s->ids[s->next++]);
	if (s->running > 0)
		return;
	free(s->ids);
	s->ids = NULL;
	s->count = s->next = 0;
	schedule_retry(control);
}

static void begin(struct control *control, enum store_work which)
{
	struct settling *s = &control->settling;

	free(s->ids);
	s->next = 0;
	s->progress = false;
	if (store_work_list(&control->store, which, &s->ids, &s->count) < 0)
		s->count = 0;
	run(control);
}

static void retry_due(struct event_timer *timer)
{
	struct control *control = container_of(container_of(timer, struct settling, retry), struct control, settling);

	if (control->card.up)
		begin(control, WORK_PENDING);
	else
		schedule_retry(control);
}

void settle_all(struct control *control, bool same_card)
{
	if (!same_card)
		store_live_all_pending(&control->store, "It is being attached again to a card that was restarted.");
	control->settling.retry_ms = SETTLE_RETRY_MIN_MS;
	begin(control, WORK_ALL);
}

void settle_soon(struct control *control)
{
	control->settling.retry_ms = SETTLE_RETRY_MIN_MS;
	event_timer_set(&control->events, &control->settling.retry, 0);
}

void settle_open(struct control *control)
{
	control->settling = (struct settling){.retry_ms = SETTLE_RETRY_MIN_MS};
	event_timer_init(&control->settling.retry, retry_due);
}

void settle_close(struct control *control)
{
	event_timer_cancel(&control->settling.retry);
	free(control->settling.ids);
	control->settling.ids = NULL;
}
