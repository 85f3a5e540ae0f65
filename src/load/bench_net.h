/*
 * `outboard bench net`: a virtio-net driver that loads and measures any vhost-user-net back end — ours, Open vSwitch's, testpmd's.
 * Parses the options after "bench net" (argv[0] is ignored; `--help` explains them), runs, reports on standard output (text, or one
 * JSON object with --json); progress and errors go to standard error.
 *
 * Returns the exit status: 0 when it ran to its end, 1 when the back end failed, nothing arrived at the second socket, checksums
 * were wrong or it was interrupted, 2 for options that make no sense.
 */
#ifndef OUTBOARD_LOAD_BENCH_NET_H
#define OUTBOARD_LOAD_BENCH_NET_H

int bench_net_main(int argc, char **argv);

#endif
