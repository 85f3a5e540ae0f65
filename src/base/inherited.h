/*
 * Descriptors that a process is started with, by name: the LISTEN_FDS / LISTEN_FDNAMES protocol of sd_listen_fds(3), spoken by
 * the chassis (`outboard run`) and by systemd alike. And what a process tells whoever started it: the sd_notify(3) protocol.
 */
#ifndef OUTBOARD_BASE_INHERITED_H
#define OUTBOARD_BASE_INHERITED_H

/* The descriptor of that name, made close-on-exec; -ENOENT when there is none. */
int inherited_fd(const char *name);

/* Calls `each` for every inherited descriptor whose name starts with `prefix` (kept descriptors: "volume-UUID"). */
void inherited_each(const char *prefix, void (*each)(void *context, const char *name, int fd), void *context);

/* One sd_notify datagram ("READY=1", "STATUS=..."); without NOTIFY_SOCKET does nothing. 0 or -errno. */
int notify_send(const char *text);

/* Gives `fd` to whoever started us, to be inherited by our successor under `name` (FDSTORE=1, FDNAME=name); and takes it back. */
int notify_store_fd(const char *name, int fd);
int notify_remove_fd(const char *name);

#endif
