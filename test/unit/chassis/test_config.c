/* Values and errors in depth are in test/e2e/chassis.py; here, what a file on disk can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "chassis/config.h"

static struct chassis_config config;
static char error[CONFIG_ERROR_SIZE];

static int parse(const char *text)
{
	FILE *file = fmemopen((void *)(size_t)text, strlen(text) + 1, "r");
	int rc;

	assert_non_null(file);
	fseek(file, 0, SEEK_SET);
	config_default(&config);
	error[0] = '\0';
	rc = config_read(&config, file, error);
	fclose(file);
	return rc;
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("\n"), 0);
	assert_string_equal(config.cores, "auto");
	assert_string_equal(config.huge_pages, "auto");
	assert_int_equal(config.buffer_bytes, 64 << 20);
	assert_true(config.export_allowed);
	assert_false(config.root_passphrase);
	assert_string_equal(config.root_path, "");
	assert_string_equal(config.api_mode, "0600");
}

static void the_packaged_file_is_the_defaults(void **state)
{
	FILE *file = fopen(PACKAGED_CONFIG, "r");

	(void)state;
	assert_non_null(file);
	config_default(&config);
	assert_int_equal(config_read(&config, file, error), 0);
	fclose(file);
	assert_string_equal(config.cores, "auto");
	assert_string_equal(config.api_socket, "/run/outboard/api.sock"); /* the one thing it sets */
}

/* Every line that it shows commented out must be one that may be used. */
static void the_packaged_file_shows_valid_lines(void **state)
{
	FILE *file = fopen(PACKAGED_CONFIG, "r");
	char line[512], section[512] = "";
	unsigned shown = 0;

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		char text[1100];

		if (line[0] == '[')
			snprintf(section, sizeof(section), "%s", line);
		if (line[0] != ';')
			continue;
		shown++;
		snprintf(text, sizeof(text), "%s%s%s", section, line + 1,
			 strncmp(line, ";passphrase_file", 16) == 0 ? "root = passphrase\n" : "");
		if (parse(text) != 0)
			fail_msg("%s: %s", line, error);
	}
	fclose(file);
	assert_true(shown >= 10);
}

static void comments_and_odd_files(void **state)
{
	(void)state;
	assert_int_equal(parse("# c\n; c\n[card] \n cores=2 ; the last\nbuffers = 8M\n[api]\nmode=660"), 0);
	assert_string_equal(config.cores, "2");
	assert_int_equal(config.buffer_bytes, 8 << 20);
	assert_string_equal(config.api_mode, "660");
	assert_int_equal(parse("[card]\ncores = 1\n  huge_pages = on\n"), -1);
	assert_non_null(strstr(error, "an indented line continues the one above"));
	assert_int_equal(parse("[card\ncores = 1\n"), -1);
	assert_non_null(strstr(error, "1: neither a comment"));
}

static void wires_and_flows(void **state)
{
	char text[CONFIG_VALUE_SIZE + 64];

	(void)state;
	assert_int_equal(parse("\n"), 0);
	assert_int_equal(config.wire_count, 0);
	assert_int_equal(config.flows_max, 0);
	assert_int_equal(parse("[card]\nwire = address=192.0.2.1/24;gateway=192.0.2.254;device=net_af_packet0,iface=v0\n"
			       "flows = 131072\nwire = address=fd00::1/64;device=0000:01:00.0\n"),
			 0);
	assert_int_equal(config.wire_count, 2);
	assert_string_equal(config.wires[0], "address=192.0.2.1/24;gateway=192.0.2.254;device=net_af_packet0,iface=v0");
	assert_string_equal(config.wires[1], "address=fd00::1/64;device=0000:01:00.0");
	assert_int_equal(config.flows_max, 131072);
	assert_int_equal(parse("[card]\nwire=device=a\nwire=device=b\nwire=device=c\nwire=device=d\nwire=device=e\n"), -1);
	assert_non_null(strstr(error, "6: \"wire\" must be given at most 4 times"));
	assert_int_equal(parse("[card]\nwire = eth1\n"), -1);
	assert_non_null(strstr(error, "2: \"wire\" must be a wire such as address="));
	for (size_t i = 0; i < 5; i++) {
		static const char *const wrong[] = {"0", "1023", "67108865", "1M", "-1"};

		snprintf(text, sizeof(text), "[card]\nflows = %s\n", wrong[i]);
		assert_int_equal(parse(text), -1);
		assert_non_null(strstr(error, "2: \"flows\" must be a number of flows from 1024 to 67108864"));
	}
	assert_int_equal(parse("[card]\nflows = 1024\nflows = 2048\n"), -1);
	assert_non_null(strstr(error, "3: \"flows\" is given twice"));
}

/* What does not fit is refused, not cut: from the command line, too, where no file's line bounds it. */
static void a_wire_that_is_too_long(void **state)
{
	char text[2 * CONFIG_VALUE_SIZE] = "device=";

	(void)state;
	config_default(&config);
	memset(text + 7, 'a', CONFIG_VALUE_SIZE - 8);
	assert_null(config_add_wire(&config, text)); /* 255 characters */
	strcat(text, "a");
	assert_non_null(config_add_wire(&config, text));
	assert_int_equal(config.wire_count, 1);
}

static void the_first_error_is_told(void **state)
{
	(void)state;
	assert_int_equal(parse("[card]\nbuffers = 1M\ncoers = 1\n"), -1);
	assert_non_null(strstr(error, "2: \"buffers\" must be a size of at least 4M"));
	assert_int_equal(parse("[card]\ncoers = 1\nnonsense\n"), -1);
	assert_non_null(strstr(error, "2: there is no key"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(the_packaged_file_is_the_defaults),
		cmocka_unit_test(the_packaged_file_shows_valid_lines),
		cmocka_unit_test(comments_and_odd_files),
		cmocka_unit_test(wires_and_flows),
		cmocka_unit_test(a_wire_that_is_too_long),
		cmocka_unit_test(the_first_error_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
