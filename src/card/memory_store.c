#include "card/memory_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/inherited.h"
#include "base/log.h"

struct memory_store {
	struct list link;
	struct uuid volume;
	int fd;
};

static const char prefix[] = "volume-";

static void store_name(const struct uuid *volume, char name[64])
{
	char text[UUID_TEXT_SIZE];

	uuid_format(volume, text);
	snprintf(name, 64, "%s%s", prefix, text);
}

static int insert(struct card *card, const struct uuid *volume, int fd)
{
	struct memory_store *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->volume = *volume;
	m->fd = fd;
	list_add_tail(&card->memories, &m->link);
	return 0;
}

static void inherit_one(void *context, const char *name, int fd)
{
	struct uuid volume;

	if (uuid_parse(name + sizeof(prefix) - 1, &volume) != 0 || insert(context, &volume, fd) != 0)
		close(fd);
}

void memory_store_inherit(struct card *card)
{
	inherited_each(prefix, inherit_one, card);
}

static struct memory_store *find(struct card *card, const struct uuid *volume)
{
	list_for_each_safe (node, after, &card->memories) {
		struct memory_store *m = list_entry(node, struct memory_store, link);

		if (memcmp(&m->volume, volume, sizeof(*volume)) == 0)
			return m;
	}
	return NULL;
}

int memory_store_find(struct card *card, const struct uuid *volume)
{
	struct memory_store *m = find(card, volume);

	return m == NULL ? -ENOENT : m->fd;
}

int memory_store_add(struct card *card, const struct uuid *volume, int fd)
{
	char name[64];
	int rc = insert(card, volume, fd);

	if (rc < 0)
		return rc;
	store_name(volume, name);
	rc = notify_store_fd(name, fd);
	if (rc < 0)
		log_warning("memory volume %s would not survive a restart of the card: its descriptor was not kept (%s)",
			    name + sizeof(prefix) - 1, strerror(-rc));
	return 0;
}

static void forget(struct memory_store *m)
{
	list_del(&m->link);
	close(m->fd);
	free(m);
}

void memory_store_remove(struct card *card, const struct uuid *volume)
{
	struct memory_store *m = find(card, volume);
	char name[64];

	if (m == NULL)
		return;
	store_name(volume, name);
	notify_remove_fd(name);
	forget(m);
}

void memory_store_close(struct card *card)
{
	list_for_each_safe (node, after, &card->memories)
		forget(list_entry(node, struct memory_store, link));
}
