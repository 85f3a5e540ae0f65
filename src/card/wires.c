#include "card/wires.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "vpc/eal_dpdk.h"

enum { WIRE_MEMORY_MIB = 64 }; /* of packet buffers, where there are no huge pages */

/* "0000:3b:00.0" or "3b:00.0", with options behind a comma or not; virtual devices are called net_... */
static bool is_pci(const char *device)
{
	size_t digits = strspn(device, "0123456789abcdefABCDEF");

	return (digits == 2 || digits == 4) && device[digits] == ':';
}

int wires_open(const struct wires_config *config, int (*shed)(void), struct network_config *out)
{
	struct eal_config eal = {.core = config->core, .huge = config->huge, .memory_mib = WIRE_MEMORY_MIB * config->count};
	char error[512];
	int rc;

	out->wire_count = 0;
	if (config->count == 0)
		return 0;
	for (unsigned i = 0; i < config->count; i++)
		eal.pci |= is_pci(config->wires[i].device);
	rc = eal_open(&eal, error, sizeof(error));
	if (rc < 0) {
		log_error("%s", error);
		return rc;
	}
	for (unsigned i = 0; i < config->count; i++) {
		rc = wire_dpdk_open(&out->wires[i], &config->wires[i], i, error, sizeof(error));
		if (rc < 0) {
			log_error("%s", error);
			goto close;
		}
		out->wire_count++;
	}
	rc = eal_on_interrupt_thread(shed);
	if (rc == 0)
		return 0;
	log_error("DPDK's thread cannot shed its privileges: %s", strerror(-rc));
close:
	while (out->wire_count > 0) {
		out->wire_count--;
		out->wires[out->wire_count]->ops->close(out->wires[out->wire_count]);
	}
	eal_close();
	return rc;
}
