/* outboard-vault itself as a child, with this process as its chassis: it holds both ends of both channels. */
#ifndef OUTBOARD_TEST_VAULT_PROCESS_RIG_H
#define OUTBOARD_TEST_VAULT_PROCESS_RIG_H

#include <sys/types.h>

#include "rig.h"

enum { PATIENCE_MS = 30000 };

struct chassis {
	const char *root_kind; /* "file" or "passphrase" */
	const char *option;    /* one more, or NULL */
	int root_fd;
	int passphrase_fd; /* -1: none */
	uid_t uid;	   /* 0: as we are */
	int control[2];	   /* ours, the vault's */
	int card[2];
	pid_t vault;
};

void chassis_program(const char *path); /* once: where outboard-vault is */
void chassis_open(struct chassis *chassis, const char *root_kind, int root_fd);
void chassis_start(struct chassis *chassis); /* a vault; its channels are those of the one before */
void chassis_kill(struct chassis *chassis);  /* with SIGKILL */
int chassis_wait(struct chassis *chassis);   /* for its end by itself; the status of waitpid(2) */
void chassis_close(struct chassis *chassis); /* kills it, and closes everything */
/* Runs the program with these arguments and no descriptors; its exit status. */
int chassis_run(const char *const *arguments);

/* The key of `ref`, by way of the card's channel; asserts VAULT_OK. */
void chassis_unwrap(struct chassis *chassis, const struct vault_dek_ref *ref, uint8_t key[VAULT_KEY_BYTES]);
/* The same, but only waits for the answer of a request that was sent. */
enum vault_error chassis_unwrapped(struct chassis *chassis, uint64_t id, uint8_t key[VAULT_KEY_BYTES]);
/* A new KEK and a new volume's DEK under it. */
void chassis_new_volume(struct chassis *chassis, struct vault_dek_ref *ref);
enum vault_error chassis_unlock(struct chassis *chassis, const char *passphrase);

#endif
