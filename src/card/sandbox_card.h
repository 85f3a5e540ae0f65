/* What the card may still do once it serves: see the list in sandbox_card.c. Both log what failed, and return 0 or -errno. */
#ifndef OUTBOARD_CARD_SANDBOX_CARD_H
#define OUTBOARD_CARD_SANDBOX_CARD_H

#include <stdbool.h>

int sandbox_card_privileges(void);   /* before the first thread of ours: few capabilities, many descriptors */
int sandbox_card_capabilities(void); /* few capabilities, for the calling thread: for those that we did not start */
/* Once the pollers run, before the first byte from outside: the system calls, and with wires those that DPDK makes for them. */
int sandbox_card(bool wires);

#endif
