#include "card/vhost_device.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "virtio/discard.h"

/* Each costs log lines and events, and a VMM may connect for ever. */
enum { CONNECTS_PER_SECOND_MAX = 20 };

static bool any_queue(const struct vhost_device *d)
{
	for (unsigned i = 0; i < d->queues_max; i++)
		if (d->queues[i] != NULL)
			return true;
	return false;
}

static void finish_close(struct vhost_device *d)
{
	vhost_user_free(d->connection);
	d->connection = NULL;
	d->disconnecting = false;
	if (d->listen.fd >= 0)
		loop_change(&d->card->loop, &d->listen, EPOLLIN); /* listen_ready may have put a successor off */
	d->ops->disconnected(d);
}

/* What vhost_user_readable and vhost_user_queue_stopped return. */
static void go_on(struct vhost_device *d, int rc)
{
	if (rc < 0) {
		if (rc == -ECONNRESET)
			log_info("%s %s: the VMM disconnected", d->ops->kind, d->name);
		vhost_device_close(d);
	} else {
		loop_change(&d->card->loop, &d->client, rc == 0 ? EPOLLIN : 0);
	}
}

/* ---- queues ---- */

static void queue_stopped(struct message *message)
{
	struct vhost_queue *q = container_of(message, struct vhost_queue, source.stopped);
	struct vhost_device *d = q->device;
	unsigned index = q->index;

	d->queues[index] = NULL;
	d->ops->queue_release(q, &vhost_user_state(d->connection)->queues[index]);
	if (!d->disconnecting)
		go_on(d, vhost_user_queue_stopped(d->connection, index));
	else if (!any_queue(d))
		finish_close(d);
}

static void queue_broken(struct message *message)
{
	struct vhost_queue *q = container_of(message, struct vhost_queue, source.broken);
	struct vhost_device *d = q->device;

	log_warning("%s %s: queue %u stopped, its guest broke the rules: %s", d->ops->kind, d->name, q->index,
		    q->source.broken_why);
	vhost_user_queue_broken(d->connection, q->index);
	d->ops->queue_broken(d, q->index, q->source.broken_why);
}

static int queue_start(void *device, unsigned index)
{
	struct vhost_device *d = device;
	struct vhost_queue *q;
	int rc;

	if (index >= d->queues_max || d->queues[index] != NULL)
		return -EINVAL;
	rc = d->ops->queue_start(d, index, &q);
	if (rc < 0) {
		log_warning("%s %s: queue %u cannot be served: %s", d->ops->kind, d->name, index, strerror(-rc));
		return rc;
	}
	q->device = d;
	q->index = index;
	q->source.kick_fd = vhost_user_fds(d->connection)->kick[index];
	q->source.call_fd = vhost_user_call_fd(d->connection, index);
	q->source.err_fd = vhost_user_fds(d->connection)->err[index];
	q->source.stopped.run = queue_stopped;
	q->source.broken.run = queue_broken;
	d->queues[index] = q;
	poller_add(d->poller, &q->source);
	return 0;
}

static void queue_stop(void *device, unsigned index)
{
	struct vhost_device *d = device;
	struct vhost_queue *q = d->queues[index];

	if (q == NULL || q->removing)
		return;
	q->removing = true;
	poller_remove(d->poller, &q->source);
}

static void queue_call(void *device, unsigned index)
{
	struct vhost_device *d = device;

	if (d->queues[index] != NULL && !d->queues[index]->removing)
		poller_call(d->poller, &d->queues[index]->source);
}

static int config_read(void *device, uint32_t offset, void *data, uint32_t size)
{
	struct vhost_device *d = device;

	return d->ops->config_read(d, offset, data, size);
}

static int config_write(void *device, uint32_t offset, const void *data, uint32_t size)
{
	struct vhost_device *d = device;

	return d->ops->config_write(d, offset, data, size);
}

static void features_changed(void *device)
{
	(void)device; /* a queue reads the features when it starts */
}

static const struct vhost_user_ops vhost_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_call = queue_call,
	.features_changed = features_changed,
};

/* ---- the connection ---- */

static void client_ready(struct watch *watch, uint32_t events)
{
	struct vhost_device *d = container_of(watch, struct vhost_device, client);

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

static void connect_vmm(struct vhost_device *d, int socket)
{
	struct vhost_user_config config = {
		.name = d->name,
		.socket = socket,
		.queues_max = d->queues_max,
		.ops = &vhost_ops,
		.device = d,
	};
	int rc;

	d->ops->describe(d, &config);
	rc = vhost_user_create(&d->connection, &config);
	if (rc == 0)
		rc = loop_add(&d->card->loop, &d->client, socket, EPOLLIN);
	if (rc < 0) {
		log_warning("%s %s: connection refused: %s", d->ops->kind, d->name, strerror(-rc));
		if (d->connection != NULL)
			vhost_user_free(d->connection);
		else
			discard(socket);
		d->connection = NULL;
		return;
	}
	d->connects++;
	log_info("%s %s: a VMM connected", d->ops->kind, d->name);
	d->ops->connected(d);
}

static void listen_ready(struct watch *watch, uint32_t events)
{
	struct vhost_device *d = container_of(watch, struct vhost_device, listen);
	int socket;

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
	socket = accept4(d->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (socket < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			d->accepted = CONNECTS_PER_SECOND_MAX; /* it stays readable, and asking again at once helps nobody */
		return;
	}
	if (d->shunned) {
		discard(socket);
		return;
	}
	if (d->connection != NULL) {
		log_warning("%s %s: a second VMM tried to connect to %s and was turned away", d->ops->kind, d->name,
			    d->socket.path);
		discard(socket);
		return;
	}
	connect_vmm(d, socket);
}

/* ---- life ---- */

void vhost_device_init(struct vhost_device *d, struct card *card, struct poller *poller, const struct vhost_device_ops *ops,
		       const char *name)
{
	d->ops = ops;
	d->card = card;
	d->poller = poller;
	d->name = name;
	d->listen = (struct watch){.fd = -1, .ready = listen_ready};
	d->client = (struct watch){.fd = -1, .ready = client_ready};
	list_add_tail(&card->vhost_devices, &d->link);
}

int vhost_device_listen(struct vhost_device *d, char *error, size_t error_size)
{
	int fd = listen_open(&d->socket, error, error_size), rc;

	if (fd < 0)
		return fd;
	rc = loop_add(&d->card->loop, &d->listen, fd, EPOLLIN);
	if (rc < 0) {
		snprintf(error, error_size, "cannot watch %s: %s", d->socket.path, strerror(-rc));
		close(fd);
		unlink(d->socket.path);
	}
	return rc;
}

void vhost_device_unlisten(struct vhost_device *d)
{
	int fd = d->listen.fd;

	if (fd < 0)
		return;
	loop_remove(&d->card->loop, &d->listen);
	discard(fd); /* VMMs may wait in its backlog */
	unlink(d->socket.path);
}

void vhost_device_close(struct vhost_device *d)
{
	if (d->disconnecting)
		return;
	d->disconnecting = true;
	loop_remove(&d->card->loop, &d->client);
	for (unsigned i = 0; i < d->queues_max; i++)
		queue_stop(d, i);
	if (!any_queue(d))
		finish_close(d);
}

void vhost_device_forget(struct vhost_device *d)
{
	list_del(&d->link);
}

/* ---- all of them ---- */

void vhost_device_shun(struct vhost_device *d)
{
	log_warning("%s %s: cut off: its VMM made the card hang by filling an eventfd; detach and attach it to serve it again",
		    d->ops->kind, d->name);
	d->shunned = true;
	vhost_device_close(d);
}

struct vhost_device *vhost_device_by_eventfd(struct card *card, int fd)
{
	list_for_each_safe (node, after, &card->vhost_devices) {
		struct vhost_device *d = list_entry(node, struct vhost_device, link);

		for (unsigned i = 0; i < d->queues_max; i++) {
			const struct vhost_queue *q = d->queues[i];

			if (q != NULL && (q->source.call_fd == fd || q->source.err_fd == fd))
				return d;
		}
	}
	return NULL;
}

void vhost_device_tick(struct card *card)
{
	list_for_each_safe (node, after, &card->vhost_devices) {
		struct vhost_device *d = list_entry(node, struct vhost_device, link);

		if (d->accepted > 0 && d->listen.fd >= 0)
			loop_change(&card->loop, &d->listen, EPOLLIN);
		d->accepted = 0;
	}
}
