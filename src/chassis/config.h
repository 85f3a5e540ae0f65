/*
 * The configuration file of the chassis: INI, read by libinih; packaging/outboard.conf documents every key and is what a host gets.
 * A key or value that is not known is an error that names its line: a setting that is silently not applied is worse than no start.
 */
#ifndef OUTBOARD_CHASSIS_CONFIG_H
#define OUTBOARD_CHASSIS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
	CONFIG_VALUE_SIZE = 256,
	CONFIG_ERROR_SIZE = 512,
	CONFIG_CORES_MAX = 256,
	CONFIG_WIRES_MAX = 4,
	CONFIG_FLOWS_MIN = 1024,
	CONFIG_FLOWS_MAX = 64 << 20,
};

struct chassis_config {
	char cores[CONFIG_VALUE_SIZE];			 /* "auto", or a list: "1,3" */
	char huge_pages[CONFIG_VALUE_SIZE];		 /* "auto", "on", "off" */
	uint64_t buffer_bytes;				 /* I/O buffers of the card */
	char wires[CONFIG_WIRES_MAX][CONFIG_VALUE_SIZE]; /* each as outboard-card's --wire takes it */
	unsigned wire_count;
	uint32_t flows_max;		   /* 0: the card's own default */
	bool root_passphrase;		   /* else a file */
	char root_path[CONFIG_VALUE_SIZE]; /* empty: vault.key in the state directory */
	char passphrase_path[CONFIG_VALUE_SIZE];
	bool export_allowed;
	char api_socket[CONFIG_VALUE_SIZE]; /* empty: api.sock in the state directory */
	char api_mode[CONFIG_VALUE_SIZE];
	char api_group[CONFIG_VALUE_SIZE];
};

void config_default(struct chassis_config *config);
/* As the file has them, and the command line. NULL, or what a value must be. The text is checked by the card, which knows its devices;
 * that it is one is checked here. */
const char *config_add_wire(struct chassis_config *config, const char *value);
const char *config_set_flows(struct chassis_config *config, const char *value);
/* 0, or -1 with a sentence in `error` ("LINE: what is wrong"), whose first error it names. */
int config_read(struct chassis_config *config, FILE *file, char error[CONFIG_ERROR_SIZE]);

#endif
