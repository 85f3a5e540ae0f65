/*
 * `outboard bench blk`: a virtio-blk driver that loads and measures any vhost-user-blk back end — ours, qemu-storage-daemon's,
 * SPDK's. Parses the options after "bench blk" (argv[0] is ignored; `--help` explains them), runs, reports on standard output
 * (text, or one JSON object with --json); progress and errors go to standard error.
 *
 * Returns the exit status: 0 when every request succeeded (and, with --verify, every block was the right one), 1 when one did
 * not or the back end failed, 2 for options that make no sense.
 */
#ifndef OUTBOARD_LOAD_BENCH_BLK_H
#define OUTBOARD_LOAD_BENCH_BLK_H

int bench_blk_main(int argc, char **argv);

#endif
