/*
 * The memory that the VMM shares, and its changes. All queues are stopped while one of these runs.
 *
 * Only memfds and files of tmpfs and hugetlbfs are taken: a page of another file system may come from a server (FUSE, NFS) that
 * answers when it likes, and a poller that touches it would stand still for all its devices.
 *
 * QEMU has a vhost device for each queue pair of a NIC, and some versions (7.2) tell each region once for each of them. So a region that
 * is there already may be added to a NIC again, and one that is gone removed again: neither disturbs anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "virtio/vhost_user_internal.h"

void vhost_user_memory_drop(struct vhost_user *v)
{
	guest_memory_clear(&v->memory);
	for (uint32_t i = 0; i < v->state.region_count; i++)
		vhost_user_fd_close(&v->fds.region[i]);
	memset(v->state.regions, 0, sizeof(v->state.regions));
	v->state.region_count = 0;
}

/* These have seals, and no others; unlike fstatfs(2) it asks no file system, which may answer when it likes as well. */
bool vhost_user_is_memory_file(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
}

/* Maps it and takes the descriptor. */
static int add_region(struct vhost_user *v, struct vhost_user_message *m, const struct vhost_user_region *r, unsigned fd_index)
{
	struct region_state region = {
		.guest_addr = r->guest_addr,
		.size_bytes = r->size_bytes,
		.user_addr = r->user_addr,
		.mmap_offset = r->mmap_offset,
	};
	uint32_t slot = v->state.region_count;
	int rc;

	if (slot == DEVICE_REGIONS_MAX)
		return vhost_user_refuse(v, m->header.request, -ENOSPC, "more than %u regions of memory", DEVICE_REGIONS_MAX);
	if (!vhost_user_is_memory_file(m->fds[fd_index]))
		return vhost_user_refuse(v, m->header.request, -EINVAL,
					 "region at guest address 0x%llx is no memfd and no file of tmpfs or hugetlbfs",
					 (unsigned long long)r->guest_addr);
	rc = guest_memory_add(&v->memory, &region, m->fds[fd_index]);
	if (rc < 0)
		return vhost_user_refuse(v, m->header.request, rc, "region at guest address 0x%llx of %llu bytes: %s",
					 (unsigned long long)r->guest_addr, (unsigned long long)r->size_bytes, strerror(-rc));
	v->state.regions[slot] = region;
	v->fds.region[slot] = vhost_user_message_take_fd(m, fd_index);
	v->state.region_count++;
	return 0;
}

int vhost_user_set_mem_table(struct vhost_user *v, struct vhost_user_message *m)
{
	const struct vhost_user_memory_table *table = &m->payload.memory_table;

	if (table->count > VHOST_USER_REGIONS_MAX ||
	    m->header.size != VHOST_USER_MEMORY_TABLE_HEADER_BYTES + table->count * sizeof(table->regions[0]))
		return vhost_user_refuse(v, m->header.request, -EPROTO, "%u regions in %u bytes", table->count, m->header.size);
	if (m->fd_count != table->count)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "%u descriptors for %u regions", m->fd_count, table->count);
	vhost_user_memory_drop(v);
	for (uint32_t i = 0; i < table->count; i++) {
		int rc = add_region(v, m, &table->regions[i], i);

		if (rc < 0) {
			vhost_user_memory_drop(v); /* no half of a table */
			return rc;
		}
	}
	return 0;
}

int vhost_user_get_max_mem_slots(struct vhost_user *v, struct vhost_user_message *m)
{
	return vhost_user_reply_u64(v, m, DEVICE_REGIONS_MAX);
}

/* "identified by its guest address, user address and size. The mmap offset is ignored." */
static uint32_t find_region(const struct device_state *state, const struct vhost_user_region *r)
{
	uint32_t i = 0;

	while (i < state->region_count &&
	       (state->regions[i].guest_addr != r->guest_addr || state->regions[i].user_addr != r->user_addr ||
		state->regions[i].size_bytes != r->size_bytes))
		i++;
	return i;
}

static bool told_again(const struct vhost_user *v, const struct vhost_user_message *m)
{
	bool there = find_region(&v->state, &m->payload.single_region.region) < v->state.region_count;

	return v->is_paired && there == (m->header.request == VHOST_USER_ADD_MEM_REG);
}

uint32_t vhost_user_quiesce_region(const struct vhost_user *v, const struct vhost_user_message *m)
{
	return told_again(v, m) ? 0 : UINT32_MAX;
}

int vhost_user_add_mem_reg(struct vhost_user *v, struct vhost_user_message *m)
{
	return told_again(v, m) ? 0 : add_region(v, m, &m->payload.single_region.region, 0);
}

int vhost_user_rem_mem_reg(struct vhost_user *v, struct vhost_user_message *m)
{
	const struct vhost_user_region *r = &m->payload.single_region.region;
	struct device_state *state = &v->state;
	uint32_t slot = find_region(state, r);
	int rc;

	if (told_again(v, m))
		return 0;
	rc = slot < state->region_count ? guest_memory_remove(&v->memory, &state->regions[slot]) : -ENOENT;
	if (rc < 0)
		return vhost_user_refuse(v, m->header.request, rc, "region at guest address 0x%llx of %llu bytes: %s",
					 (unsigned long long)r->guest_addr, (unsigned long long)r->size_bytes, strerror(-rc));
	vhost_user_fd_close(&v->fds.region[slot]);
	state->region_count--;
	memmove(&state->regions[slot], &state->regions[slot + 1], (state->region_count - slot) * sizeof(state->regions[0]));
	memmove(&v->fds.region[slot], &v->fds.region[slot + 1], (state->region_count - slot) * sizeof(v->fds.region[0]));
	memset(&state->regions[state->region_count], 0, sizeof(state->regions[0]));
	v->fds.region[state->region_count] = -1;
	return 0;
}
