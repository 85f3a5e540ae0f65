/*
 * What this back end speaks, as a table: for every request its size, its descriptors, when it is legal, which queues it
 * disturbs, and who handles it. vhost_user_check() applies the table, so that a handler starts from a message whose size,
 * descriptors and queue index are right. LOG_SHMFD (live migration) and everything for other device types is not offered, so its
 * requests are refused.
 */
#include <errno.h>
#include <stdio.h>

#include "virtio/vhost_user_internal.h"

#define BIT(feature) (UINT32_C(1) << (feature))

enum {
	STATE_BYTES = sizeof(struct vhost_user_vring_state),
	ADDR_BYTES = sizeof(struct vhost_user_vring_addr),
	TABLE_BYTES = sizeof(struct vhost_user_memory_table),
	REGION_BYTES = sizeof(struct vhost_user_single_region),
	CONFIG_BYTES = sizeof(struct vhost_user_config_space),
	INFLIGHT_BYTES = sizeof(struct vhost_user_inflight_area),
};

#define SIZE(n)		  .size_min = (n), .size_max = (n)
#define SIZES(min, max)	  .size_min = (min), .size_max = (max)
#define FDS(min, max)	  .fds_min = (min), .fds_max = (max)
#define RULE(id, handler) [VHOST_USER_##id] = {.name = #id, .handle = vhost_user_##handler,

/* clang-format off */
static const struct vhost_user_rule rules[VHOST_USER_REQUEST_LIMIT] = {
	RULE(GET_FEATURES, get_features) },
	RULE(SET_FEATURES, set_features) SIZE(8), .quiesce = vhost_user_quiesce_features },
	RULE(SET_OWNER, set_owner) },
	RULE(RESET_OWNER, reset_owner) .quiesce = vhost_user_quiesce_all },
	RULE(GET_PROTOCOL_FEATURES, get_protocol_features) },
	RULE(SET_PROTOCOL_FEATURES, set_protocol_features) SIZE(8) },
	RULE(GET_QUEUE_NUM, get_queue_num) },
	RULE(NET_SET_MTU, net_set_mtu) SIZE(8), .protocol_features = BIT(VHOST_USER_PROTOCOL_F_MTU) },
	RULE(SET_BACKEND_REQ_FD, set_backend_req_fd) FDS(1, 1), .protocol_features = BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) },
	RULE(RESET_DEVICE, reset_device) .quiesce = vhost_user_quiesce_all,
		.protocol_features = BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) },
	RULE(GET_STATUS, get_status) .protocol_features = BIT(VHOST_USER_PROTOCOL_F_STATUS) },
	RULE(SET_STATUS, set_status) SIZE(8), .quiesce = vhost_user_quiesce_status,
		.protocol_features = BIT(VHOST_USER_PROTOCOL_F_STATUS) },
	RULE(GET_CONFIG, get_config) SIZES(VHOST_USER_CONFIG_SPACE_HEADER_BYTES, CONFIG_BYTES),
		.protocol_features = BIT(VHOST_USER_PROTOCOL_F_CONFIG) },
	RULE(SET_CONFIG, set_config) SIZES(VHOST_USER_CONFIG_SPACE_HEADER_BYTES, CONFIG_BYTES),
		.protocol_features = BIT(VHOST_USER_PROTOCOL_F_CONFIG) },

	RULE(SET_MEM_TABLE, set_mem_table) SIZES(VHOST_USER_MEMORY_TABLE_HEADER_BYTES, TABLE_BYTES), FDS(0, VHOST_USER_REGIONS_MAX),
		.quiesce = vhost_user_quiesce_all },
	RULE(GET_MAX_MEM_SLOTS, get_max_mem_slots) .protocol_features = BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) },
	RULE(ADD_MEM_REG, add_mem_reg) SIZE(REGION_BYTES), FDS(1, 1), .quiesce = vhost_user_quiesce_region,
		.protocol_features = BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) },
	/* "the back-end MAY accept messages with one file descriptor [and] MUST close it" */
	RULE(REM_MEM_REG, rem_mem_reg) SIZE(REGION_BYTES), FDS(0, 1), .quiesce = vhost_user_quiesce_region,
		.protocol_features = BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) },

	RULE(SET_VRING_NUM, set_vring_num) SIZE(STATE_BYTES), .index = INDEX_VRING_STATE, .quiesce = vhost_user_quiesce_num },
	RULE(SET_VRING_ADDR, set_vring_addr) SIZE(ADDR_BYTES), .index = INDEX_VRING_ADDR, .quiesce = vhost_user_quiesce_ring },
	RULE(SET_VRING_BASE, set_vring_base) SIZE(STATE_BYTES), .index = INDEX_VRING_STATE, .quiesce = vhost_user_quiesce_ring },
	RULE(GET_VRING_BASE, get_vring_base) SIZE(STATE_BYTES), .index = INDEX_VRING_STATE, .quiesce = vhost_user_quiesce_ring },
	RULE(SET_VRING_KICK, set_vring_kick) SIZE(8), FDS(0, 1), .index = INDEX_VRING_FD, .quiesce = vhost_user_quiesce_ring },
	RULE(SET_VRING_CALL, set_vring_call) SIZE(8), FDS(0, 1), .index = INDEX_VRING_FD, .quiesce = vhost_user_quiesce_call },
	RULE(SET_VRING_ERR, set_vring_err) SIZE(8), FDS(0, 1), .index = INDEX_VRING_FD, .quiesce = vhost_user_quiesce_ring },
	RULE(SET_VRING_ENABLE, set_vring_enable) SIZE(STATE_BYTES), .index = INDEX_VRING_STATE, .legal = LEGAL_WITH_PROTOCOL,
		.quiesce = vhost_user_quiesce_enable },

	/* The layout of the region depends on the features. */
	RULE(GET_INFLIGHT_FD, get_inflight_fd) SIZES(VHOST_USER_INFLIGHT_AREA_PACKED_BYTES, INFLIGHT_BYTES),
		.legal = LEGAL_AFTER_FEATURES, .quiesce = vhost_user_quiesce_all,
		.protocol_features = BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) },
	RULE(SET_INFLIGHT_FD, set_inflight_fd) SIZES(VHOST_USER_INFLIGHT_AREA_PACKED_BYTES, INFLIGHT_BYTES), FDS(1, 1),
		.legal = LEGAL_AFTER_FEATURES, .quiesce = vhost_user_quiesce_all,
		.protocol_features = BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) },
};
/* clang-format on */

const struct vhost_user_rule *vhost_user_rule(uint32_t request)
{
	return request < VHOST_USER_REQUEST_LIMIT && rules[request].name != NULL ? &rules[request] : NULL;
}

const char *vhost_user_request_name(uint32_t request)
{
	const struct vhost_user_rule *rule = vhost_user_rule(request);

	return rule != NULL ? rule->name : "request";
}

int vhost_user_check_header(const struct vhost_user *v, const struct vhost_user_message *m)
{
	const struct vhost_user_header *h = &m->header;
	const struct vhost_user_rule *rule = vhost_user_rule(h->request);

	if ((h->flags & VHOST_USER_FLAG_VERSION_MASK) != VHOST_USER_VERSION)
		return vhost_user_refuse(v, h->request, -EPROTO, "version %u of the protocol, only 1 is known",
					 h->flags & VHOST_USER_FLAG_VERSION_MASK);
	if ((h->flags & ~(uint32_t)(VHOST_USER_FLAG_VERSION_MASK | VHOST_USER_FLAG_NEED_REPLY)) != 0)
		return vhost_user_refuse(v, h->request, -EPROTO, "flags 0x%x of a request", h->flags);
	if (rule == NULL)
		return vhost_user_refuse(v, h->request, -EPROTO, "number %u is not spoken here", h->request);
	if (h->size < rule->size_min || h->size > rule->size_max)
		return vhost_user_refuse(v, h->request, -EPROTO, "payload of %u bytes, not %u to %u", h->size, rule->size_min,
					 rule->size_max);
	return 0;
}

static bool protocol_negotiated(const struct vhost_user *v)
{
	return v->state.protocol_features != 0 || (v->state.features >> VHOST_USER_F_PROTOCOL_FEATURES & 1) != 0;
}

uint32_t vhost_user_message_queue(const struct vhost_user_message *m)
{
	switch ((enum vhost_user_index)rules[m->header.request].index) {
	case INDEX_VRING_STATE:
		return m->payload.vring_state.index;
	case INDEX_VRING_ADDR:
		return m->payload.vring_addr.index;
	case INDEX_VRING_FD:
		return m->payload.u64 & VHOST_USER_VRING_INDEX_MASK;
	case INDEX_NONE:
		break;
	}
	return 0;
}

static int check_index(const struct vhost_user *v, const struct vhost_user_message *m, uint8_t where)
{
	uint32_t index = vhost_user_message_queue(m);

	if (index >= v->queues_max)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "queue %u, the device has %u", index, v->queues_max);
	if (where == INDEX_VRING_FD) {
		if ((m->payload.u64 & ~(uint64_t)(VHOST_USER_VRING_INDEX_MASK | VHOST_USER_VRING_NOFD)) != 0)
			return vhost_user_refuse(v, m->header.request, -EPROTO, "payload 0x%llx has unknown bits",
						 (unsigned long long)m->payload.u64);
		if (((m->payload.u64 & VHOST_USER_VRING_NOFD) == 0) != (m->fd_count == 1))
			return vhost_user_refuse(v, m->header.request, -EPROTO, "%u descriptors, its payload tells otherwise",
						 m->fd_count);
	}
	return 0;
}

int vhost_user_check(const struct vhost_user *v, const struct vhost_user_message *m)
{
	const struct vhost_user_rule *rule = vhost_user_rule(m->header.request);

	if (m->fd_count < rule->fds_min || m->fd_count > rule->fds_max)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "%u descriptors, not %u to %u", m->fd_count, rule->fds_min,
					 rule->fds_max);
	if ((rule->protocol_features & ~v->state.protocol_features) != 0)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "its protocol feature was not negotiated");
	if ((rule->legal & LEGAL_WITH_PROTOCOL) != 0 && !protocol_negotiated(v))
		return vhost_user_refuse(v, m->header.request, -EPROTO, "protocol features were not negotiated");
	if ((rule->legal & LEGAL_AFTER_FEATURES) != 0 && (v->state.flags & DEVICE_STATE_FEATURES_SET) == 0)
		return vhost_user_refuse(v, m->header.request, -EPROTO, "only legal after SET_FEATURES");
	return rule->index == INDEX_NONE ? 0 : check_index(v, m, rule->index);
}
