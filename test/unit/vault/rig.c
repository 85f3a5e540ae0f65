#include "rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int rig_file(const void *bytes, size_t size, unsigned mode)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, 0), size);
	assert_int_equal(fchmod(fd, mode), 0);
	return fd;
}

void rig_golden_kek_id(struct uuid *id)
{
	memcpy(id->bytes, golden_kek_id, UUID_BYTES);
}

void rig_golden_ref(struct vault_dek_ref *ref)
{
	memset(ref, 0, sizeof(*ref));
	memcpy(ref->volume.bytes, golden_volume_id, UUID_BYTES);
	ref->version = GOLDEN_DEK_VERSION;
	rig_golden_kek_id(&ref->kek);
	ref->kek_version = GOLDEN_KEK_VERSION;
	ref->wrapped_kek.size = sizeof(golden_wrapped_kek);
	memcpy(ref->wrapped_kek.bytes, golden_wrapped_kek, sizeof(golden_wrapped_kek));
	ref->wrapped_dek.size = sizeof(golden_wrapped_dek);
	memcpy(ref->wrapped_dek.bytes, golden_wrapped_dek, sizeof(golden_wrapped_dek));
}

void rig_vault(struct vault *vault, bool export_allowed)
{
	memset(vault, 0, sizeof(*vault));
	assert_int_equal(root_from_file(&vault->root, rig_file(golden_root, sizeof(golden_root), 0400)), 0);
	assert_int_equal(vault_open(vault, export_allowed), 0);
}

size_t rig_unhex(const char *text, uint8_t *bytes, size_t size_max)
{
	size_t size = strlen(text) / 2;

	assert_true(size <= size_max);
	for (size_t i = 0; i < size; i++) {
		unsigned value;

		assert_int_equal(sscanf(text + 2 * i, "%2x", &value), 1);
		bytes[i] = (uint8_t)value;
	}
	return size;
}

void rig_not_shown(const char *why)
{
	print_message("# not shown: %s\n", why);
}

bool rig_needs_root(void)
{
	if (geteuid() == 0)
		return false;
	rig_not_shown("this takes root");
	return true;
}
