/* For loops that wait by looking. */
#ifndef OUTBOARD_LOAD_RELAX_H
#define OUTBOARD_LOAD_RELAX_H

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
