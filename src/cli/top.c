/*
 * `outboard top`: where requests wait. A line a queue of the path, the busiest device first, below the NICs (top_net.c); a screen
 * that is drawn anew each interval, or once for scripts.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/output.h"
#include "cli/rate.h"
#include "cli/stats.h"
#include "cli/top_net.h"

enum { COLUMNS = 11, INTERVAL_MAX_S = 3600 };

static const struct cli_option options[] = {
	{"once", 'n', CLI_FLAG, NULL, "one interval, then end", false},
	{"interval", 'i', CLI_NUMBER, "SECONDS", "how long to measure (default: 1)", false},
	{"all", 'a', CLI_FLAG, NULL, "devices that never worked, too", false},
	{0},
};

/* Set by the signal handler alone. */
static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

/* Three digits: "1.00", "12.3", "870". */
static void format_digits(double value, const char *unit, char text[16])
{
	snprintf(text, 16, "%.*f%s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit);
}

/* "870ns", "12.3us", "4.56ms", "1.20s": a line of the table fits 80 columns */
static void format_ns(uint64_t ns, char text[16])
{
	if (ns < 1000)
		snprintf(text, 16, "%uns", (unsigned)ns);
	else if (ns < 1000000)
		format_digits((double)ns / 1e3, "us", text);
	else if (ns < 1000000000)
		format_digits((double)ns / 1e6, "ms", text);
	else
		format_digits((double)ns / 1e9, "s", text);
}

static double real(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static void add_wait(struct text_table *table, const json_t *stage, const char *name)
{
	uint64_t ns = field_number(json_object_get(stage, "wait_ns"), name);
	char text[16];

	format_ns(ns, text);
	table_add(table, "%s", ns == 0 ? "-" : text);
}

/* How well the three measured numbers of this queue agree: see stats.h. */
static void add_littles_law(struct text_table *table, const json_t *stage)
{
	double occupancy = real(stage, "occupancy"), expected = real(stage, "littles_law_occupancy");

	if (occupancy <= 0 || expected <= 0)
		table_add(table, "-");
	else
		table_add(table, "%.0f", 100 * expected / occupancy);
}

static void add_stage(struct text_table *table, const char *volume, const char *queue, const json_t *stage)
{
	char rate[RATE_TEXT_SIZE];

	rate_format_short(real(stage, "rate_per_s"), rate);
	table_add(table, "%s", volume);
	table_add(table, "%s", queue);
	table_add(table, "%s", field_text(stage, "name"));
	table_add(table, "%s", rate);
	table_add(table, "%.1f", real(stage, "mib_per_s"));
	table_add(table, "%.2f", real(stage, "occupancy"));
	add_wait(table, stage, "p50");
	add_wait(table, stage, "p99");
	add_wait(table, stage, "p999");
	add_wait(table, stage, "max");
	add_littles_law(table, stage);
}

static void add_device(struct text_table *table, const json_t *device)
{
	const json_t *queues = json_object_get(device, "queues"), *stages = json_object_get(device, "stages");
	const char *volume = field_text(device, "volume");

	for (size_t i = 0; i < json_array_size(queues); i++) {
		const json_t *queue = json_array_get(queues, i), *of_queue = json_object_get(queue, "stages");
		char index[24];

		snprintf(index, sizeof(index), "%llu", (unsigned long long)field_number(queue, "index"));
		for (size_t j = 0; j < json_array_size(of_queue); j++)
			add_stage(table, volume, index, json_array_get(of_queue, j));
	}
	for (size_t i = 0; i < json_array_size(stages); i++)
		add_stage(table, volume, "all", json_array_get(stages, i));
}

static double device_rate(const json_t *device)
{
	const json_t *queues = json_object_get(device, "queues");
	double rate = 0;

	for (size_t i = 0; i < json_array_size(queues); i++)
		rate += real(json_array_get(json_object_get(json_array_get(queues, i), "stages"), 0), "rate_per_s");
	return rate;
}

static int by_rate(const void *a, const void *b)
{
	double left = device_rate(*(json_t *const *)a), right = device_rate(*(json_t *const *)b);

	return (right > left) - (right < left);
}

static void write_devices(const json_t *devices, FILE *out)
{
	static const char *const headings[COLUMNS] = {"VOLUME", ">Q",	"STAGE",  ">IO/s", ">MIB/s", ">INSIDE",
						      ">p50",	">p99", ">p99.9", ">MAX",  ">L=RW"};
	struct text_table *table = table_new(COLUMNS, headings);
	size_t count = json_array_size(devices);
	json_t **sorted = calloc(count + 1, sizeof(json_t *));

	for (size_t i = 0; sorted != NULL && i < count; i++)
		sorted[i] = json_array_get(devices, i);
	if (sorted != NULL) {
		qsort(sorted, count, sizeof(json_t *), by_rate);
		for (size_t i = 0; i < count; i++)
			add_device(table, sorted[i]);
	}
	free(sorted);
	table_print(table, out);
}

static void write_screen(const json_t *stats, FILE *out)
{
	const json_t *pollers = json_object_get(stats, "pollers"), *devices = json_object_get(stats, "devices");

	for (size_t i = 0; i < json_array_size(pollers); i++) {
		const json_t *poller = json_array_get(pollers, i);
		char gap[16];

		format_ns(field_number(poller, "service_gap_max_ns"), gap);
		fprintf(out, "poller on core %llu: %5.1f %% busy, %llu of %llu queues active, worst service gap %s\n",
			(unsigned long long)field_number(poller, "core"), 100 * real(poller, "busy_share"),
			(unsigned long long)field_number(poller, "active"), (unsigned long long)field_number(poller, "queues"),
			gap);
	}
	top_write_network(stats, out);
	if (json_array_size(devices) > 0) {
		fputc('\n', out);
		write_devices(devices, out);
	}
	if (json_array_size(devices) + json_array_size(json_object_get(stats, "enis")) == 0)
		fprintf(out, "\nNo device has worked yet (--all shows those that wait).\n");
}

/* As many lines as the terminal has, each cleared to its end, and nothing below. */
static void draw(const json_t *stats)
{
	struct winsize window = {.ws_row = 0};
	char *text = NULL, *line, *rest;
	size_t size;
	unsigned rows;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return;
	write_screen(stats, out);
	fclose(out);
	rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 2 ? window.ws_row - 1u : 1000;
	fputs("\033[H", stdout);
	rest = text;
	while (rows-- > 0 && (line = strsep(&rest, "\n")) != NULL)
		printf("%.*s\033[K\n", window.ws_col > 0 ? (int)window.ws_col : 1000, line);
	fputs("\033[J", stdout);
	fflush(stdout);
	free(text);
}

static int snapshot(const struct cli *cli, json_t **out)
{
	return api_call(cli, "GET", NULL, out, "/v1/cards/local/stats%s", cli_flag(cli, "all") ? "?all=1" : "");
}

/* Shows one interval. 0 or the exit status; -1 when it was interrupted. */
static int interval(const struct cli *cli, json_t **older, unsigned seconds, bool once)
{
	struct timespec pause = {.tv_sec = seconds};
	json_t *newer, *stats;
	int status;

	if (nanosleep(&pause, NULL) != 0 && ended)
		return -1;
	status = snapshot(cli, &newer);
	if (status != 0)
		return status;
	stats = stats_between(*older, newer);
	json_decref(*older);
	*older = newer;
	if (stats == NULL)
		return cli_fail(cli, "protocol", "the card's counters are not in a form that this command knows");
	if (cli->json)
		print_json(stats);
	else if (once)
		write_screen(stats, stdout);
	else
		draw(stats);
	json_decref(stats);
	return 0;
}

static int top(struct cli *cli)
{
	bool once = cli_flag(cli, "once") || cli->json || !isatty(STDOUT_FILENO);
	uint64_t seconds = cli_number(cli, "interval", 1);
	struct sigaction action = {.sa_handler = on_signal};
	json_t *older;
	int status;

	if (seconds < 1 || seconds > INTERVAL_MAX_S)
		return cli_usage(cli, "--interval must be 1 to %d seconds", INTERVAL_MAX_S);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = snapshot(cli, &older);
	if (status != 0)
		return status;
	if (!once)
		fputs("\033[?25l\033[H\033[J", stdout); /* no cursor, an empty screen */
	do
		status = interval(cli, &older, (unsigned)seconds, once);
	while (status == 0 && !once && !ended);
	if (!once)
		fputs("\033[?25h", stdout);
	json_decref(older);
	return status < 0 ? 0 : status;
}

const struct cli_command command_top = {
	.name = "top",
	.summary = "Live: every NIC, and every queue of every disk and where requests wait",
	.options = options,
	.details = "Of the network: packets and bits a second of each ENI (IN is to the guest) and each wire, packets\n"
		   "dropped a second, flows; and what a packet costs in cycles, by stage of the pipeline.\n"
		   "Of disks, one line a queue of the path: \"ring\" is from the guest's submission to the card's read,\n"
		   "\"device\" from there to completion; for a volume as a whole \"held\" is the wait for its\n"
		   "allowance (--iops, --throughput), \"backend\" the storage. INSIDE is the mean number of\n"
		   "requests in it, waits are of what left it in the interval (upper edges of histogram\n"
		   "buckets at most 25 % wide), MAX is since the card started. L=RW is Little's law: rate times\n"
		   "mean wait, in percent of INSIDE; near 100 means that the numbers can be believed.",
	.examples = "  outboard top\n"
		    "  outboard top --once --interval 10\n"
		    "  outboard top --json | jq '.pollers[].busy_share'",
	.run = top,
};
