/*
 * Guest memory must be shared with the card, as for disks (vmm.c). Queues come in pairs, receive and transmit: QEMU counts pairs,
 * Cloud Hypervisor queues. QEMU wants an interrupt vector for each queue, one for changes of the configuration and one for the
 * control queue. Firecracker (1.x) has no vhost-user NIC.
 */
#include "cli/vmm_nic.h"

#include <stdio.h>

#include "cli/vmm.h"

enum { PAIRS_SHOWN_MAX = 4 };

/* The lines are for a machine of a few vCPUs; the device offers more. */
static unsigned pairs_shown(const struct vmm_nic *n)
{
	return n->queues < 1 ? 1 : n->queues < PAIRS_SHOWN_MAX ? n->queues : PAIRS_SHOWN_MAX;
}

static void append(json_t *line, const char *option, json_t *value)
{
	json_array_append_new(line, json_string(option));
	json_array_append_new(line, value);
}

json_t *vmm_nic_qemu(const struct vmm_nic *n, const char *memory)
{
	json_t *line = memory == NULL ? json_array() : vmm_qemu_memory(memory);
	char head[128], mtu[32] = "", multiqueue[48] = "";
	unsigned pairs = pairs_shown(n);

	snprintf(head, sizeof(head), "socket,id=nic-%s,path=", n->name);
	append(line, "-chardev", vmm_qemu_value(head, n->socket, ",reconnect=1"));
	append(line, "-netdev", json_sprintf("vhost-user,id=net-%s,chardev=nic-%s,queues=%u", n->name, n->name, pairs));
	if (pairs > 1)
		snprintf(multiqueue, sizeof(multiqueue), ",mq=on,vectors=%u", 2 * pairs + 2);
	if (n->mtu > 0)
		snprintf(mtu, sizeof(mtu), ",host_mtu=%u", n->mtu);
	/* Split rings, QEMU's default: where a packed one stands QEMU does not know, and a card that was restarted could not go on. */
	append(line, "-device", json_sprintf("virtio-net-pci,netdev=net-%s,mac=%s%s%s", n->name, n->mac, multiqueue, mtu));
	return line;
}

static json_t *cloud_hypervisor(const struct vmm_nic *n)
{
	json_t *line = json_array();
	char mtu[32] = "";

	if (n->mtu > 0)
		snprintf(mtu, sizeof(mtu), ",mtu=%u", n->mtu);
	append(line, "--memory", json_sprintf("size=%s,shared=on", VMM_MEMORY));
	append(line, "--net",
	       json_sprintf("vhost_user=true,socket=%s,mac=%s,num_queues=%u,queue_size=256%s", n->socket, n->mac,
			    2 * pairs_shown(n), mtu));
	return line;
}

json_t *vmm_nic_lines(const struct vmm_nic *nic)
{
	return json_pack("{s:o,s:o}", "qemu", vmm_nic_qemu(nic, VMM_MEMORY), "cloud_hypervisor", cloud_hypervisor(nic));
}

void vmm_nic_print(const struct vmm_nic *nic)
{
	json_t *lines = vmm_nic_lines(nic);

	printf("\nQEMU:\n");
	vmm_print_line("qemu-system-x86_64", json_object_get(lines, "qemu"));
	printf("\nCloud Hypervisor:\n");
	vmm_print_line("cloud-hypervisor", json_object_get(lines, "cloud_hypervisor"));
	printf("\nFirecracker has no vhost-user NIC: detach, and attach it as an interface (--tap), bridged with Firecracker's.\n");
	json_decref(lines);
}
