/*
 * All three VMMs must share guest memory with the card, or there is nothing to serve: QEMU through a memfd with share=on, Cloud
 * Hypervisor with shared=on, Firecracker by itself as soon as a drive has a socket.
 *
 * QEMU (7.2): reconnect=1 makes it look for the card again each second after the connection broke. In its option syntax a comma
 * inside a value is doubled. Ids begin with a letter, names of volumes need not.
 */
#include "cli/vmm.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUES_SHOWN_MAX = 4 };

/* `text` with each comma doubled, as QEMU's options want it. */
json_t *vmm_qemu_value(const char *head, const char *text, const char *tail)
{
	char *escaped = malloc(strlen(text) * 2 + 1), *to = escaped;
	json_t *value;

	if (escaped == NULL)
		return NULL;
	for (; *text != '\0'; text++) {
		*to++ = *text;
		if (*text == ',')
			*to++ = ',';
	}
	*to = '\0';
	value = json_sprintf("%s%s%s", head, escaped, tail);
	free(escaped);
	return value;
}

/* The lines are for a machine of a few vCPUs; the device offers more. */
static unsigned queues_shown(const struct vmm_disk *d)
{
	return d->queues < QUEUES_SHOWN_MAX ? d->queues : QUEUES_SHOWN_MAX;
}

json_t *vmm_qemu_memory(const char *size)
{
	json_t *line = json_array();

	json_array_append_new(line, json_string("-m"));
	json_array_append_new(line, json_string(size));
	json_array_append_new(line, json_string("-object"));
	json_array_append_new(line, json_sprintf("memory-backend-memfd,id=mem,size=%s,share=on", size));
	json_array_append_new(line, json_string("-machine"));
	json_array_append_new(line, json_string("q35,memory-backend=mem"));
	return line;
}

static json_t *qemu(const struct vmm_disk *d)
{
	json_t *line = vmm_qemu_memory(VMM_MEMORY);
	char head[128];

	json_array_append_new(line, json_string("-chardev"));
	snprintf(head, sizeof(head), "socket,id=disk-%s,path=", d->name);
	json_array_append_new(line, vmm_qemu_value(head, d->socket, ",reconnect=1"));
	json_array_append_new(line, json_string("-device"));
	json_array_append_new(line, json_sprintf("vhost-user-blk-pci,chardev=disk-%s,num-queues=%u%s", d->name, queues_shown(d),
						 d->packed ? ",packed=on" : ""));
	return line;
}

static json_t *cloud_hypervisor(const struct vmm_disk *d)
{
	json_t *line = json_array();

	json_array_append_new(line, json_string("--memory"));
	json_array_append_new(line, json_sprintf("size=%s,shared=on", VMM_MEMORY));
	json_array_append_new(line, json_string("--disk"));
	json_array_append_new(line,
			      json_sprintf("vhost_user=true,socket=%s,num_queues=%u,queue_size=128", d->socket, queues_shown(d)));
	return line;
}

/* Drive ids of Firecracker are letters, digits and '_'. */
static json_t *firecracker(const struct vmm_disk *d)
{
	char id[64];

	snprintf(id, sizeof(id), "%s", d->name);
	for (char *c = id; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
	return json_pack("{s:s,s:b,s:s}", "drive_id", id, "is_root_device", false, "socket", d->socket);
}

json_t *vmm_lines(const struct vmm_disk *disk)
{
	return json_pack("{s:o,s:o,s:o}", "qemu", qemu(disk), "cloud_hypervisor", cloud_hypervisor(disk), "firecracker",
			 firecracker(disk));
}

void vmm_print_quoted(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,=+@%-";

	if (word[strspn(word, plain)] == '\0') {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			fputs("'\\''", stdout);
		else
			putchar((unsigned char)*word < ' ' ? '?' : *word);
	}
	putchar('\'');
}

/* An option and its value on each line, joined by backslashes. */
void vmm_print_line(const char *command, const json_t *line)
{
	size_t count = json_array_size(line);

	printf("  %s ... \\\n", command);
	for (size_t i = 0; i + 1 < count; i += 2) {
		printf("    %s ", json_string_value(json_array_get(line, i)));
		vmm_print_quoted(json_string_value(json_array_get(line, i + 1)));
		printf("%s\n", i + 2 < count ? " \\" : "");
	}
}

void vmm_print(const struct vmm_disk *disk)
{
	json_t *lines = vmm_lines(disk), *drive = json_object_get(lines, "firecracker");
	char *text = json_dumps(drive, 0);

	printf("\nQEMU:\n");
	vmm_print_line("qemu-system-x86_64", json_object_get(lines, "qemu"));
	printf("\nCloud Hypervisor:\n");
	vmm_print_line("cloud-hypervisor", json_object_get(lines, "cloud_hypervisor"));
	printf("\nFirecracker (configuration file, or PUT /drives/%s):\n", json_string_value(json_object_get(drive, "drive_id")));
	printf("  \"drives\": [%s]\n", text);
	free(text);
	json_decref(lines);
}
