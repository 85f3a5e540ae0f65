/*
 * Many idle guests in one process: reads socket paths from standard input, one a line, connects to each as a driver with one queue,
 * says "ready" for each, and holds them until it is terminated.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "load/blk_driver.h"

enum { DEPTH = 8, RING_SIZE = 128, PATH_BYTES_MAX = 256 };

int main(void)
{
	const struct blk_driver_config config = {.queue_count = 1, .depth = DEPTH, .data_bytes = 4096, .ring_size_min = RING_SIZE};
	char path[PATH_BYTES_MAX];

	clock_calibrate();
	while (fgets(path, sizeof(path), stdin) != NULL) {
		struct blk_driver *driver = calloc(1, sizeof(*driver)); /* held until the end of the process */

		path[strcspn(path, "\n")] = '\0';
		if (driver == NULL || blk_driver_connect(driver, path, VHOST_USER_CLIENT_TIMEOUT_DEFAULT_MS) != 0 ||
		    blk_driver_start(driver, &config) != 0) {
			fprintf(stderr, "hold_blk: %s: %s\n", path, driver == NULL ? "out of memory" : driver->client.error);
			return 1;
		}
		puts("ready");
		fflush(stdout);
	}
	pause();
	return 0;
}
