#include "card/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "card/blk_device.h"
#include "card/memory_store.h"

static struct list *bucket(struct card *card, const struct uuid *volume)
{
	return &card->devices[get_le32(volume->bytes) % CARD_BUCKETS];
}

struct device *device_find(struct card *card, const struct uuid *volume)
{
	list_for_each_safe (node, after, bucket(card, volume)) {
		struct device *d = list_entry(node, struct device, link);

		if (memcmp(&d->volume_id, volume, sizeof(*volume)) == 0)
			return d;
	}
	return NULL;
}

static void answer_attached(struct device *d)
{
	if (d->attach_request == NO_REQUEST)
		return;
	commands_reply(d->card, d->attach_request, json_pack("{s:s}", "socket", d->vhost.socket.path));
	d->attach_request = NO_REQUEST;
}

/* ---- pages of memory volumes ---- */

enum { POPULATE_STEP_BYTES = 16 << 20 };

static void populate(struct device *d)
{
	list_del(&d->populating);
	list_add_tail(&d->card->populating, &d->populating);
	d->card->loop.busy = true;
}

bool device_populate_step(void *context)
{
	struct card *card = context;
	struct device *d;
	int rc;

	if (list_empty(&card->populating))
		return false;
	d = list_entry(card->populating.next, struct device, populating);
	rc = volume_populate(d->volume, POPULATE_STEP_BYTES);
	if (rc == 1)
		return true;
	if (rc < 0)
		log_warning("memory volume %s: the host cannot give all of its memory now (%s); writes may fail or be slow",
			    d->name, strerror(-rc));
	list_del(&d->populating);
	return true;
}

/* ---- closing: each step goes on to the next when its part is gone ---- */

static void device_free(struct device *d)
{
	struct card *card = d->card;

	if (d->blk != NULL)
		virtio_blk_free(d->blk);
	if (d->volume != NULL)
		volume_close(d->volume);
	vhost_device_forget(&d->vhost);
	list_del(&d->populating);
	list_del(&d->link);
	card->device_count--;
	card->poller_devices[d->poller->config.index]--;
	request_answer(card, &d->attach_request, "conflict", "the device was detached before it was ready");
	request_answer(card, &d->detach_request, NULL, NULL);
	free(d->totals);
	free(d);
	card_stop_when_empty(card);
}

static void unbound(struct message *message)
{
	device_free(container_of(message, struct device, bound_reply));
}

static void unbind_on_poller(struct message *message)
{
	struct device *d = container_of(message, struct device, bind);

	volume_unbind(d->volume);
	d->bound_reply.run = unbound;
	mailbox_post(&d->card->loop.mailbox, &d->bound_reply);
}

static void close_step(struct device *d)
{
	if (d->phase == DEVICE_BINDING)
		return; /* bound() goes on */
	vhost_device_unlisten(&d->vhost);
	if (d->vhost.connection != NULL) {
		vhost_device_close(&d->vhost); /* device_disconnected() goes on */
		return;
	}
	unwrap_cancel(d);
	d->phase = DEVICE_CLOSING;
	if (!d->bound) {
		device_free(d);
		return;
	}
	d->bound = false;
	d->bind.run = unbind_on_poller;
	poller_post(d->poller, &d->bind);
}

void device_disconnected(struct device *d)
{
	if (d->phase == DEVICE_CLOSING) {
		close_step(d);
		return;
	}
	d->phase = DEVICE_WAITING;
	commands_event(d->card, "device", json_pack("{s:o,s:s}", "volume_id", commands_uuid(&d->volume_id), "state", "waiting"));
}

static void device_close(struct device *d)
{
	enum device_phase phase = d->phase;

	if (phase == DEVICE_CLOSING)
		return;
	if (phase != DEVICE_BINDING)
		d->phase = DEVICE_CLOSING;
	else
		d->closing = true;
	close_step(d);
}

/* ---- opening ---- */

void device_refuse(struct device *d, const char *code, const char *message)
{
	log_warning("volume %s: not attached: %s", d->name, message);
	request_answer(d->card, &d->attach_request, code, message);
	device_close(d);
}

static void bound(struct message *message)
{
	struct device *d = container_of(message, struct device, bound_reply);
	char error[256];
	int rc;

	d->phase = DEVICE_WAITING;
	d->bound = d->bind_error == 0;
	if (d->closing) {
		device_close(d);
		return;
	}
	if (d->bind_error < 0) {
		snprintf(error, sizeof(error), "the poller cannot take the volume: %s", strerror(-d->bind_error));
		device_refuse(d, "limit", error);
		return;
	}
	rc = vhost_device_listen(&d->vhost, error, sizeof(error));
	if (rc < 0) {
		device_refuse(d, rc == -EADDRINUSE || rc == -EEXIST ? "conflict" : "storage", error);
		return;
	}
	log_info("volume %s: attached, waiting for a VMM on %s", d->name, d->vhost.socket.path);
	answer_attached(d);
}

static void bind_on_poller(struct message *message)
{
	struct device *d = container_of(message, struct device, bind);

	d->bind_error = volume_bind(d->volume, d->poller->engine);
	d->bound_reply.run = bound;
	mailbox_post(&d->card->loop.mailbox, &d->bound_reply);
}

static const char *open_error_code(int rc)
{
	switch (rc) {
	case -ENOENT:
		return "not_found";
	case -ENOSPC:
		return "no_space";
	case -EINVAL:
		return "bad_request";
	default:
		return "storage";
	}
}

static int find_memory(struct device *d, struct volume_config *config, char *error, size_t error_size)
{
	struct card *card = d->card;
	int fd = memory_store_find(card, &config->id), rc;

	if (fd >= 0) {
		config->memory_fd = fd;
		return 0;
	}
	log_warning("memory volume %s: starts empty, its contents ended with the last stop of Outboard", d->name);
	rc = volume_storage_create(config, card->config.huge, &fd, error, error_size);
	if (rc < 0)
		return rc;
	config->memory_fd = fd;
	return memory_store_add(card, &config->id, fd);
}

void device_open(struct device *d, const struct volume_config *wanted)
{
	struct volume_config config = *wanted;
	struct virtio_blk_config blk = {.serial = d->name,
					.queues_max = d->vhost.queues_max,
					.packed_allowed = d->packed,
					.broken = blk_device_queue_broken,
					.context = d};
	char error[512] = "";
	int rc = 0;

	if (config.backend == VOLUME_MEMORY)
		rc = find_memory(d, &config, error, sizeof(error));
	if (rc == 0)
		rc = volume_open(&d->volume, &config, error, sizeof(error));
	if (rc < 0) {
		device_refuse(d, open_error_code(rc), error[0] != '\0' ? error : strerror(-rc));
		return;
	}
	populate(d);
	blk.target = volume_target(d->volume);
	rc = virtio_blk_create(&d->blk, &blk);
	if (rc < 0) {
		device_refuse(d, "internal", "out of memory");
		return;
	}
	d->phase = DEVICE_BINDING;
	d->bind.run = bind_on_poller;
	poller_post(d->poller, &d->bind);
}

static struct poller *least_used(struct card *card)
{
	unsigned best = 0;

	for (unsigned i = 1; i < card->poller_count; i++)
		if (card->poller_devices[i] < card->poller_devices[best])
			best = i;
	card->poller_devices[best]++;
	return &card->pollers[best];
}

/* An equal device is there already: that is success, now or when it is ready. */
static void attach_again(struct device *d, const struct device_request *request)
{
	if (strcmp(d->vhost.socket.path, request->front.socket.path) != 0 || d->phase == DEVICE_CLOSING || d->closing) {
		commands_reply_error(d->card, request->request_id, "conflict",
				     "volume \"%s\" is attached at %s already, or on its way out; detach it first", d->name,
				     d->vhost.socket.path);
		return;
	}
	request_answer(d->card, &d->attach_request, "conflict", "asked again before it was ready: the later request is answered");
	d->attach_request = request->request_id;
	if (d->phase == DEVICE_WAITING || d->phase == DEVICE_CONNECTED)
		answer_attached(d);
}

void device_attach(struct card *card, const struct device_request *request)
{
	const struct volume_spec *spec = request->spec;
	struct device *d = device_find(card, &spec->config.id);

	if (d != NULL) {
		attach_again(d, request);
		return;
	}
	d = card->device_count + card->network.eni_count >= CARD_DEVICES_MAX || card->stopping ? NULL : calloc(1, sizeof(*d));
	if (d == NULL) {
		commands_reply_error(card, request->request_id, "limit", "this card serves no more devices (%u of %d)",
				     card->device_count, CARD_DEVICES_MAX);
		return;
	}
	d->card = card;
	d->poller = least_used(card);
	d->volume_id = spec->config.id;
	memcpy(d->name, spec->name, sizeof(d->name));
	vhost_device_init(&d->vhost, card, d->poller, &blk_device_ops, d->name);
	d->vhost.socket = request->front.socket;
	d->vhost.queues_max = request->front.queues;
	d->packed = request->front.packed;
	d->attach_request = request->request_id;
	d->detach_request = NO_REQUEST;
	list_init(&d->populating);
	list_add_tail(bucket(card, &d->volume_id), &d->link);
	card->device_count++;
	if (spec->encrypted)
		unwrap_start(d, spec);
	else
		device_open(d, &spec->config);
}

void device_detach(struct card *card, const struct uuid *volume, int64_t request_id)
{
	struct device *d = device_find(card, volume);

	if (d == NULL) {
		commands_reply(card, request_id, NULL);
		return;
	}
	request_answer(card, &d->detach_request, "conflict", "asked again: the later request is answered");
	d->detach_request = request_id;
	log_info("volume %s: detaching", d->name);
	device_close(d);
}

void device_detach_all(struct card *card)
{
	for (unsigned i = 0; i < CARD_BUCKETS; i++)
		list_for_each_safe (node, after, &card->devices[i])
			device_close(list_entry(node, struct device, link));
}

/* ---- changes while attached ---- */

int device_resize(struct device *d, uint64_t size_bytes, char *error, size_t error_size)
{
	int rc;

	if (d->volume == NULL)
		return -EAGAIN;
	rc = volume_resize(d->volume, size_bytes, error, error_size);
	if (rc < 0)
		return rc;
	populate(d);
	if (d->vhost.connection != NULL)
		vhost_user_config_changed(d->vhost.connection);
	return 0;
}

struct rate_message {
	struct message message;
	struct device *device;
	struct volume_rate rate;
};

static void free_rate(struct message *message)
{
	free(container_of(message, struct rate_message, message)); /* before the device: messages arrive in order */
}

static void set_rate_on_poller(struct message *message)
{
	struct rate_message *m = container_of(message, struct rate_message, message);

	volume_set_rate(m->device->volume, &m->rate, clock_tsc());
	m->message.run = free_rate;
	mailbox_post(&m->device->card->loop.mailbox, &m->message);
}

int device_set_rate(struct device *d, const struct volume_rate *rate)
{
	struct rate_message *m;

	if (!d->bound)
		return -EAGAIN;
	m = volume_prepare_rate(d->volume) < 0 ? NULL : calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->message.run = set_rate_on_poller;
	m->device = d;
	m->rate = *rate;
	poller_post(d->poller, &m->message);
	return 0;
}
