#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 1024 };

/* Written once by log_open() before threads start. */
static const char *name = "outboard";
static enum log_level level_shown = LOG_LEVEL_INFO;
static bool to_journal;

void log_open(const char *process_name, enum log_level level_max)
{
	name = process_name;
	level_shown = level_max;
	to_journal = getenv("JOURNAL_STREAM") != NULL;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error: ";
	case LOG_LEVEL_WARNING:
		return "warning: ";
	case LOG_LEVEL_DEBUG:
		return "debug: ";
	case LOG_LEVEL_INFO:
		break;
	}
	return "";
}

static int write_prefix(char *line, size_t size, enum log_level level)
{
	struct timespec now;
	struct tm tm;
	char date[32];

	if (to_journal)
		return snprintf(line, size, "<%d>", (int)level);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof(date), "%H:%M:%S", &tm);
	return snprintf(line, size, "%s.%03ld %s: %s", date, now.tv_nsec / 1000000, name, level_name(level));
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	int saved_errno = errno, length, more;
	va_list args;

	if (level > level_shown)
		return;
	length = write_prefix(line, sizeof(line), level);
	va_start(args, format);
	more = vsnprintf(line + length, sizeof(line) - (size_t)length - 1, format, args);
	va_end(args);
	length += more < 0 ? 0 : more;
	if (length > LOG_LINE_MAX - 2)
		length = LOG_LINE_MAX - 2;
	for (int i = 0; i < length; i++) /* a name from outside must not forge a line */
		if (line[i] == '\n' || line[i] == '\r' || line[i] == '\033')
			line[i] = '?';
	line[length++] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)length);
	errno = saved_errno;
}
