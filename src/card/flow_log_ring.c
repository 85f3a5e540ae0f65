#include "card/flow_log_ring.h"

#include <stdio.h>

bool flow_log_ring_put(struct flow_log_ring *ring, const char *line)
{
	uint32_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);

	if (written - atomic_load_explicit(&ring->read, memory_order_acquire) == FLOW_LOG_SLOTS) {
		atomic_fetch_add_explicit(&ring->lost, 1, memory_order_relaxed);
		return false;
	}
	snprintf(ring->lines[written % FLOW_LOG_SLOTS], FLOW_LOG_LINE_SIZE, "%s", line);
	atomic_store_explicit(&ring->written, written + 1, memory_order_release);
	return true;
}

json_t *flow_log_ring_take(struct flow_log_ring *ring)
{
	uint32_t written = atomic_load_explicit(&ring->written, memory_order_acquire);
	uint32_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
	uint64_t lost = atomic_load_explicit(&ring->lost, memory_order_relaxed);
	uint64_t lost_new = lost - ring->lost_told;
	json_t *lines;

	if (written == read && lost_new == 0)
		return NULL;
	lines = json_array();
	for (unsigned count = 0; read != written && count < FLOW_LOG_EVENT_LINES_MAX; count++, read++)
		json_array_append_new(lines, json_string(ring->lines[read % FLOW_LOG_SLOTS]));
	atomic_store_explicit(&ring->read, read, memory_order_release);
	ring->lost_told = lost;
	return json_pack("{s:o,s:I}", "lines", lines, "lost", (json_int_t)lost_new);
}
