/*
 * DPDK's environment as a guest in our process: no files, no workers, no telemetry, no PCI unless it is asked for.
 *
 * EAL wants a whole process: it pins the thread that calls it, starts an interrupt thread, and writes to standard error. Ours has
 * its own threads, so the caller gets back its affinity and signal mask, and log lines come to log.h through a stream of our own.
 * Pollers are not EAL's: they register themselves when they first touch a wire (wire_dpdk.c).
 *
 * Memory. Without huge pages it is one anonymous mapping of `memory_mib`, of which the kernel takes what is touched. EAL cannot try
 * again after a failure, so whether there are huge pages is looked up before.
 */
#include "vpc/eal_dpdk.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_alarm.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "base/log.h"

enum { ARGUMENTS_MAX = 20, ARGUMENT_SIZE = 64 };

/* One environment a process: this is main()'s, as DPDK's own state is. */
static FILE *log_stream;
static char last_line[EAL_LINE_SIZE];
static bool is_open;

static enum log_level level_of(int dpdk_level)
{
	if (dpdk_level <= (int)RTE_LOG_ERR)
		return LOG_LEVEL_ERROR;
	return dpdk_level == (int)RTE_LOG_WARNING ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG;
}

/* DPDK flushes after each message, so a call is a message. What fails while a wire is opened is said in the error of that; as a log
 * line it is a detail. */
static ssize_t take_line(void *cookie, const char *text, size_t size)
{
	size_t length = size;
	enum log_level level = level_of(rte_log_cur_msg_loglevel());

	(void)cookie;
	while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
		length--;
	if (level <= LOG_LEVEL_WARNING)
		snprintf(last_line, sizeof(last_line), "%.*s", (int)length, text);
	log_debug("DPDK: %.*s", (int)length, text);
	return (ssize_t)size;
}

const char *eal_last_line(void)
{
	return last_line;
}

void eal_forget_line(void)
{
	last_line[0] = '\0';
}

static uint64_t free_huge_bytes(const char *folder, uint64_t page_bytes)
{
	unsigned long long pages = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages", folder);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * page_bytes;
}

static bool has_huge_pages(unsigned memory_mib)
{
	uint64_t free = free_huge_bytes("hugepages-2048kB", 2 << 20) + free_huge_bytes("hugepages-1048576kB", 1 << 30);

	return free >= (uint64_t)memory_mib << 20;
}

struct arguments {
	char text[ARGUMENTS_MAX][ARGUMENT_SIZE];
	char *list[ARGUMENTS_MAX + 1];
	int count;
};

static void argument_add(struct arguments *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void argument_add(struct arguments *a, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(a->text[a->count], ARGUMENT_SIZE, format, values);
	va_end(values);
	a->list[a->count] = a->text[a->count];
	a->count++;
}

static void arguments_make(struct arguments *a, const struct eal_config *config, unsigned memory_mib)
{
	memset(a, 0, sizeof(*a));
	argument_add(a, "outboard-card");
	if (config->huge && has_huge_pages(memory_mib)) {
		argument_add(a, "--in-memory");
	} else {
		/* EAL does not take --in-memory beside it; this leaves an empty folder in /run/dpdk. */
		argument_add(a, "--no-huge");
		argument_add(a, "--no-shconf");
		argument_add(a, "--file-prefix=outboard");
	}
	argument_add(a, "-m");
	argument_add(a, "%u", memory_mib);
	argument_add(a, "--iova-mode=va");
	argument_add(a, "--no-telemetry");
	/* Only what a wire names is probed, when it is opened. */
	argument_add(a, config->pci ? "--allow=0000:00:00.0" : "--no-pci");
	argument_add(a, "--lcores=0@%d", config->core);
}

int eal_open(const struct eal_config *config, char *error, size_t error_size)
{
	static const cookie_io_functions_t functions = {.write = take_line};
	unsigned memory_mib = config->memory_mib != 0 ? config->memory_mib : EAL_MEMORY_MIB_DEFAULT;
	struct arguments arguments;
	cpu_set_t affinity;
	sigset_t mask;
	int rc;

	if (is_open) {
		snprintf(error, error_size, "DPDK is open already in this process");
		return -EALREADY;
	}
	log_stream = fopencookie(NULL, "w", functions);
	if (log_stream == NULL) {
		snprintf(error, error_size, "DPDK's log cannot be opened: %s", strerror(errno));
		return -ENOMEM;
	}
	rte_openlog_stream(log_stream);
	arguments_make(&arguments, config, memory_mib);
	pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	eal_forget_line();
	rc = rte_eal_init(arguments.count, arguments.list);
	pthread_setaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (rc < 0) {
		snprintf(error, error_size, "DPDK does not start: %s%s%s", rte_strerror(rte_errno),
			 last_line[0] != '\0' ? ": " : "", last_line);
		return rte_errno != 0 ? -rte_errno : -EIO;
	}
	is_open = true;
	return 0;
}

struct errand {
	int (*run)(void);
	int result;
	sem_t done;
};

static void run_errand(void *argument)
{
	struct errand *errand = argument;

	errand->result = errand->run();
	sem_post(&errand->done);
}

/* EAL's alarms are called on that thread. */
int eal_on_interrupt_thread(int (*run)(void))
{
	struct errand errand = {.run = run};
	int rc;

	sem_init(&errand.done, 0, 0);
	rc = rte_eal_alarm_set(1, run_errand, &errand);
	while (rc == 0 && sem_wait(&errand.done) != 0)
		;
	sem_destroy(&errand.done);
	return rc < 0 ? rc : errand.result;
}

void eal_close(void)
{
	if (!is_open)
		return;
	rte_eal_cleanup();
	is_open = false;
	rte_openlog_stream(NULL);
	fclose(log_stream);
	log_stream = NULL;
}
