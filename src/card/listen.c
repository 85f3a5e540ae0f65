#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "card/vhost_device.h"

enum { LISTEN_BACKLOG = 4 };

int listen_open(const struct device_socket *s, char *error, size_t error_size)
{
	int rc = unix_socket_listen(s->path, &s->owner, LISTEN_BACKLOG);

	if (rc < 0)
		snprintf(error, error_size, "cannot listen on %s: %s%s", s->path, strerror(-rc),
			 rc == -EADDRINUSE ? "; another process serves that socket"
			 : rc == -EEXIST   ? "; a file that is not a socket is in the way"
					   : "");
	return rc;
}
