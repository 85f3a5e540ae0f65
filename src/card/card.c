#include "card/card.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/inherited.h"
#include "base/log.h"
#include "card/device.h"
#include "card/eni.h"
#include "card/memory_store.h"
#include "card/sandbox_card.h"
#include "virtio/discard.h"

static void signal_ready(struct watch *watch, uint32_t events)
{
	struct card *card = container_of(watch, struct card, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info) || card->stopping)
		return;
	log_info("stopping: detaching %u devices", card->device_count + card->network.eni_count);
	notify_send("STOPPING=1");
	card_stop(card);
}

void card_stop_when_empty(struct card *card)
{
	if (card->stopping && card->device_count + card->network.eni_count == 0)
		card->loop.stop = true;
}

void card_stop(struct card *card)
{
	card->stopping = true;
	device_detach_all(card);
	eni_detach_all(card);
	card_stop_when_empty(card);
}

static sigset_t ending_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return set;
}

void card_block_signals(void)
{
	sigset_t set = ending_signals();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int open_signals(struct card *card)
{
	sigset_t set = ending_signals();
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	card->signals.ready = signal_ready;
	return loop_add(&card->loop, &card->signals, fd, EPOLLIN);
}

static void vault_ready(struct watch *watch, uint32_t events)
{
	struct card *card = container_of(watch, struct card, vault);

	unwrap_ready(card);
	if ((events & (EPOLLHUP | EPOLLERR)) == 0)
		return;
	log_error("the channel to the vault was closed");
	loop_remove(&card->loop, watch);
}

static void tick(void *context)
{
	struct card *card = context;

	watchdog_tick(card);
	network_tick(card);
	if (++card->ticks % LOOP_TICKS_PER_SECOND != 0)
		return;
	vhost_device_tick(card);
	unwrap_tick(card);
	health_tick(card);
}

/* The control thread keeps off the pollers' cores, where there is another. */
static void leave_poller_cores(const struct card_config *config)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return;
	for (unsigned i = 0; i < config->core_count; i++)
		CPU_CLR((size_t)config->cores[i], &set);
	if (CPU_COUNT(&set) > 0)
		sched_setaffinity(0, sizeof(set), &set);
}

static int start_pollers(struct card *card)
{
	for (unsigned i = 0; i < card->config.core_count; i++) {
		struct poller_config config = {.index = i,
					       .core = card->config.cores[i],
					       .huge = card->config.huge,
					       .buffer_bytes = card->config.buffer_bytes,
					       .control = &card->loop.mailbox};
		int rc = poller_start(&card->pollers[i], &config);

		if (rc < 0) {
			log_error("the poller on core %d does not start: %s%s", config.core, strerror(-rc),
				  rc == -EINVAL ? "; is that core there, and allowed to this process?" : "");
			return rc;
		}
		card->poller_count++;
	}
	return 0;
}

static void set_nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int watch_channels(struct card *card)
{
	int rc;

	set_nonblocking(card->config.control_channel);
	if (card->config.vault_channel >= 0) {
		set_nonblocking(card->config.vault_channel);
		rc = unwrap_open(card);
		if (rc < 0)
			return rc;
		card->vault.ready = vault_ready;
		rc = loop_add(&card->loop, &card->vault, card->config.vault_channel, EPOLLIN);
		if (rc < 0)
			return rc;
	}
	return commands_open(card);
}

int card_run(struct card *card, const struct card_config *config)
{
	int rc;

	card->config = *config;
	list_init(&card->vhost_devices);
	list_init(&card->populating);
	list_init(&card->memories);
	list_init(&card->unwraps);
	for (unsigned i = 0; i < CARD_BUCKETS; i++)
		list_init(&card->devices[i]);
	network_init(card, &config->network);
	card->signals.fd = card->vault.fd = card->control.fd = -1;
	rc = uuid_generate(&card->incarnation);
	if (rc < 0)
		return rc;
	memory_store_inherit(card);
	rc = loop_open(&card->loop);
	if (rc < 0)
		return rc;
	card->loop.idle = device_populate_step;
	rc = open_signals(card);
	if (rc < 0)
		goto close_loop;
	rc = start_pollers(card);
	if (rc < 0)
		goto stop_pollers;
	rc = network_start(card);
	if (rc < 0)
		goto stop_pollers;
	leave_poller_cores(config);
	rc = discard_open();
	if (rc < 0)
		goto stop_pollers;
	rc = sandbox_card(config->network.wire_count > 0);
	if (rc < 0)
		goto stop_discard;
	rc = watch_channels(card);
	if (rc < 0)
		goto stop_discard;
	notify_send("READY=1");
	rc = loop_run(&card->loop, tick, card);
stop_discard:
	unwrap_close(card);
	discard_close();
stop_pollers:
	while (card->poller_count > 0)
		poller_stop(&card->pollers[--card->poller_count]);
	network_stop(card);
	memory_store_close(card);
close_loop:
	loop_close(&card->loop);
	return rc;
}
