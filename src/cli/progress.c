#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"

enum { BAR_WIDTH = 30 };

void progress_start(struct progress *p, FILE *out, bool terminal, const char *what, uint64_t size_bytes)
{
	*p = (struct progress){.out = out, .terminal = terminal, .what = what, .size_bytes = size_bytes, .shown = -1};
	p->start_ns = clock_monotonic_ns();
	progress_update(p, 0, p->start_ns);
}

static void draw_bar(const struct progress *p, double percent, uint64_t elapsed_ns)
{
	uint64_t done_bytes = (uint64_t)((double)p->size_bytes * percent / 100), rate_bytes = 0;
	char done[SIZE_TEXT_SIZE], size[SIZE_TEXT_SIZE], rate[SIZE_TEXT_SIZE], bar[BAR_WIDTH + 1];

	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', (size_t)(percent * BAR_WIDTH / 100));
	bar[BAR_WIDTH] = '\0';
	size_format(done_bytes, done);
	size_format(p->size_bytes, size);
	fprintf(p->out, "\r%s [%s] %3.0f %%  %s of %s", p->what, bar, percent, done, size);
	if (elapsed_ns > 0)
		rate_bytes = (uint64_t)((double)done_bytes * 1e9 / (double)elapsed_ns);
	if (rate_bytes > 0) {
		size_format(rate_bytes, rate);
		fprintf(p->out, ", %s/s, %llu s left", rate, (unsigned long long)((p->size_bytes - done_bytes) / rate_bytes));
	}
	fputs("\033[K", p->out);
	fflush(p->out);
}

void progress_update(struct progress *p, double percent, uint64_t now_ns)
{
	int step;

	if (p->out == NULL)
		return;
	if (percent < 0)
		percent = 0;
	if (percent > 100)
		percent = 100;
	step = p->terminal ? (int)percent : (int)percent / 10 * 10;
	if (step <= p->shown) /* it never goes back */
		return;
	p->shown = step;
	if (p->terminal)
		draw_bar(p, percent, now_ns - p->start_ns);
	else
		fprintf(p->out, "%s: %d %%\n", p->what, step);
}

void progress_end(struct progress *p)
{
	if (p->out != NULL && p->terminal)
		fputc('\n', p->out);
}

bool progress_parse(const char *text, double *percent)
{
	const char *found = NULL;
	double last = 0;

	for (const char *open = strchr(text, '('); open != NULL; open = strchr(open + 1, '(')) {
		char *end;
		double value = strtod(open + 1, &end);

		if (end != open + 1 && strncmp(end, "/100%)", 6) == 0) {
			found = open;
			last = value;
		}
	}
	if (found != NULL)
		*percent = last;
	return found != NULL;
}
