/* Private to bench_net*.c: a run, and what is said about it. */
#ifndef OUTBOARD_LOAD_BENCH_NET_REPORT_H
#define OUTBOARD_LOAD_BENCH_NET_REPORT_H

#include "load/bench_net_options.h"

struct bench_net {
	struct bench_net_options options;
	struct net_driver drivers[NET_LOAD_ENDS_MAX];
	struct net_load_result result;
	char failure[NET_LOAD_ERROR_SIZE]; /* why it could not go on, without the name of the socket */
	unsigned culprit;		   /* whose socket that was about */
	const volatile int *interrupted;
	bool tty;
};

void bench_net_print_header(const struct bench_net *b);
void bench_net_report_text(const struct bench_net *b);
void bench_net_report_json(const struct bench_net *b);

#endif
