/*
 * A vhost-user back end for tests, in a thread: well-behaved by default (a RAM disk that outlives connections, or with `net` a NIC),
 * and able to break the protocol, the rings or the data in one chosen way.
 */
#ifndef OUTBOARD_TEST_FAKE_BACKEND_H
#define OUTBOARD_TEST_FAKE_BACKEND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fake_net.h"
#include "ring_device.h"
#include "virtio/vhost_user_proto.h"

enum fake_protocol_fault {		      /* in the answer to `fault_request` */
			   FAKE_CLOSE = 1,    /* hangs up instead */
			   FAKE_CLOSE_MIDWAY, /* hangs up after half a header */
			   FAKE_SILENCE,
			   FAKE_GARBAGE,  /* bytes that are no message */
			   FAKE_OTHER,	  /* the answer to another request */
			   FAKE_NO_REPLY, /* a message without the reply flag */
			   FAKE_SHORT,	  /* a payload that is too short */
			   FAKE_LONG,	  /* a payload that is too long for this answer */
			   FAKE_ENORMOUS, /* a size beyond all messages */
			   FAKE_REFUSE,	  /* acknowledges with an error */
};

enum fake_data_fault {
	FAKE_IOERR = 1,	     /* VIRTIO_BLK_S_IOERR for the request that triggers it */
	FAKE_NO_STATUS,	     /* completes without writing a status */
	FAKE_LOSE_WRITE,     /* says ok, writes nothing */
	FAKE_MISDIRECT,	     /* writes elsewhere */
	FAKE_FLIP_BIT,	     /* in what is read */
	FAKE_ZERO_READ,	     /* reads zeroes */
	FAKE_COMPLETE_TWICE, /* puts the same request into the used ring again */
	FAKE_BAD_ID,	     /* completes what does not exist */
	FAKE_HANG,	     /* takes requests, completes none */
	FAKE_DIE,	     /* hangs up with requests in flight */
};

enum { FAKE_QUEUES = 4, FAKE_DISK_BYTES = 1 << 20, FAKE_SEGMENT_BYTES_MAX = 8192 };

struct fake_backend_config {
	uint64_t features;	    /* beyond VERSION_1 and PROTOCOL_FEATURES */
	uint64_t protocol_features; /* ~0: all that it knows */
	uint32_t block_size_bytes;  /* 0: 512 */
	unsigned fault_request;	    /* vhost-user request that goes wrong */
	enum fake_protocol_fault protocol_fault;
	enum fake_data_fault data_fault;
	struct fake_net *net;	   /* a NIC on this network instead of a disk */
	unsigned data_fault_after; /* block requests that go well before; FAKE_DIE repeats every so many */
};

struct fake_backend {
	struct fake_backend_config config;
	char path[64];
	int listener, stop[2];
	pthread_t thread;
	uint8_t *disk;
	uint64_t disk_bytes; /* told to the driver; change it with fake_backend_grow() */
	unsigned served;     /* block requests, over all connections */
	unsigned connections;
	bool notice; /* a config change is to be announced */
};

void fake_backend_start(struct fake_backend *fake, const struct fake_backend_config *config); /* asserts on failure */
void fake_backend_stop(struct fake_backend *fake);
void fake_backend_grow(struct fake_backend *fake); /* doubles what it tells, and tells that */

#endif
