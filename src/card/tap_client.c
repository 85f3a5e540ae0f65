#include "card/tap_client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/log.h"

static struct tap_opening *find(struct tap_client *c, uint64_t cookie)
{
	list_for_each_safe (node, after, &c->waiting) {
		struct tap_opening *o = list_entry(node, struct tap_opening, link);

		if (o->cookie == cookie)
			return o;
	}
	return NULL;
}

static void finish(struct tap_opening *o, int fd, const struct tap_reply *reply)
{
	list_del(&o->link);
	o->done(o, fd, reply);
}

static void helper_gone(struct tap_client *c)
{
	struct tap_reply reply = {.error = -ECONNRESET, .message = "the helper that makes taps is gone; restart the card"};
	int fd = c->watch.fd;

	log_error("%s", reply.message);
	loop_remove(c->loop, &c->watch);
	close(fd);
	while (!list_empty(&c->waiting))
		finish(list_entry(c->waiting.next, struct tap_opening, link), reply.error, &reply);
}

static void ready(struct watch *watch, uint32_t events)
{
	struct tap_client *c = container_of(watch, struct tap_client, watch);
	struct tap_reply reply;
	struct tap_opening *o;
	unsigned fd_count = 0;
	int fd = -1;
	ssize_t received = channel_receive(watch->fd, &reply, sizeof(reply), &fd, 1, &fd_count);

	(void)events;
	if (received == -EAGAIN)
		return;
	if (received != sizeof(reply) || (reply.error == 0) != (fd_count == 1)) {
		if (fd_count == 1)
			close(fd);
		helper_gone(c);
		return;
	}
	reply.message[sizeof(reply.message) - 1] = '\0';
	o = find(c, reply.cookie);
	if (o != NULL)
		finish(o, reply.error == 0 ? fd : reply.error, &reply);
	else if (fd_count == 1) /* nobody waits for it any more */
		close(fd);
}

int tap_client_open(struct tap_client *c, struct loop *loop, int channel)
{
	c->loop = loop;
	c->watch = (struct watch){.fd = -1, .ready = ready};
	c->last_cookie = 0;
	list_init(&c->waiting);
	if (fcntl(channel, F_SETFL, O_NONBLOCK) != 0)
		return -errno;
	return loop_add(loop, &c->watch, channel, EPOLLIN);
}

void tap_client_close(struct tap_client *c)
{
	int fd = c->watch.fd;

	loop_remove(c->loop, &c->watch);
	if (fd >= 0)
		close(fd);
}

int tap_client_ask(struct tap_client *c, struct tap_opening *o, struct tap_request *request)
{
	int rc;

	if (c->watch.fd < 0)
		return -ECONNRESET;
	o->cookie = request->cookie = ++c->last_cookie;
	rc = channel_send(c->watch.fd, request, sizeof(*request), NULL, 0);
	if (rc == 0)
		list_add_tail(&c->waiting, &o->link);
	return rc;
}

void tap_client_cancel(struct tap_opening *o)
{
	list_del(&o->link);
}
