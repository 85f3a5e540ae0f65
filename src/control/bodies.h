/* The request bodies of the API, each as a struct: what docs/openapi.yaml says, with its defaults, checked. */
#ifndef OUTBOARD_CONTROL_BODIES_H
#define OUTBOARD_CONTROL_BODIES_H

#include "control/fields.h"

enum volume_backend_kind { BACKEND_MEMORY, BACKEND_NULL, BACKEND_FILE };
enum attachment_kind { ATTACHMENT_VHOST_USER_BLK, ATTACHMENT_NBD };

extern const char *const backend_names[];    /* by enum volume_backend_kind; ends with NULL */
extern const char *const attachment_names[]; /* by enum attachment_kind */

enum {
	ATTACHMENT_QUEUES_MAX = 32,
	SEALED_MAX_BYTES = 512,
	PUBLIC_KEY_BYTES = 32,
};

#define VOLUME_SIZE_MIN_BYTES	  512
#define VOLUME_SIZE_MAX_BYTES	  ((int64_t)1 << 50)
#define VOLUME_IOPS_MAX		  100000000
#define VOLUME_THROUGHPUT_MAX_MIB 1000000

struct volume_create {
	char name[NAME_SIZE];
	int64_t size_bytes;
	int64_t block_size_bytes;
	int64_t backend;
	char path[PATH_SIZE]; /* "": the default */
	bool read_only;
	int64_t iops;		/* 0: no limit */
	int64_t throughput_mib; /* 0: no limit */
	bool burst;
	bool encrypted;
	char kek[NAME_SIZE]; /* "": not given */
	const json_t *tags;  /* borrowed from the body; NULL: none */
};

/* What is not in the body is NULL or false in `has`. */
struct volume_change {
	int64_t size_bytes;
	int64_t iops;
	int64_t throughput_mib;
	bool burst;
	const json_t *tags;
	struct {
		bool size, iops, throughput, burst, tags;
	} has;
};

struct attachment_create {
	char volume[NAME_SIZE];
	int64_t kind;
	int64_t queues;
	bool packed;
	bool read_only;
	char socket[SOCKET_PATH_SIZE]; /* "": the default */
	int64_t uid;		       /* -1: not given */
	int64_t gid;
	int64_t mode;
};

struct key_create {
	char name[NAME_SIZE];
};

struct rewrap {
	char kek[NAME_SIZE];
};

/* Hexadecimal text. */
struct export_key {
	char recipient[2 * PUBLIC_KEY_BYTES + 1];
};

struct unlock {
	char sealed[2 * SEALED_MAX_BYTES + 1];
};

/* 0, or -EINVAL with the failure. */
int body_volume_create(const json_t *body, struct volume_create *out, struct failure *failure);
int body_volume_change(const json_t *body, struct volume_change *out, struct failure *failure);
int body_attachment_create(const json_t *body, struct attachment_create *out, struct failure *failure);
int body_key_create(const json_t *body, struct key_create *out, struct failure *failure);
int body_rewrap(const json_t *body, struct rewrap *out, struct failure *failure);
int body_export_key(const json_t *body, struct export_key *out, struct failure *failure);
int body_unlock(const json_t *body, struct unlock *out, struct failure *failure);
int body_nothing(const json_t *body, struct failure *failure);

#endif
