#include "card/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "virtio/discard.h"

/* Each costs log lines and events, and a VMM may connect for ever. */
enum { CONNECTS_PER_SECOND_MAX = 20 };

static bool any_queue(const struct device *d)
{
	for (unsigned i = 0; i < d->queues_max; i++)
		if (d->queues[i] != NULL)
			return true;
	return false;
}

static void finish_close(struct device *d)
{
	vhost_user_free(d->connection);
	d->connection = NULL;
	d->disconnecting = false;
	if (d->listen.fd >= 0)
		loop_change(&d->card->loop, &d->listen, EPOLLIN); /* listen_ready may have put a successor off */
	device_disconnected(d);
}

/* What vhost_user_readable and vhost_user_queue_stopped return. */
static void go_on(struct device *d, int rc)
{
	if (rc < 0) {
		if (rc == -ECONNRESET)
			log_info("volume %s: the VMM disconnected", d->name);
		connection_close(d);
	} else {
		loop_change(&d->card->loop, &d->client, rc == 0 ? EPOLLIN : 0);
	}
}

/* ---- queues ---- */

static void add_account(struct account *total, const struct account *a)
{
	total->arrivals += a->arrivals;
	total->departures += a->departures;
	total->bytes += a->bytes;
	total->occupancy_ticks += a->occupancy_ticks;
	total->wait_ticks += a->wait_ticks;
	if (a->wait_ticks_max > total->wait_ticks_max)
		total->wait_ticks_max = a->wait_ticks_max;
	histogram_merge(&total->wait, &a->wait);
}

/* Counters outlive their queue; a device that never worked keeps none. */
static void keep_totals(struct device *d, const struct virtqueue_accounts *a)
{
	if (a->ring.arrivals == 0)
		return;
	if (d->totals == NULL)
		d->totals = calloc(1, sizeof(*d->totals));
	if (d->totals == NULL)
		return;
	add_account(&d->totals->ring, &a->ring);
	add_account(&d->totals->device, &a->device);
	d->totals->kicks_suppressed += a->kicks_suppressed;
	d->totals->calls_sent += a->calls_sent;
	d->totals->errors += a->errors;
	d->totals->unsupported += a->unsupported;
}

static void queue_stopped(struct message *message)
{
	struct device_queue *q = container_of(message, struct device_queue, source.stopped);
	struct device *d = q->device;
	unsigned index = q->index;
	int rc;

	keep_totals(d, virtqueue_accounts(q->vq));
	virtqueue_release(q->vq, &vhost_user_state(d->connection)->queues[index]);
	d->queues[index] = NULL;
	free(q);
	if (!d->disconnecting) {
		rc = vhost_user_queue_stopped(d->connection, index);
		go_on(d, rc);
	} else if (!any_queue(d)) {
		finish_close(d);
	}
}

static void queue_broken(struct message *message)
{
	struct device_queue *q = container_of(message, struct device_queue, source.broken);
	struct device *d = q->device;

	log_warning("volume %s: queue %u stopped, its guest broke the rules: %s", d->name, q->index, q->source.broken_why);
	vhost_user_queue_broken(d->connection, q->index);
	commands_event(d->card, "device_broken",
		       json_pack("{s:o,s:i,s:s}", "volume_id", commands_uuid(&d->volume_id), "queue", (int)q->index, "message",
				 q->source.broken_why));
}

void connection_queue_broken(void *device, unsigned queue, const char *why)
{
	struct device *d = device;

	source_broken(&d->queues[queue]->source, why);
}

static struct visit visit(struct source *source, uint64_t now_tsc)
{
	struct device_queue *q = container_of(source, struct device_queue, source);
	struct visit v = virtqueue_visit(q->vq, now_tsc);

	if (q->memory->lost)
		source_broken(source, "the VMM took the guest's memory away (its file was truncated)");
	return v;
}

static bool arm(struct source *source)
{
	return virtqueue_arm(container_of(source, struct device_queue, source)->vq);
}

static void disarm(struct source *source)
{
	virtqueue_disarm(container_of(source, struct device_queue, source)->vq);
}

static void stop(struct source *source)
{
	virtqueue_stop(container_of(source, struct device_queue, source)->vq);
}

static bool stopped(const struct source *source)
{
	return virtqueue_stopped(container_of(source, struct device_queue, source)->vq);
}

static const struct source_ops source_ops = {.visit = visit, .arm = arm, .disarm = disarm, .stop = stop, .stopped = stopped};

static int queue_start(void *device, unsigned index)
{
	struct device *d = device;
	struct vhost_user *v = d->connection;
	struct device_queue *q;
	int rc;

	if (index >= d->queues_max || d->queues[index] != NULL)
		return -EINVAL;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return -ENOMEM;
	q->device = d;
	q->index = index;
	q->source.ops = &source_ops;
	q->memory = vhost_user_memory(v);
	q->source.kick_fd = vhost_user_fds(v)->kick[index];
	q->source.call_fd = vhost_user_call_fd(v, index);
	q->source.err_fd = vhost_user_fds(v)->err[index];
	q->source.stopped.run = queue_stopped;
	q->source.broken.run = queue_broken;
	rc = virtio_blk_queue_start(d->blk, d->poller->worker, index, vhost_user_state(v), vhost_user_memory(v),
				    vhost_user_inflight(v, index), q->source.call_fd, clock_tsc(), &q->vq);
	if (rc < 0) {
		log_warning("volume %s: queue %u cannot be served: %s", d->name, index, strerror(-rc));
		free(q);
		return rc;
	}
	d->queues[index] = q;
	poller_add(d->poller, &q->source);
	return 0;
}

static void queue_stop(void *device, unsigned index)
{
	struct device *d = device;
	struct device_queue *q = d->queues[index];

	if (q == NULL || q->removing)
		return;
	q->removing = true;
	poller_remove(d->poller, &q->source);
}

static void queue_call(void *device, unsigned index)
{
	struct device *d = device;

	if (d->queues[index] != NULL && !d->queues[index]->removing)
		poller_call(d->poller, &d->queues[index]->source);
}

static int config_read(void *device, uint32_t offset, void *data, uint32_t size)
{
	struct device *d = device;

	return virtio_blk_config_read(d->blk, vhost_user_state(d->connection), offset, data, size);
}

static int config_write(void *device, uint32_t offset, const void *data, uint32_t size)
{
	struct device *d = device;

	return virtio_blk_config_write(d->blk, vhost_user_state(d->connection), offset, data, size);
}

static void features_changed(void *device)
{
	(void)device; /* a queue reads the features when it starts */
}

static const struct vhost_user_ops ops = {
	.config_read = config_read,
	.config_write = config_write,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_call = queue_call,
	.features_changed = features_changed,
};

/* ---- life ---- */

static void client_ready(struct watch *watch, uint32_t events)
{
	struct device *d = container_of(watch, struct device, client);

	if ((events & EPOLLIN) != 0)
		go_on(d, vhost_user_readable(d->connection));
	else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
		go_on(d, -ECONNRESET); /* gone while a queue is being stopped for it */
}

static bool hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void connection_tick(struct card *card)
{
	for (unsigned i = 0; i < CARD_BUCKETS; i++)
		list_for_each_safe (node, after, &card->devices[i]) {
			struct device *d = list_entry(node, struct device, link);

			if (d->accepted > 0 && d->listen.fd >= 0)
				loop_change(&card->loop, &d->listen, EPOLLIN);
			d->accepted = 0;
		}
}

static void listen_ready(struct watch *watch, uint32_t events)
{
	struct device *d = container_of(watch, struct device, listen);
	struct vhost_user_config config = {
		.name = d->name,
		.features = virtio_blk_features(d->blk),
		.queues_max = d->queues_max,
		.config_size = VIRTIO_BLK_CONFIG_BYTES,
		.ops = &ops,
		.device = d,
	};
	int rc;

	(void)events;
	if (d->connection != NULL && (d->disconnecting || hung_up(d->client.fd))) {
		loop_change(&d->card->loop, &d->listen, 0); /* a successor may wait in the backlog until the old one is gone */
		return;
	}
	if (d->accepted >= CONNECTS_PER_SECOND_MAX) {
		loop_change(&d->card->loop, &d->listen, 0); /* until the next tick */
		return;
	}
	d->accepted++;
	config.socket = accept4(d->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (config.socket < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			d->accepted = CONNECTS_PER_SECOND_MAX; /* it stays readable, and asking again at once helps nobody */
		return;
	}
	if (d->shunned) {
		discard(config.socket);
		return;
	}
	if (d->connection != NULL) {
		log_warning("volume %s: a second VMM tried to connect to %s and was turned away", d->name, d->socket.path);
		discard(config.socket);
		return;
	}
	rc = vhost_user_create(&d->connection, &config);
	if (rc == 0)
		rc = loop_add(&d->card->loop, &d->client, config.socket, EPOLLIN);
	if (rc < 0) {
		log_warning("volume %s: connection refused: %s", d->name, strerror(-rc));
		if (d->connection != NULL)
			vhost_user_free(d->connection);
		else
			discard(config.socket);
		d->connection = NULL;
		return;
	}
	d->phase = DEVICE_CONNECTED;
	d->connects++;
	log_info("volume %s: a VMM connected", d->name);
	commands_event(d->card, "device", json_pack("{s:o,s:s}", "volume_id", commands_uuid(&d->volume_id), "state", "connected"));
}

void connection_listen(struct device *d, int listen_fd)
{
	d->listen.ready = listen_ready;
	d->client.ready = client_ready;
	if (loop_add(&d->card->loop, &d->listen, listen_fd, EPOLLIN) < 0)
		log_error("volume %s: cannot watch its socket", d->name);
}

void connection_close(struct device *d)
{
	if (d->disconnecting)
		return;
	d->disconnecting = true;
	loop_remove(&d->card->loop, &d->client);
	for (unsigned i = 0; i < d->queues_max; i++)
		if (d->queues[i] != NULL)
			queue_stop(d, i);
	if (!any_queue(d))
		finish_close(d);
}
