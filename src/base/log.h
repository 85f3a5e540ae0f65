/*
 * One line a message to standard error, with the syslog level that journald understands (sd-daemon(3), "<3>text") when standard
 * error is the journal, and with time, level and process name for a person otherwise. Not for the data path: a poller may log
 * only a change of state (rate-limited by its nature). A message says what happened, to what, and what to do.
 */
#ifndef OUTBOARD_BASE_LOG_H
#define OUTBOARD_BASE_LOG_H

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

void log_open(const char *process_name, enum log_level level_max); /* once, in main(), before threads */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
