#include "sandbox/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"

int sandbox_undumpable(void)
{
	const struct rlimit none = {0, 0};
	const char *step = "forbid core dumps (RLIMIT_CORE)";
	int rc;

	if (setrlimit(RLIMIT_CORE, &none) != 0)
		goto fail;
	/* RLIMIT_CORE does not hold for a core_pattern that is a pipe; this does. */
	step = "become undumpable (PR_SET_DUMPABLE)";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		goto fail;
	step = "renounce new privileges (PR_SET_NO_NEW_PRIVS)";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		goto fail;
	return 0;
fail:
	rc = -errno;
	log_error("cannot %s: %s; a container runtime or a security module is in the way", step, strerror(-rc));
	return rc;
}

int sandbox_drop_capabilities(const int *keep, size_t count)
{
	capng_type_t kept = CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET;
	int had[64];
	size_t had_count = 0;

	if (capng_get_caps_process() != 0)
		goto fail;
	for (size_t i = 0; i < count && had_count < sizeof(had) / sizeof(had[0]); i++)
		if (capng_have_capability(CAPNG_PERMITTED, (unsigned)keep[i]))
			had[had_count++] = keep[i];
	/* The bounding set can be narrowed only by who has CAP_SETPCAP: first, while we have it. Without it no_new_privs holds. */
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
		capng_clear(CAPNG_SELECT_BOUNDS);
		for (size_t i = 0; i < had_count; i++)
			capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, (unsigned)had[i]);
		if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
			goto fail;
	}
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = 0; i < had_count; i++)
		if (capng_update(CAPNG_ADD, kept, (unsigned)had[i]) != 0)
			goto fail;
	if (capng_apply(CAPNG_SELECT_CAPS) != 0 || capng_apply(CAPNG_SELECT_AMBIENT) != 0)
		goto fail;
	return 0;
fail:
	log_error("cannot drop capabilities: a container runtime or a security module is in the way");
	return -EPERM;
}
