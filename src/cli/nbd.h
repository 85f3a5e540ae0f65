/* NBD URIs (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md). */
#ifndef OUTBOARD_CLI_NBD_H
#define OUTBOARD_CLI_NBD_H

char *nbd_uri(const char *socket); /* "nbd+unix:///?socket=PATH", percent-encoded; the caller frees it */

#endif
