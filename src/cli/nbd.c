#include "cli/nbd.h"

#include <ctype.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char scheme[] = "nbd+unix:///?socket=";

char *nbd_uri(const char *socket)
{
	char *uri = malloc(sizeof(scheme) + 3 * strlen(socket)), *to;

	if (uri == NULL)
		err(1, "outboard");
	to = stpcpy(uri, scheme);
	for (; *socket != '\0'; socket++) {
		/* RFC 3986 unreserved characters, and '/', which a query may hold */
		if (isalnum((unsigned char)*socket) || strchr("-._~/", *socket) != NULL)
			*to++ = *socket;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*socket);
	}
	*to = '\0';
	return uri;
}
